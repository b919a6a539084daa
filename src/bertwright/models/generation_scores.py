"""Rules that change the scores of the next token, in the order in which transformers applies them, and the draw from what they leave."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from bertwright.errors import InputError
from bertwright.models.generation_settings import Generation, ids_of

Rule = Callable[[Tensor, Tensor], Tensor]
"""(scores [rows, vocab_size], history [rows, read]) -> scores. The history holds the ids that were read, -1 where a row is padded."""

PADDED = -1


def score_rule(settings: Generation, *, prompt: int, longest: int) -> Rule:
    """All that the settings ask for before a token is chosen.

    prompt: tokens of the history that were given, padding included; longest: new tokens that there may be.
    """
    rules: list[Rule] = []
    if settings.repetition_penalty != 1:
        rules.append(lambda scores, history: penalise_repetition(scores, history, settings.repetition_penalty))
    if settings.no_repeat_ngram_size:
        rules.append(lambda scores, history: without_repeated(scores, history, settings.no_repeat_ngram_size))
    if (shortest := settings.shortest(prompt)) > 0 and settings.stop_ids:
        rules.append(lambda scores, history: without(scores, settings.stop_ids) if history.shape[1] - prompt < shortest else scores)
    first, last = ids_of(settings.forced_bos_token_id), ids_of(settings.forced_eos_token_id)
    if first:
        rules.append(lambda scores, history: only(scores, first) if history.shape[1] == 1 else scores)
    if last:
        rules.append(lambda scores, history: only(scores, last) if history.shape[1] - prompt == longest - 1 else scores)
    if settings.do_sample:
        rules.append(lambda scores, _: narrowed(scores, temperature=settings.temperature, top_k=settings.top_k, top_p=settings.top_p))
    return lambda scores, history: _in_turn(rules, scores, history)


def _in_turn(rules: Sequence[Rule], scores: Tensor, history: Tensor) -> Tensor:
    for rule in rules:
        scores = rule(scores, history)
    return scores


def penalise_repetition(scores: Tensor, history: Tensor, penalty: float) -> Tensor:
    """Scores of tokens in the history divided by the penalty, negative ones multiplied, so that both fall (Keskar et al. 2019, section 4.1)."""
    return torch.where(_marked(scores, history), torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def without_repeated(scores: Tensor, history: Tensor, size: int) -> Tensor:
    """No score for tokens that would complete a run of `size` tokens that the history has already (Paulus et al. 2017, section 2.5)."""
    if history.shape[1] < size:
        return scores
    runs = history.unfold(1, size, 1)
    begun = (runs[..., :-1] == history[:, None, history.shape[1] + 1 - size :]).all(-1)
    return scores.masked_fill(_marked(scores, runs[..., -1].masked_fill(~begun, PADDED)), -torch.inf)


def without(scores: Tensor, ids: Sequence[int]) -> Tensor:
    """No score for these tokens."""
    return scores.index_fill(1, torch.tensor(ids, device=scores.device), -torch.inf)


def only(scores: Tensor, ids: Sequence[int]) -> Tensor:
    """No score for any but these tokens, which are all as likely."""
    return torch.full_like(scores, -torch.inf).index_fill(1, torch.tensor(ids, device=scores.device), 0.0)


def narrowed(scores: Tensor, *, temperature: float, top_k: int, top_p: float) -> Tensor:
    """Scores over the temperature, without those beyond the `top_k` highest, without the unlikely ones that `top_p` leaves out; the highest always stays."""
    scores = scores / temperature
    if 0 < top_k < scores.shape[1]:
        scores = scores.masked_fill(scores < scores.topk(top_k).values[:, -1:], -torch.inf)
    if top_p < 1:
        ordered, order = scores.sort(dim=-1)
        unlikely = ordered.softmax(-1).cumsum(-1) <= 1 - top_p
        unlikely[:, -1] = False
        scores = scores.masked_fill(unlikely.scatter(1, order, unlikely), -torch.inf)
    return scores


def highest(scores: Tensor) -> Tensor:
    """[rows, vocab_size] -> the token with the highest score of each row, [rows]. Raises InputError where no token has one."""
    values, tokens = scores.max(-1)
    _refuse_nothing(values)
    return tokens


class Draw:
    """Draws each row's token from the softmax of its scores, with a generator of its own: what a row gets does not depend on the rows beside it."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, scores: Tensor) -> Tensor:
        """[rows, vocab_size] -> [rows]. Raises InputError where no token has a score."""
        sums = scores.double().softmax(-1).cumsum(-1)
        _refuse_nothing(sums[:, -1])
        points = torch.stack([torch.rand(1, dtype=torch.float64, generator=generator) for generator in self.generators]).to(scores.device)
        # The last sum is made 1 exactly, so that no point lies behind it and tokens of probability 0 are never met.
        return torch.searchsorted(sums / sums[:, -1:], points, right=True).squeeze(1)

    def select(self, rows: Sequence[int]) -> None:
        """Keeps these rows."""
        self.generators = [self.generators[row] for row in rows]


def seeds(seed: int) -> Iterator[int]:
    """A seed for one sequence after the other, without end."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield int(torch.randint(2**62, (), generator=generator))


def _marked(scores: Tensor, ids: Tensor) -> Tensor:
    """True at the tokens [rows, n] of each row, in the shape of the scores; PADDED marks nothing."""
    size = scores.shape[1]
    marks = torch.zeros(len(scores), size + 1, dtype=torch.bool, device=scores.device)
    return marks.scatter(1, ids.masked_fill(ids < 0, size), True)[:, :size]


def _refuse_nothing(values: Tensor) -> None:
    if not bool(values.isfinite().all()):
        raise InputError(
            "no token is left to choose, or the model's scores are no numbers: take a smaller repetition_penalty or a larger no_repeat_ngram_size, "
            "or look at the checkpoint's weights"
        )

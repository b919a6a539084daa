"""Beam search, as transformers does it: the same scores, the same order, the same end."""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from bertwright.models.generation_scores import PADDED, Rule
from bertwright.models.generation_settings import Generation

NEVER = -1.0e9  # added to what must not be chosen; finite, so that sums stay numbers

Found = tuple[list[int], float]
"""New tokens of a text, and their score."""


class Steps(Protocol):
    """What a search asks of the model."""

    def __call__(self, tokens: Tensor) -> Tensor:
        """Reads [rows, 1] more tokens -> logits of the next one, [rows, vocab_size], float32."""

    def select(self, rows: Tensor) -> None:
        """Goes on with these rows."""

    def reorder(self, rows: Tensor) -> None:
        """Goes on with these rows, where each takes the place of one of the same text."""


@dataclass
class _Beams:
    """The beams of some texts. numbers: [texts], which ones; history: [texts, beams, read]; scores: [texts, beams].

    ended: the new tokens of the best that have ended, [texts, beams, new], PADDED behind; ended_scores, taken: [texts, beams], where there is one.
    """

    numbers: Tensor
    history: Tensor
    scores: Tensor
    ended: Tensor
    ended_scores: Tensor
    taken: Tensor

    def select(self, texts: Tensor) -> "_Beams":
        return _Beams(**{name: value[texts] for name, value in vars(self).items()})


def beam_search(step: Steps, logits: Tensor, history: Tensor, *, rule: Rule, settings: Generation, longest: int) -> list[list[Found]]:
    """The best sequences of each text, best first.

    logits: [texts x beams, vocab_size] of the first new token, each text's row repeated; history: [texts x beams, read], in the same order.
    """
    count, beams = len(logits) // settings.num_beams, settings.num_beams
    prompt = history.shape[1]
    live = _start(history.view(count, beams, prompt))
    found: dict[int, list[Found]] = {}
    for length in range(1, longest + 1):
        scores = rule(logits.log_softmax(-1), live.history.flatten(0, 1)).view(-1, beams, logits.shape[1])
        parents = _grow(live, scores, length=length, last=length == longest, prompt=prompt, settings=settings)
        done = _done(live, length=length, longest=longest, settings=settings)
        if length == longest:
            done = torch.ones_like(done)
        if bool(done.any()):
            finished = live.select(done.nonzero().squeeze(1))
            found |= dict(zip(finished.numbers.tolist(), _results(finished, settings.num_return_sequences), strict=True))
            if bool(done.all()):
                break
            going = (~done).nonzero().squeeze(1)
            live, parents = live.select(going), parents[going]
            step.select((going[:, None] * beams + torch.arange(beams, device=going.device)).flatten())
        texts = torch.arange(len(live.numbers), device=parents.device)
        step.reorder((texts[:, None] * beams + parents).flatten())
        logits = step(live.history[:, :, -1].reshape(-1, 1))
    return [found[number] for number in range(count)]


def _start(history: Tensor) -> _Beams:
    """All but a text's first beam are worth nothing at first, since they are the same."""
    count, beams, _ = history.shape
    scores = torch.zeros(count, beams, device=history.device)
    scores[:, 1:] = NEVER
    return _Beams(
        numbers=torch.arange(count, device=history.device),
        history=history,
        scores=scores,
        ended=history.new_empty(count, beams, 0),
        ended_scores=torch.full_like(scores, NEVER),
        taken=torch.zeros_like(scores, dtype=torch.bool),
    )


def _grow(live: _Beams, scores: Tensor, *, length: int, last: bool, prompt: int, settings: Generation) -> Tensor:
    """One token more: the best that do not end go on, those among the first beams that end are kept. Returns the beam that each came from, [texts, beams]."""
    beams, vocab_size = scores.shape[1:]
    stops = torch.tensor(settings.stop_ids, device=scores.device, dtype=torch.long)
    # So many that as many as there are beams are left when each of them could end in every way.
    kept = min(max(2, 1 + len(stops)), vocab_size) * beams
    best, places = (scores + live.scores[:, :, None]).flatten(1).topk(kept)
    parents, tokens = places // vocab_size, places % vocab_size
    grown = torch.cat([_take(live.history, parents), tokens[..., None]], dim=-1)
    ends = torch.ones_like(tokens, dtype=torch.bool) if last else torch.isin(tokens, stops)
    _keep_ended(live, grown[..., prompt:], best / length**settings.length_penalty, ends)
    going = best + ends.float() * NEVER
    chosen = going.topk(beams).indices
    live.history, live.scores = _take(grown, chosen), _take(going, chosen)
    return _take(parents, chosen)


def _keep_ended(live: _Beams, new: Tensor, scores: Tensor, ends: Tensor) -> None:
    """Of those that ended before and those that end now among the first beams, the best."""
    beams = live.scores.shape[1]
    ends = ends & (torch.arange(ends.shape[1], device=ends.device) < beams)
    scores = scores + (~ends).float() * NEVER
    every = torch.cat([live.ended_scores, scores], dim=1)
    best = every.topk(beams).indices
    live.ended_scores = _take(every, best)
    live.ended = _take(torch.cat([F.pad(live.ended, (0, 1), value=PADDED), new], dim=1), best)
    live.taken = _take(torch.cat([live.taken, ends], dim=1), best)


def _done(live: _Beams, *, length: int, longest: int, settings: Generation) -> Tensor:
    """Which texts' best sequences are settled, [texts]."""
    far = settings.early_stopping == "never" and settings.length_penalty > 0
    possible = live.scores[:, :1] / (longest if far else length) ** settings.length_penalty
    worst = torch.where(live.taken, live.ended_scores.min(dim=1, keepdim=True).values, NEVER)
    settled: Tensor = ~(possible > worst).any(1)
    return settled | live.taken.all(1) if settings.early_stopping is True else settled


def _results(live: _Beams, count: int) -> list[list[Found]]:
    texts = zip(live.ended[:, :count].tolist(), live.ended_scores[:, :count].tolist(), strict=True)
    return [[([token for token in tokens if token != PADDED], score) for tokens, score in zip(*text, strict=True)] for text in texts]


def _take(values: Tensor, places: Tensor) -> Tensor:
    """[texts, n, ...] at [texts, m] -> [texts, m, ...]."""
    return values.take_along_dim(places.view(*places.shape, *[1] * (values.ndim - 2)), dim=1)

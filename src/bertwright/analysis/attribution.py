"""Which tokens a model's answer rests on: integrated gradients over the token embeddings, and attention maps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bertwright.errors import InputError
from bertwright.models import Model
from bertwright.models.output import Output
from bertwright.text.tokenizer import Encoding, Tokenizer

# Gradients are taken at so many points of the path at first, and at twice as many until the parts add up; a text rarely needs more than 64.
FIRST_POINTS, MOST_POINTS = 16, 128
# How far the parts may miss the whole, as a share of it; below LITTLE (in logits) a share says nothing, so the share is of LITTLE.
MISS, LITTLE = 0.02, 0.25
PASS_TOKENS = 4096  # tokens of a pass with gradients: keeps the activations of a base model below a gigabyte

Target = Callable[[Output], Tensor]


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """What each token added to a score, against the same text with its words hidden.

    scores: [length], in the score's unit (logits); their sum is score - baseline up to `gap`. points: gradients that were taken.
    """

    scores: tuple[float, ...]
    score: float
    baseline: float
    points: int

    @property
    def gap(self) -> float:
        """By how much the parts miss the whole: 0 would be complete (Sundararajan et al. 2017, proposition 1)."""
        return sum(self.scores) - (self.score - self.baseline)

    @property
    def complete(self) -> bool:
        return abs(self.gap) <= MISS * max(abs(self.score - self.baseline), LITTLE)


def integrated_gradients(model: Model, encoding: Encoding, *, baseline: list[int], target: Target) -> Attribution:
    """Integrated gradients of a score over the token embeddings (Sundararajan et al. 2017, equation 1), by Gauss-Legendre quadrature.

    baseline: ids of the text to start from, as many as the encoding has: see `hidden_words`. target: the score of each row, [rows], of an output. Positions
    and token types are the text's own all along. The points are doubled until the parts add up (`Attribution.complete`) or there are MOST_POINTS.
    Raises InputError for a model of two stacks, ValueError for a baseline of another length.
    """
    _check_one_stack(model)
    if len(baseline) != len(encoding.ids):
        raise ValueError(f"the baseline has {len(baseline)} ids, the text {len(encoding.ids)}: give one for each")
    device = model.tokens.weight.device
    ids, types = _rows(model, encoding, device)
    with torch.no_grad():
        start, end = (model.tokens(torch.tensor([row], device=device)) for row in (baseline, encoding.ids))
        with _embedded(model, torch.cat([start, end])):
            lowest, highest = target(_run(model, ids, types, 2)).float().tolist()
    points = FIRST_POINTS
    while True:
        gradient = _mean_gradient(model, ids, types, start=start, end=end, points=points, target=target)
        scores = tuple(((end - start).double() * gradient).sum(-1)[0].tolist())
        found = Attribution(scores=scores, score=highest, baseline=lowest, points=points)
        if found.complete or points >= MOST_POINTS:
            return found
        points *= 2


def hidden_words(encoding: Encoding, tokenizer: Tokenizer) -> list[int]:
    """The ids of a text whose words are hidden: [MASK] in place of each token but the special ones, else padding, else the unknown token.

    [MASK] is the one token that a masked language model has learnt to read as "something stands here"; padding is the usual second choice (Kokhlikyan et al.
    2020, Captum's tutorial on BERT). Raises InputError where the tokenizer has none of them.
    """
    roles = [role for role in ("mask", "pad", "unk", "eos") if tokenizer.has(role)]
    if not roles:
        raise InputError("this tokenizer has no mask, padding, unknown or end token that could stand in for a hidden word: its texts have no attribution")
    hidden = {"mask": lambda: tokenizer.mask_id, "pad": lambda: tokenizer.pad_id, "unk": lambda: tokenizer.unk_id, "eos": lambda: tokenizer.eos_id}[roles[0]]()
    special = set(tokenizer.special_ids) - ({tokenizer.unk_id} if tokenizer.has("unk") else set())
    return [token if token in special else hidden for token in encoding.ids]


@torch.no_grad()
def attention_maps(model: Model, encoding: Encoding) -> Tensor:
    """Who looks at whom, averaged over heads: [layers, length, length] on the CPU, each row (the token that looks) sums to 1.

    Raises InputError for a model of two stacks.
    """
    _check_one_stack(model)
    ids, types = _rows(model, encoding, model.tokens.weight.device)
    attentions = model(ids, None, types, output_attentions=True).attentions or ()
    return torch.stack([attention[0].float().mean(0) for attention in attentions]).cpu()


def _check_one_stack(model: Model) -> None:
    if model.encoder is not None and model.decoder is not None:
        raise InputError("attribution reads models of one stack: a model of two reads every text twice, and its parts would not add up")


def _rows(model: Model, encoding: Encoding, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """ids and type ids [1, length]; none where the model cannot tell two texts apart."""
    highest = model.architecture.last.segments - 1
    types = torch.tensor([[min(kind, highest) for kind in encoding.type_ids]], device=device) if highest > 0 else None
    return torch.tensor([encoding.ids], device=device), types


def _run(model: Model, ids: Tensor, types: Tensor | None, rows: int) -> Output:
    output: Output = model(ids.expand(rows, -1), None, None if types is None else types.expand(rows, -1))
    return output


@contextmanager
def _embedded(model: Model, vectors: Tensor) -> Iterator[None]:
    """Within it the token table gives these vectors [rows, length, embedding_size], whatever the ids."""
    hook = model.tokens.register_forward_hook(lambda module, inputs, output: vectors)
    try:
        yield
    finally:
        hook.remove()


def _mean_gradient(model: Model, ids: Tensor, types: Tensor | None, *, start: Tensor, end: Tensor, points: int, target: Target) -> Tensor:
    """The gradient of the score over the embeddings, [1, length, embedding_size] in float64, averaged along the straight path from `start` to `end`."""
    places, weights = np.polynomial.legendre.leggauss(points)
    alphas = torch.tensor((places + 1) / 2, dtype=start.dtype, device=start.device)[:, None, None]
    shares = torch.tensor(weights / 2, dtype=torch.float64, device=start.device)[:, None, None]
    rows = max(1, PASS_TOKENS // ids.shape[1])
    total = torch.zeros_like(start, dtype=torch.float64)
    for first in range(0, points, rows):
        part = slice(first, first + rows)
        vectors = (start + alphas[part] * (end - start)).detach().requires_grad_()
        with torch.enable_grad(), _embedded(model, vectors):
            score = target(_run(model, ids, types, len(vectors))).sum()
            (gradient,) = torch.autograd.grad(score, vectors)
        total += (gradient.double() * shares[part]).sum(0, keepdim=True)
    return total

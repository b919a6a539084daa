"""The relations between tokens that a layer's queries, keys and values stand in (Wang et al. 2021, MiniLMv2, arXiv 2012.15828, section 3.1)."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.models.transformer import Model

PROJECTIONS = ("query", "key", "value")
# What stands in the place of a token of another text: its probability is 0, and its logarithm still a number.
ELSEWHERE = -1e4


@contextmanager
def last_projections(model: Model) -> Iterator[dict[str, Tensor]]:
    """Gets, of each call of the model in the context, the last layer's queries, keys and values, each [batch, length, heads x head_size]."""
    if model.encoder is None:
        raise ValueError("relations are those of an encoder")
    *_, block = model.encoder.in_order()
    found = dict[str, Tensor]()

    def keep(name: str, module: nn.Module, given: object, output: Tensor) -> None:
        found[name] = output

    hooks = [getattr(block.attention, name).register_forward_hook(partial(keep, name)) for name in PROJECTIONS]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def log_relations(projected: Tensor, *, heads: int, allowed: Tensor | None) -> Tensor:
    """[batch, length, size] -> log softmax of each token's scaled products with all, [batch, heads, length, length], in float32.

    allowed: who stands in one text with whom, broadcastable to that; None where all do.
    """
    parts = projected.float().view(*projected.shape[:2], heads, -1).transpose(1, 2)
    products = parts @ parts.transpose(-1, -2) * parts.shape[-1] ** -0.5
    logs: Tensor = (products if allowed is None else products.masked_fill(~allowed, ELSEWHERE)).log_softmax(-1)
    return logs


def relation_loss(own: dict[str, Tensor], taught: dict[str, Tensor], *, heads: int, allowed: Tensor | None, real: Tensor) -> Tensor:
    """The divergence of a model's relations from its teacher's: a mean over `heads` and the three kinds, a sum over the `real` tokens [batch, length]."""
    total = torch.zeros((), device=real.device)
    for name in PROJECTIONS:
        mine, theirs = (log_relations(found[name], heads=heads, allowed=allowed) for found in (own, taught))
        total = total + (F.kl_div(mine, theirs, reduction="none", log_target=True).sum(-1).mean(1) * real).sum()
    return total / len(PROJECTIONS)

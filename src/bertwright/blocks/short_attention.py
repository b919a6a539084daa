"""Attention for short rows on a CPU, by plain matrix products with a backward pass of its own.

At the lengths a small BERT trains at, keeping the probabilities and multiplying batches of small matrices is several
times faster than the fused kernel, whose backward pass computes them again block by block.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from bertwright.blocks.dropout import kept, scale_of

# Above this length the kept probabilities outgrow the caches, and memory grows with the square of the length. In float32 the fused kernel catches up at 128
# tokens, and without gradients it is ahead at every length (2 cores of an AMD EPYC; in bfloat16 it takes two to five times as long).
LONGEST = 256
LONGEST_FLOAT32 = 64


class ShortAttention(torch.autograd.Function):
    """dropout(softmax(scale query key^T)) value over [batch, heads, length, head_size]; `allowed` broadcasts to [batch, heads, queries, keys]."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, scale: float, dropout: float) -> Tensor:
        shape, keys = query.shape, key.shape[2]
        query, key, value = (x.reshape(-1, *x.shape[2:]) for x in (query, key, value))
        if allowed is None:
            scores = torch.bmm(query, key.mT).mul_(scale)
        else:
            scores = torch.baddbmm(_forbidding(allowed, query.dtype).expand(*shape[:3], keys).reshape(-1, shape[2], keys), query, key.mT, alpha=scale)
        probabilities = torch.softmax(scores, -1)
        keep = kept(probabilities, dropout) if dropout else None
        ctx.save_for_backward(query, key, value, probabilities, keep)
        ctx.scale, ctx.of_kept = scale, scale_of(dropout)
        return _times(torch.bmm(_where(keep, probabilities), value), ctx.of_kept).view(shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        query, key, value, probabilities, keep = ctx.saved_tensors
        (grad,) = gradients
        shape = grad.shape
        grad, of_keys = _times(grad.reshape(query.shape), ctx.of_kept), (*shape[:2], *key.shape[1:])
        of_value = torch.bmm(_where(keep, probabilities).mT, grad)
        # d softmax: p * (dp - sum(p * dp)); a forbidden place has p = 0 and so takes no gradient.
        of_scores = torch._softmax_backward_data(_where(keep, torch.bmm(grad, value.mT)), probabilities, -1, probabilities.dtype)
        of_scores.mul_(ctx.scale)
        return torch.bmm(of_scores, key).view(shape), torch.bmm(of_scores.mT, query).view(of_keys), of_value.view(of_keys), None, None, None


def _forbidding(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to scores: 0 where attention may go, elsewhere so much that nothing of a score is left. Filling by a mask takes ten times as long."""
    return allowed.to(dtype).sub_(1.0).mul_(-torch.finfo(dtype).min)


def _where(keep: Tensor | None, values: Tensor) -> Tensor:
    return values if keep is None else values * keep


def _times(values: Tensor, scale: float) -> Tensor:
    return values if scale == 1 else values * scale


def short_attention(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, *, scale: float, dropout: float = 0.0) -> Tensor:
    """[batch, heads, queries, head_size], twice [batch, heads, keys, head_size] -> the shape of the query. `allowed`: bool, true where attention may go."""
    apply: Callable[..., Tensor] = ShortAttention.apply
    return apply(query, key, value, allowed, scale, dropout)


_CHOSEN: ContextVar[bool | None] = ContextVar("probabilities are kept", default=None)


@contextmanager
def probabilities_kept(chosen: bool | None) -> Iterator[None]:
    """This path at any length, or none at all, whatever is fast: for counting what other devices hold; None leaves the choice as it is."""
    token = _CHOSEN.set(chosen)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def suits(query: Tensor, *, dropout: float) -> bool:
    """Whether this path is the fast one for such a query: short, on a CPU. With dropout torch has no fused kernel there."""
    if (chosen := _CHOSEN.get()) is not None or query.device.type != "cpu":
        return bool(chosen)
    if query.dtype == torch.float32:
        return query.requires_grad and query.shape[-2] <= (LONGEST if dropout else LONGEST_FLOAT32)
    return query.dtype == torch.bfloat16 and query.shape[-2] <= LONGEST

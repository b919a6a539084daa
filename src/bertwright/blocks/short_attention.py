"""Attention for short rows on a CPU, by plain matrix products with a backward pass of its own.

At the lengths a small BERT trains at, keeping the probabilities and multiplying batches of small matrices is several
times faster than the fused kernel, whose backward pass computes them again block by block.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# Above this length the kept probabilities outgrow the caches, and memory grows with the square of the length.
LONGEST = 256


class ShortAttention(torch.autograd.Function):
    """softmax(query key^T / sqrt(head_size)) value over [batch, heads, length, head_size]; `allowed` broadcasts to [batch, heads, length, length]."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None) -> Tensor:
        shape = query.shape
        query, key, value = (x.reshape(-1, *shape[2:]) for x in (query, key, value))
        scores = torch.bmm(query, key.mT).mul_(shape[-1] ** -0.5)
        if allowed is not None:
            scores.view(*shape[:3], shape[2]).masked_fill_(~allowed, torch.finfo(scores.dtype).min)
        probabilities = torch.softmax(scores, -1)
        ctx.save_for_backward(query, key, value, probabilities)
        return torch.bmm(probabilities, value).view(shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value, probabilities = ctx.saved_tensors
        (grad,) = gradients
        shape = grad.shape
        grad = grad.reshape(query.shape)
        of_value = torch.bmm(probabilities.mT, grad)
        # d softmax: p * (dp - sum(p * dp)); a forbidden place has p = 0 and so takes no gradient.
        of_scores = torch._softmax_backward_data(torch.bmm(grad, value.mT), probabilities, -1, probabilities.dtype)
        of_scores.mul_(shape[-1] ** -0.5)
        return torch.bmm(of_scores, key).view(shape), torch.bmm(of_scores.mT, query).view(shape), of_value.view(shape), None


def short_attention(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None) -> Tensor:
    """[batch, heads, length, head_size] three times -> the same shape. `allowed`: bool, true where attention may go."""
    apply: Callable[..., Tensor] = ShortAttention.apply
    return apply(query, key, value, allowed)


def suits(query: Tensor, *, dropout: float) -> bool:
    """Whether this path is the fast one for such a query: on a CPU, short, without dropout."""
    return query.device.type == "cpu" and dropout == 0 and query.shape[-2] <= LONGEST

"""Dropout (Srivastava et al. 2014) whose random numbers cost a quarter of torch's on a CPU."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# A rate is one of so many steps: random 16-bit numbers, four of which come out of the generator at a time, where torch draws one double for each place.
STEPS = 2**16


def kept(values: Tensor, rate: float) -> Tensor:
    """In the shape and type of values on the CPU: each place 0 with probability `rate`, to the nearest of STEPS, else 1."""
    count = values.numel()
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    # Written as numbers at once: a product with booleans would turn them into numbers first, in a pass of its own.
    keep = torch.empty(count, dtype=values.dtype)
    return torch.ge(bits.view(torch.int16)[:count], _steps(rate) - STEPS // 2, out=keep).view(values.shape)


def scale_of(rate: float) -> float:
    """What kept values are multiplied by, so that the mean stays."""
    return STEPS / (STEPS - _steps(rate))


def _steps(rate: float) -> int:
    return min(round(rate * STEPS), STEPS - 1)


class _Dropped(torch.autograd.Function):
    """Values times what is kept of them and its scale; the backward pass keeps the same places."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rate: float) -> Tensor:
        keep, ctx.scale = kept(values, rate), scale_of(rate)
        ctx.save_for_backward(keep)
        return torch.mul(values, keep).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (keep,), (grad,) = ctx.saved_tensors, gradients
        return torch.mul(grad, keep).mul_(ctx.scale), None


def dropout(values: Tensor, rate: float) -> Tensor:
    """Each value is zero with probability `rate`, else divided by 1 - rate. rate: 0 to below 1."""
    if not rate:
        return values
    if values.device.type != "cpu":
        return F.dropout(values, rate)
    apply: Callable[..., Tensor] = _Dropped.apply
    return apply(values, rate)


class Dropout(nn.Module):
    """`dropout` while training: [..., size] -> the same shape."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Tensor) -> Tensor:
        return dropout(values, self.rate) if self.training else values

    def extra_repr(self) -> str:
        return f"{self.rate:g}"

"""A linear layer whose products come from the fastest library that serves."""

import platform
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Where torch can multiply with oneDNN, on the processors whose instructions that knows best.
AVAILABLE: bool = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch's own
    and platform.machine() in ("x86_64", "AMD64")
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
# Below so many rows both take as long, or calling oneDNN takes longer.
ROWS = 128


class Linear(nn.Linear):
    """[..., in_features] -> [..., out_features]. In float32 on a CPU by oneDNN, as torch itself does it in bfloat16 and compiled models.

    torch's own product in float32 is MKL's, which on an AMD EPYC takes 1.1 to 1.8 times as long.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not _suits(input, self.weight):
            return F.linear(input, self.weight, self.bias)
        learns = torch.is_grad_enabled() and any(given is not None and given.requires_grad for given in (input, self.weight, self.bias))
        found: Tensor = _learning(input, self.weight, self.bias) if learns else _by_onednn(input, self.weight, self.bias)
        return found


def transposed_product(left: Tensor, right: Tensor) -> Tensor:
    """[rows, size] and [columns, size] -> left times the transposed right, [rows, columns]; without a gradient."""
    return _by_onednn(left.contiguous(), right.contiguous()) if _suits(left, right) else torch.mm(left, right.t())


class _Product(torch.autograd.Function):
    """input weight^T + bias with all three products of its passes by oneDNN, which torch gives no gradient."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(input, weight)
        return _by_onednn(input, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        rows, grad = input.flatten(0, -2), gradients[0].flatten(0, -2)
        of_input, of_weight, of_bias = ctx.needs_input_grad
        return (
            transposed_product(grad, weight.t()).view(input.shape) if of_input else None,
            transposed_product(grad.t(), rows.t()) if of_weight else None,
            grad.sum(0) if of_bias else None,
        )


_learning: Callable[..., Tensor] = _Product.apply


def _by_onednn(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    found: Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")
    return found


def _suits(input: Tensor, weight: Tensor) -> bool:
    if torch.compiler.is_compiling():  # which chooses for itself
        return False
    if not AVAILABLE or input.device.type != "cpu" or input.dtype != torch.float32 or weight.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    return input.numel() >= ROWS * input.shape[-1]

"""A linear layer and its cross-entropy in one, chunk by chunk, so that the logits of all rows are never held at once."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bertwright.blocks.linear import transposed_product

# Logits of one chunk: 4 Mi float32 values are 16 MiB, about a processor's last-level cache; at least 128 rows keep the products efficient.
CHUNK_VALUES = 4 * 2**20
CHUNK_ROWS = 128
# Probabilities of rare words are below what float16 holds: they are multiplied by this before a product and the result is divided by it.
FLOAT16_HEADROOM = 1024.0


class LinearCrossEntropy(torch.autograd.Function):
    """Sums -log softmax(hidden weight^T + bias)[label] over rows; the gradients are ready when the loss is."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
        wanted = any(ctx.needs_input_grad)
        cast = weight.to(hidden.dtype)
        of_hidden = torch.empty_like(hidden) if wanted else None
        of_weight = torch.zeros_like(weight) if wanted else None
        of_bias = torch.zeros_like(bias, dtype=torch.float32) if wanted else None
        total = torch.zeros((), device=hidden.device)
        headroom = FLOAT16_HEADROOM if hidden.dtype == torch.float16 else 1.0
        rows = max(CHUNK_ROWS, CHUNK_VALUES // len(weight))
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            # Added in float32: log frequencies of rare words are too large for half precision.
            logits = transposed_product(hidden[part], cast).float().add_(bias)
            probabilities, chosen = logits.softmax(-1), labels[part, None]
            # log sum exp, from the largest logit and its probability: both are had without a second pass of exponentials.
            total += (logits.amax(-1) - probabilities.amax(-1).log()).sum() - logits.gather(1, chosen).sum()
            del logits
            if of_hidden is not None and of_weight is not None and of_bias is not None:
                probabilities.scatter_add_(1, chosen, torch.full_like(chosen, -1.0, dtype=torch.float32))
                of_bias += probabilities.sum(0)
                slope = (probabilities.mul_(headroom) if headroom != 1 else probabilities).to(hidden.dtype)
                of_hidden[part] = torch.mm(slope, cast).div_(headroom)  # turning the weights round for each chunk would cost more than oneDNN gains
                of_weight.add_(transposed_product(slope.t(), hidden[part].t()), alpha=1 / headroom)
        ctx.save_for_backward(of_hidden, of_weight, None if of_bias is None else of_bias.to(bias.dtype))
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        of_hidden, of_weight, of_bias = ctx.saved_tensors
        (scale,) = gradients
        # In place: a large vocabulary's gradient is not to be held twice. Nobody goes back through it a second time.
        return of_hidden.mul_(scale.to(of_hidden.dtype)), of_weight.mul_(scale), of_bias.mul_(scale.to(of_bias.dtype)), None


def linear_cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    """hidden [rows, size], weight [classes, size], bias [classes], labels [rows] -> the summed loss, float32, []."""
    apply: Callable[..., Tensor] = LinearCrossEntropy.apply
    return apply(hidden, weight, bias, labels)

"""A linear layer whose product comes from the fastest library that serves."""

import platform

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Where torch can multiply with oneDNN, on the processors whose instructions that knows best.
AVAILABLE: bool = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch's own
    and platform.machine() in ("x86_64", "AMD64")
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
# Below so many rows both take as long, or calling oneDNN takes longer.
ROWS = 128


class Linear(nn.Linear):
    """[..., in_features] -> [..., out_features]. In inference mode, in float32 on a CPU, by oneDNN, as torch itself does it in bfloat16 and compiled models.

    torch's own product in float32 is MKL's, which on an AMD EPYC takes 1.1 to 1.5 times as long; a whole model then takes 1.07 times as long.
    """

    def forward(self, input: Tensor) -> Tensor:
        if AVAILABLE and torch.is_inference_mode_enabled() and _suits(input, self.weight):
            found: Tensor = torch.ops.mkldnn._linear_pointwise(input, self.weight, self.bias, "none", [], "")
            return found
        return F.linear(input, self.weight, self.bias)


def _suits(input: Tensor, weight: Tensor) -> bool:
    if input.device.type != "cpu" or input.dtype != torch.float32 or weight.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    return input.numel() >= ROWS * input.shape[-1]

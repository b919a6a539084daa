"""Activations by their architecture name."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function for a name in `architecture.ACTIVATIONS`. Raises KeyError on any other."""
    return _BY_NAME[name]


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


_BY_NAME: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "gelu_tanh": _gelu_tanh, "relu": F.relu, "silu": F.silu, "tanh": torch.tanh}

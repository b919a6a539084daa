"""A batch: what a model is given and what an objective scores, on one device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertwright.blocks.layout import Layout, Packed, Padded
from bertwright.data.samples import Samples

# Rows are cut to the longest one, rounded up to this: kernels like even lengths, and there are few different ones.
LENGTH_STEP = 8


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Frozen. `weights` says what each loss term of this batch is divided by (masked tokens, pairs), before anything is computed.

    input_ids, token_type_ids: [batch, length]; target_ids: what a decoder beside an encoder is to write, [batch, target length]; predict_positions: flat places
    into those, else into input_ids, ascending, [scored]; prediction_labels: [scored];
    next_sentence_label, sentence_order_label: [batch]; numbers: the samples' numbers in the run, [batch]; tokens: how many are no padding.
    """

    input_ids: Tensor
    layout: Layout
    numbers: NDArray[np.int64]
    tokens: int
    weights: Mapping[str, float]
    token_type_ids: Tensor | None = None
    target_ids: Tensor | None = None
    predict_positions: Tensor | None = None
    prediction_labels: Tensor | None = None
    next_sentence_label: Tensor | None = None
    sentence_order_label: Tensor | None = None

    def to(self, device: torch.device) -> Self:
        """The same batch on another device, copied without waiting where it is pinned."""
        if device.type == "cpu":
            return self
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> Self:
        """The same batch in memory that a GPU copies from while both go on."""
        return self.each(Tensor.pin_memory)

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same batch with every tensor of it changed so."""
        changed: dict[str, Any] = {"layout": self.layout.each(change)}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                changed[field.name] = change(value)
        return replace(self, **changed)


def layout_of(samples: Samples, length: int) -> Layout:
    """Packed where a row holds several documents; padded with a mask where a row is shorter than `length`; padded without one else."""
    if samples.sequences is not None:
        return Packed(torch.from_numpy(samples.sequences[:, :length]))
    if (samples.lengths == length).all():
        return Padded()
    return Padded(torch.from_numpy(np.arange(length) < samples.lengths[:, None]))


def shown_length(samples: Samples) -> int:
    """The length rows are cut to: the longest, rounded up, never beyond what they have."""
    longest = int(samples.lengths.max())
    return min(int(samples.ids.shape[1]), -(-longest // LENGTH_STEP) * LENGTH_STEP)

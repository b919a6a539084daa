"""Padded rows moved together, several to a row, so that padding is not computed (Portes et al. 2023, MosaicBERT, section 2.1.4)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bertwright.blocks.layout import Packed

# Padding below this share costs less than moving the rows.
WORTH = 0.1


def worth_unpadding(attention_mask: Tensor) -> bool:
    """Whether a [batch, length] mask hides so much at the rows' ends that packing wins: one row at least is saved."""
    rows, length = attention_mask.shape
    if rows == 1:
        return False
    in_front = (attention_mask[:, 1:] <= attention_mask[:, :-1]).all()
    # One transfer: on a GPU each waits for all work before it.
    tokens, ordered = torch.stack([attention_mask.sum(), in_front]).tolist()
    return bool(ordered) and rows * length - tokens >= max(WORTH * rows * length, length)


@dataclass(frozen=True)
class Unpadding:
    """Where each token of padded rows lies in packed ones.

    source: [packed rows, length], the flat place in the padded rows, 0 where a packed row has room left; target: [batch * length], the flat packed place,
    0 for padding.
    """

    layout: Packed
    source: Tensor
    target: Tensor

    @classmethod
    def of(cls, attention_mask: Tensor) -> "Unpadding":
        """First fit by falling length; attention_mask: [batch, length], 1 on real tokens, which stand in front."""
        mask = attention_mask.bool()
        length, lengths = mask.shape[1], mask.sum(1).tolist()
        rows: list[list[int]] = []
        free: list[int] = []
        for text in sorted(range(len(lengths)), key=lambda text: -lengths[text]):
            place = next((number for number, space in enumerate(free) if space >= lengths[text]), len(free))
            if place == len(free):
                rows.append([])
                free.append(length)
            rows[place].append(text)
            free[place] -= lengths[text]
        source, numbers, target = np.zeros((len(rows), length), np.int64), np.zeros((len(rows), length), np.int64), np.zeros(mask.shape, np.int64)
        for place, texts in enumerate(rows):
            begin = 0
            for number, text in enumerate(texts):
                end = begin + lengths[text]
                source[place, begin:end] = np.arange(text * length, text * length + lengths[text])
                target[text, : lengths[text]] = np.arange(place * length + begin, place * length + end)
                numbers[place, begin:end] = number
                begin = end
            numbers[place, begin:] = len(texts)
        layout = Packed(torch.from_numpy(numbers))
        if mask.device.type != "cpu":
            layout = layout.each(lambda tensor: tensor.to(mask.device))
        return cls(layout, *(torch.from_numpy(array).to(mask.device) for array in (source, target.reshape(-1))))

    def pack(self, values: Tensor) -> Tensor:
        """[batch, length], or [1, length] for all, -> [packed rows, length]; room left over repeats the first value."""
        return values.expand(len(self.target) // self.source.shape[1], -1).flatten()[self.source]

    def unpack(self, hidden: Tensor) -> Tensor:
        """[packed rows, length, size] -> [batch, length, size]; padding gets vectors that mean nothing."""
        return hidden.flatten(0, 1)[self.target].view(-1, hidden.shape[1], hidden.shape[2])

    def at(self, places: Tensor) -> Tensor:
        """Flat places in the padded rows -> in the packed ones."""
        return self.target[places]

"""Where the tokens of a batch lie, and so who may attend to whom. A layout owns the attention call."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from bertwright.blocks.short_attention import short_attention, suits


class Layout(Protocol):
    """What a model asks of the rows it is given."""

    def to(self, device: torch.device) -> "Layout":
        """The same layout on another device."""

    def positions(self, input_ids: Tensor) -> Tensor | None:
        """Place of each token in its own sequence, [batch, length]; None where every row simply counts from 0."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, *, dropout: float) -> Tensor:
        """Attention of [batch, heads, length, head_size] tensors, through the fused kernel; the same shape comes back."""

    def probabilities(self, query: Tensor, key: Tensor) -> Tensor:
        """The attention after the softmax, [batch, heads, length, length]; for looking at, in plain operations."""


def _attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, *, dropout: float) -> Tensor:
    if suits(query, dropout=dropout):
        return short_attention(query, key, value, allowed)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, dropout_p=dropout)


def _probabilities(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(-1)


@dataclass(frozen=True)
class Padded:
    """One sequence a row. `mask` [batch, length] is true on real tokens; None where no row is padded."""

    mask: Tensor | None = None

    @cached_property
    def allowed(self) -> Tensor | None:
        return None if self.mask is None else self.mask[:, None, None, :]

    def positions(self, input_ids: Tensor) -> Tensor | None:
        return None

    def attend(self, query: Tensor, key: Tensor, value: Tensor, *, dropout: float) -> Tensor:
        return _attend(query, key, value, self.allowed, dropout=dropout)

    def probabilities(self, query: Tensor, key: Tensor) -> Tensor:
        return _probabilities(query, key, self.allowed)

    def to(self, device: torch.device) -> "Padded":
        return Padded(None if self.mask is None else self.mask.to(device, non_blocking=True))


@dataclass(frozen=True)
class Packed:
    """Several sequences a row, each with its own attention and its own positions from 0.

    `sequences` [batch, length] numbers them within the row, ascending. Padding is one more sequence of its own at the end of a row.
    """

    sequences: Tensor

    @cached_property
    def allowed(self) -> Tensor:
        return (self.sequences[:, None, :, None] == self.sequences[:, None, None, :]).contiguous()

    @cached_property
    def _positions(self) -> Tensor:
        places = torch.arange(self.sequences.shape[1], device=self.sequences.device).expand_as(self.sequences)
        starts = torch.ones_like(self.sequences, dtype=torch.bool)
        starts[:, 1:] = self.sequences[:, 1:] != self.sequences[:, :-1]
        return places - torch.where(starts, places, 0).cummax(dim=1).values

    def positions(self, input_ids: Tensor) -> Tensor | None:
        return self._positions

    def attend(self, query: Tensor, key: Tensor, value: Tensor, *, dropout: float) -> Tensor:
        return _attend(query, key, value, self.allowed, dropout=dropout)

    def probabilities(self, query: Tensor, key: Tensor) -> Tensor:
        return _probabilities(query, key, self.allowed)

    def to(self, device: torch.device) -> "Packed":
        return Packed(self.sequences.to(device, non_blocking=True))

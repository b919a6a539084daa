"""Where the tokens of a batch lie, and so who may attend to whom. A layout owns the attention call."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from bertwright.blocks.scores import Scores, attend, probabilities


class Layout(Protocol):
    """What a model asks of the rows it is given."""

    def to(self, device: torch.device) -> "Layout":
        """The same layout on another device."""

    def positions(self) -> Tensor | None:
        """Place of each token in its own sequence, [batch, length]; None where every row simply counts from 0."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> Tensor:
        """Attention of [batch, heads, queries, head_size] over [batch, heads, keys, head_size], through the fused kernel where `scores` allow it."""

    def probabilities(self, query: Tensor, key: Tensor, scores: Scores) -> Tensor:
        """The attention after the softmax, [batch, heads, queries, keys]; for looking at, in plain operations."""


@dataclass(frozen=True)
class Padded:
    """One sequence a row. `mask` [batch, keys] is true on real tokens; None where no row is padded. Queries are the last ones of the keys."""

    mask: Tensor | None = None
    _seen: dict[tuple[object, ...], Tensor | None] = field(default_factory=dict, repr=False, compare=False)

    def allowed(self, scores: Scores, query: Tensor, key: Tensor) -> Tensor | None:
        """True where attention may go, broadcastable to [batch, heads, queries, keys]; None for everywhere. Made once for each kind of layer."""
        kind = (scores.causal, scores.window, query.shape[-2], key.shape[-2])
        if kind not in self._seen:
            reach = _reach(scores, query.shape[-2], key.shape[-2], query.device)
            mask = None if self.mask is None else self.mask[:, None, None, :]
            self._seen[kind] = _both(reach, mask)
        return self._seen[kind]

    def positions(self) -> Tensor | None:
        return None

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> Tensor:
        return attend(query, key, value, self.allowed(scores, query, key), scores)

    def probabilities(self, query: Tensor, key: Tensor, scores: Scores) -> Tensor:
        return probabilities(query, key, self.allowed(scores, query, key), scores)

    def to(self, device: torch.device) -> "Padded":
        return Padded(None if self.mask is None else self.mask.to(device, non_blocking=True))


@dataclass(frozen=True)
class Packed:
    """Several sequences a row, each with its own attention and its own positions from 0.

    `sequences` [batch, length] numbers them within the row, ascending. Padding is one more sequence of its own at the end of a row.
    """

    sequences: Tensor
    _seen: dict[tuple[object, ...], Tensor] = field(default_factory=dict, repr=False, compare=False)

    def allowed(self, scores: Scores, query: Tensor, key: Tensor) -> Tensor:
        """True where attention may go, [batch, 1, length, length]: within a sequence, and as far as the layer reaches."""
        kind = (scores.causal, scores.window)
        if kind not in self._seen:
            same = self.sequences[:, None, :, None] == self.sequences[:, None, None, :]
            reach = _reach(scores, query.shape[-2], key.shape[-2], query.device)
            self._seen[kind] = (same if reach is None else same & reach).contiguous()
        return self._seen[kind]

    @cached_property
    def _positions(self) -> Tensor:
        places = torch.arange(self.sequences.shape[1], device=self.sequences.device).expand_as(self.sequences)
        starts = torch.ones_like(self.sequences, dtype=torch.bool)
        starts[:, 1:] = self.sequences[:, 1:] != self.sequences[:, :-1]
        return places - torch.where(starts, places, 0).cummax(dim=1).values

    def positions(self) -> Tensor | None:
        return self._positions

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> Tensor:
        return attend(query, key, value, self.allowed(scores, query, key), scores)

    def probabilities(self, query: Tensor, key: Tensor, scores: Scores) -> Tensor:
        return probabilities(query, key, self.allowed(scores, query, key), scores)

    def to(self, device: torch.device) -> "Packed":
        return Packed(self.sequences.to(device, non_blocking=True))


def _reach(scores: Scores, queries: int, keys: int, device: torch.device) -> Tensor | None:
    """True where a layer may look by distance alone, [queries, keys]; None for everywhere."""
    if (queries == 1 and scores.window is None) or (not scores.causal and scores.window is None):
        return None
    distance = torch.arange(keys, device=device) - torch.arange(keys - queries, keys, device=device)[:, None]
    near = distance.abs() <= (keys if scores.window is None else scores.window)
    return near & (distance <= 0) if scores.causal else near


def _both(reach: Tensor | None, mask: Tensor | None) -> Tensor | None:
    if reach is None or mask is None:
        return mask if reach is None else reach
    # A padded token that reaches only padding looks at itself: a row of nothing would be no number.
    queries, keys = reach.shape
    own = torch.eye(keys, dtype=torch.bool, device=reach.device)[keys - queries :]
    return (reach & mask) | own

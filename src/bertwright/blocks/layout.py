"""Where the tokens of a batch lie, and so who may attend to whom. A layout owns the attention call."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from bertwright.blocks.scores import Scores, attend, biased, probabilities
from bertwright.blocks.sequence_attention import Borders, sequence_attention, sequence_attention_suits


class Layout(Protocol):
    """What a model asks of the rows it is given."""

    def each(self, change: Callable[[Tensor], Tensor]) -> "Layout":
        """The same layout with every tensor of it changed so, such as copied to another device."""

    def positions(self) -> Tensor | None:
        """Place of each token in its own sequence, [batch, length]; None where every row simply counts from 0."""

    def allowed(self, scores: Scores, query: Tensor, key: Tensor) -> Tensor | None:
        """True where attention may go, broadcastable to [batch, heads, queries, keys]; None for everywhere."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> Tensor:
        """Attention of [batch, heads, queries, head_size] over [batch, heads, keys, head_size], through the fused kernel where `scores` allow it."""

    def probabilities(self, query: Tensor, key: Tensor, scores: Scores) -> Tensor:
        """The attention after the softmax, [batch, heads, queries, keys]; for looking at, in plain operations."""


class _Rows(ABC):
    """What layouts share: who may attend to whom is worked out once for each kind of layer, and laid over a bias once for all layers that share it."""

    def __init__(self) -> None:
        self._allowed: dict[tuple[object, ...], Tensor | None] = {}
        self._biased: tuple[Tensor, Tensor | None, Tensor] | None = None

    def allowed(self, scores: Scores, query: Tensor, key: Tensor) -> Tensor | None:
        """True where attention may go, broadcastable to [batch, heads, queries, keys]; None for everywhere."""
        kind = (scores.causal, scores.window, query.shape[-2], key.shape[-2])
        if kind not in self._allowed:
            self._allowed[kind] = self._among(_reach(scores, query.shape[-2], key.shape[-2], query.device))
        return self._allowed[kind]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> Tensor:
        allowed = self.allowed(scores, query, key)
        if scores.bias is None or scores.mix is not None:
            return attend(query, key, value, allowed, scores, triangle=self._is_triangle(scores, query, key))
        if self._biased is None or self._biased[0] is not scores.bias or self._biased[1] is not allowed:
            self._biased = (scores.bias, allowed, biased(scores.bias, allowed))
        return attend(query, key, value, None, replace(scores, bias=self._biased[2]))

    def probabilities(self, query: Tensor, key: Tensor, scores: Scores) -> Tensor:
        return probabilities(query, key, self.allowed(scores, query, key), scores)

    @abstractmethod
    def _among(self, reach: Tensor | None) -> Tensor | None:
        """Who may attend to whom of those within reach, [queries, keys]; None for everywhere."""

    def _is_triangle(self, scores: Scores, query: Tensor, key: Tensor) -> bool:
        """Whether each query sees the keys up to its own place and nothing else decides."""
        return False


class Padded(_Rows):
    """One sequence a row. `mask` [batch, keys] is true on real tokens; None where no row is padded. Queries are the last ones of the keys."""

    def __init__(self, mask: Tensor | None = None) -> None:
        super().__init__()
        self.mask = mask

    def positions(self) -> Tensor | None:
        return None

    def each(self, change: Callable[[Tensor], Tensor]) -> "Padded":
        return Padded(None if self.mask is None else change(self.mask))

    def _among(self, reach: Tensor | None) -> Tensor | None:
        if reach is None or self.mask is None:
            return reach if self.mask is None else self.mask[:, None, None, :]
        # A padded token that reaches only padding looks at itself: a row of nothing would be no number.
        queries, keys = reach.shape
        own = torch.eye(keys, dtype=torch.bool, device=reach.device)[keys - queries :]
        return (reach & self.mask[:, None, None, :]) | own

    def _is_triangle(self, scores: Scores, query: Tensor, key: Tensor) -> bool:
        return self.mask is None and scores.causal and scores.window is None and query.shape[-2] == key.shape[-2]


class Packed(_Rows):
    """Several sequences a row, each with its own attention and its own positions from 0.

    `sequences` [batch, length] numbers them within the row, ascending. Padding is one more sequence of its own at the end of a row.
    """

    def __init__(self, sequences: Tensor, borders: Borders | None = None) -> None:
        super().__init__()
        self.sequences, self._given = sequences, borders

    @cached_property
    def borders(self) -> Borders:
        """Where the sequences begin and end; on a GPU working it out waits for all work before it, so layouts that are copied there bring it along."""
        return self._given or Borders.of(self._starts)

    @cached_property
    def _starts(self) -> Tensor:
        """True on the first token of every sequence, [batch, length]."""
        starts = torch.ones_like(self.sequences, dtype=torch.bool)
        starts[:, 1:] = self.sequences[:, 1:] != self.sequences[:, :-1]
        return starts

    @cached_property
    def _positions(self) -> Tensor:
        places = torch.arange(self.sequences.shape[1], device=self.sequences.device).expand_as(self.sequences)
        return places - torch.where(self._starts, places, 0).cummax(dim=1).values

    def positions(self) -> Tensor | None:
        return self._positions

    def each(self, change: Callable[[Tensor], Tensor]) -> "Packed":
        return Packed(change(self.sequences), self.borders.each(change))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> Tensor:
        if sequence_attention_suits(query, key, scores):
            return sequence_attention(query, key, value, self.borders, scores)
        return super().attend(query, key, value, scores)

    def _among(self, reach: Tensor | None) -> Tensor | None:
        same = self.sequences[:, None, :, None] == self.sequences[:, None, None, :]
        return (same if reach is None else same & reach).contiguous()


def _reach(scores: Scores, queries: int, keys: int, device: torch.device) -> Tensor | None:
    """True where a layer may look by distance alone, [queries, keys]; None for everywhere."""
    window = None if scores.window is None or scores.window >= keys - 1 else scores.window
    if window is None and (queries == 1 or not scores.causal):
        return None
    distance = torch.arange(keys, device=device) - torch.arange(keys - queries, keys, device=device)[:, None]
    near = distance.abs() <= (keys if window is None else window)
    return near & (distance <= 0) if scores.causal else near

"""Keys and values of what was already read, so that a decoder computes each token once."""

import torch
from torch import Tensor


class KeysValues:
    """Keys and values of one attention, each [batch, heads, length, head_size], which grow with every call."""

    def __init__(self) -> None:
        self._keys: Tensor | None = None
        self._values: Tensor | None = None

    @property
    def filled(self) -> bool:
        return self._keys is not None

    @property
    def length(self) -> int:
        return 0 if self._keys is None else self._keys.shape[2]

    def content(self) -> tuple[Tensor, Tensor]:
        """Raises ValueError where nothing was added."""
        if self._keys is None or self._values is None:
            raise ValueError("the cache is empty")
        return self._keys, self._values

    def add(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Appends along the length; what it holds then comes back."""
        self._keys = keys if self._keys is None else torch.cat([self._keys, keys], dim=2)
        self._values = values if self._values is None else torch.cat([self._values, values], dim=2)
        return self._keys, self._values

    def select(self, rows: Tensor) -> None:
        """Keeps these rows of the batch, [new batch], in this order: beams that go on, sequences that are not finished."""
        if self._keys is not None and self._values is not None:
            self._keys, self._values = self._keys.index_select(0, rows), self._values.index_select(0, rows)


class Cache:
    """What a decoder keeps between calls: for each layer the keys and values of its own tokens and of the encoder's."""

    def __init__(self, layers: int) -> None:
        self.own = [KeysValues() for _ in range(layers)]
        self.memory = [KeysValues() for _ in range(layers)]

    @property
    def length(self) -> int:
        """Tokens read so far."""
        return self.own[0].length

    def select(self, rows: Tensor) -> None:
        """Keeps these rows of the batch, as `KeysValues.select`."""
        for held in (*self.own, *self.memory):
            held.select(rows)

    def reorder(self, rows: Tensor) -> None:
        """As `select`, where each row takes the place of one with the same memory: the beams of a text."""
        for held in self.own:
            held.select(rows)

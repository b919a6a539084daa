"""A larger vocabulary for weights that exist: each new row is the mean of the rows that stood in its place."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bertwright.architecture import LM, MLM

# What has one row, or one number, for each entry of the vocabulary.
EMBEDDINGS = "tokens.weight"
OUTPUTS = tuple(f"heads.{head}.{name}" for head in (MLM, LM) for name in ("decoder.weight", "decoder.bias", "bias"))


@dataclass(frozen=True)
class NewRows:
    """Entries from the id `first` on, and for each the ids that stood in its place; none where nothing did, and it begins as the mean of all."""

    first: int
    replaced: Sequence[Sequence[int]]


@torch.no_grad()
def grown(state: dict[str, Tensor], rows: NewRows, *, size: int) -> dict[str, Tensor]:
    """A model's state with `size` rows in its embeddings, in a decoder of its own and in the biases of its outputs, the new entries' rows filled.

    A new row is the mean of those it replaces, so that a text means at first about
    what it meant. Rows beyond the new entries, which no token has, begin as the mean of all.
    """
    found = dict(state)
    for name in (EMBEDDINGS, *OUTPUTS):
        if name in state:
            flat = state[name].flatten() if state[name].ndim == 2 and len(state[name]) == 1 else state[name]  # a bias kept as a buffer is one row
            whole = _grown(flat, rows, size=size)
            found[name] = whole[None] if flat is not state[name] else whole
    return found


def _grown(table: Tensor, rows: NewRows, *, size: int) -> Tensor:
    """[rows, ...] -> [size, ...]."""
    old = table[: rows.first].float()
    usual = old.mean(0)
    spare = usual.expand(max(0, size - len(table)), *table.shape[1:])
    found = torch.cat([table.float(), spare])
    for place, ids in enumerate(rows.replaced):
        found[rows.first + place] = old[list(ids)].mean(0) if ids else usual
    return found.to(table.dtype)

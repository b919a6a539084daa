"""Position schemes. Each fits four seams, which do nothing unless a scheme needs them: `embed`, and of a forward pass `rotate`, `bias` and `mix`."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import Absolute, Bucketed, RelativeSinusoid, RelativeTable, Rotary, Stack


class Placement:
    """What a scheme does to one forward pass, prepared once for all layers."""

    def rotate(self, query: Tensor, key: Tensor, value: Tensor, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        """[batch, heads, length, head_size] each -> the same shapes, turned by their places."""
        return query, key, value

    def bias(self, query: Tensor, key: Tensor, layer: int) -> Tensor | None:
        """What is added to the unscaled products of queries and keys, [.., heads, queries, keys]; None for nothing."""
        return None

    def mix(self, layer: int) -> Callable[[Tensor], Tensor] | None:
        """Makes of probabilities [batch, heads, queries, keys] what is added to the attended values; None for nothing."""
        return None


NOWHERE = Placement()


class Position(nn.Module):
    """Base of all schemes; its tables are the stack's `positions`."""

    def places(self, input_ids: Tensor, pad_id: int | None) -> Tensor | None:
        """The place of each of [batch, length] ids; None where each row simply counts from 0."""
        return None

    def given(self, position_ids: Tensor) -> Tensor:
        """The places, [batch, length], that Hugging Face's `position_ids` of that shape mean."""
        return position_ids

    def forward(self, input_ids: Tensor, places: Tensor | None, pad_id: int | None) -> Tensor | None:
        """As `embed`, and seen by hooks."""
        return self.embed(input_ids, places, pad_id)

    def embed(self, input_ids: Tensor, places: Tensor | None, pad_id: int | None) -> Tensor | None:
        """What is added to the embeddings of [batch, length] ids, [.., length, embedding_size]; places None: as `places` has them."""
        return None

    def at(self, queries: Tensor, keys: Tensor, dtype: torch.dtype) -> Placement:
        """The placement of a pass; queries, keys: their places, [length] or [batch, length]."""
        return NOWHERE


class AbsolutePosition(Position):
    """One learned vector for each place."""

    def __init__(self, data: Absolute, size: int) -> None:
        super().__init__()
        self.offset, self.skip_padding = data.offset, data.skip_padding
        self.weight = nn.Parameter(torch.empty(data.max_length + data.offset, size))

    def places(self, input_ids: Tensor, pad_id: int | None) -> Tensor | None:
        if not self.skip_padding:
            return None
        real = torch.ne(input_ids, -1 if pad_id is None else pad_id)
        return torch.where(real, real.cumsum(1), 0) - 1

    def given(self, position_ids: Tensor) -> Tensor:
        # Where padding is skipped, Hugging Face's ids are rows of the table.
        return position_ids - self.offset if self.skip_padding else position_ids

    def embed(self, input_ids: Tensor, places: Tensor | None, pad_id: int | None) -> Tensor | None:
        places = self.places(input_ids, pad_id) if places is None else places
        if places is not None:
            return F.embedding(places + self.offset, self.weight)
        # Rows that count from 0 share one slice: its gradient is a sum over the batch, not a scatter.
        return self.weight[self.offset : self.offset + input_ids.shape[1]]


class RelativeTablePosition(Position):
    """A learned vector for each distance, one table a layer.

    `weight`: the absolute positions that BERT's checkpoints of this kind hold and nobody reads; kept so that they are written back.
    """

    def __init__(self, data: RelativeTable, *, layers: int, head_size: int, size: int) -> None:
        super().__init__()
        self.data = data
        self.weight = nn.Parameter(torch.zeros(data.max_length, size), requires_grad=False)
        self.distances = nn.ParameterList(torch.empty(2 * data.max_length - 1, head_size) for _ in range(layers))

    def at(self, queries: Tensor, keys: Tensor, dtype: torch.dtype) -> Placement:
        farthest = self.data.max_length - 1
        return _Relative(self, (queries[..., :, None] - keys[..., None, :]).clamp(-farthest, farthest) + farthest)


class _Relative(Placement):
    def __init__(self, position: RelativeTablePosition, row: Tensor) -> None:
        self.position, self.row = position, row

    def bias(self, query: Tensor, key: Tensor, layer: int) -> Tensor | None:
        table = self.position.distances[layer].to(query.dtype)
        met = _pick(query @ table.t(), self.row)
        if not self.position.data.on_keys:
            return met
        return met + _pick(key @ table.t(), self.row.transpose(-1, -2)).transpose(-1, -2)


class RelativeSinusoidPosition(Position):
    """Sinusoids of the clipped distance from query to key, on keys and on values."""

    def __init__(self, data: RelativeSinusoid, *, head_size: int) -> None:
        super().__init__()
        self.farthest = data.max_distance
        self.head_size = head_size

    def at(self, queries: Tensor, keys: Tensor, dtype: torch.dtype) -> Placement:
        row = (keys[..., None, :] - queries[..., :, None]).clamp(-self.farthest, self.farthest) + self.farthest
        return _Sinusoid(sinusoids(2 * self.farthest + 1, self.head_size, queries.device).to(dtype), row)


class _Sinusoid(Placement):
    def __init__(self, table: Tensor, row: Tensor) -> None:
        self.table, self.row = table, row

    def bias(self, query: Tensor, key: Tensor, layer: int) -> Tensor | None:
        return _pick(query @ self.table.t(), self.row)

    def mix(self, layer: int) -> Callable[[Tensor], Tensor] | None:
        return self._values

    def _values(self, chances: Tensor) -> Tensor:
        """The probability that falls on each distance, times that distance's vector."""
        shares = chances.new_zeros(*chances.shape[:-1], len(self.table))
        return shares.scatter_add(-1, _over_heads(self.row, chances), chances) @ self.table


class BucketedPosition(Position):
    """A bias for each head and bucket of distances, the same in all layers."""

    def __init__(self, data: Bucketed, *, heads: int, causal: bool) -> None:
        super().__init__()
        self.data, self.causal = data, causal
        self.weight = nn.Parameter(torch.empty(data.num_buckets, heads))

    def at(self, queries: Tensor, keys: Tensor, dtype: torch.dtype) -> Placement:
        bucket = self._bucket(keys[..., None, :] - queries[..., :, None])
        table = F.embedding(bucket, self.weight.to(dtype)).movedim(-1, -3).contiguous()
        # The fused kernel takes masks of four dimensions.
        return _Biased(table[None] if table.ndim == 3 else table)

    def _bucket(self, distance: Tensor) -> Tensor:
        """[..] distances from query to key -> buckets: half of them exact, the rest by logarithm up to the greatest distance (T5's released code)."""
        buckets = self.data.num_buckets
        if self.causal:
            first, away = torch.zeros_like(distance), -distance.clamp(max=0)
        else:
            buckets //= 2
            first, away = (distance > 0).long() * buckets, distance.abs()
        exact = buckets // 2
        logarithm = torch.log(away.clamp(min=1).float() / exact) / math.log(self.data.max_distance / exact) * (buckets - exact)
        return first + torch.where(away < exact, away, (exact + logarithm.long()).clamp(max=buckets - 1))


class _Biased(Placement):
    def __init__(self, table: Tensor) -> None:
        self.table = table

    def bias(self, query: Tensor, key: Tensor, layer: int) -> Tensor | None:
        return self.table


class RotaryPosition(Position):
    """Rotations by frequencies base^(-2i / head_size), in pairs."""

    table: Tensor

    def __init__(self, data: Rotary, *, head_size: int, windows: tuple[int | None, ...]) -> None:
        super().__init__()
        self.data, self.head_size, self.windows = data, head_size, windows
        if data.stored:
            empty = torch.empty(data.max_length, head_size)
            # On the meta device there is nothing to compute, and torch takes a second to find that out.
            self.register_buffer("table", empty if empty.is_meta else rotations(torch.arange(data.max_length), data.base, head_size).flatten(1))

    def at(self, queries: Tensor, keys: Tensor, dtype: torch.dtype) -> Placement:
        # Keys of earlier calls were turned when they came, so a pass turns as many keys as queries.
        bases = [self.data.base] if self.data.local_base is None else [self.data.base, self.data.local_base]
        turned = {base: self._cos_sin(queries, base, dtype) for base in bases}
        near, far = turned[self.data.local_base or self.data.base], turned[self.data.base]
        return _Rotated(self.data, [far if window is None else near for window in self.windows] or [far])

    def _cos_sin(self, places: Tensor, base: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Each [1 or batch, 1, length, head_size]."""
        sin, cos = self._rotations(places, base).unbind(-2)
        if self.data.interleaved:
            sin, cos = sin.repeat_interleave(2, -1), cos.repeat_interleave(2, -1)
        else:
            sin, cos = torch.cat([sin, sin], -1), torch.cat([cos, cos], -1)
        return cos.to(dtype).unsqueeze(-3), sin.to(dtype).unsqueeze(-3)

    def _rotations(self, places: Tensor, base: float) -> Tensor:
        """As `rotations`, from the checkpoint's own table as far as it goes."""
        computed = rotations(places, base, self.head_size)
        if not self.data.stored:
            return computed
        stored = F.embedding(places.clamp(max=len(self.table) - 1), self.table).view(computed.shape)
        return torch.where(places[..., None, None] < len(self.table), stored, computed)


class _Rotated(Placement):
    def __init__(self, data: Rotary, turned: list[tuple[Tensor, Tensor]]) -> None:
        self.data, self.turned = data, turned

    def rotate(self, query: Tensor, key: Tensor, value: Tensor, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        cos_sin = self.turned[layer % len(self.turned)]
        return self._turn(query, cos_sin), self._turn(key, cos_sin), self._turn(value, cos_sin) if self.data.on_values else value

    def _turn(self, x: Tensor, cos_sin: tuple[Tensor, Tensor]) -> Tensor:
        cos, sin = cos_sin
        if self.data.interleaved:
            across = torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)
        else:
            half = x.shape[-1] // 2
            across = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
        return x * cos + across * sin


def rotations(places: Tensor, base: float, head_size: int) -> Tensor:
    """Sines, then cosines, of [.., length] places times the frequencies: [.., length, 2, head_size / 2], float32."""
    frequencies = base ** (-torch.arange(0, head_size, 2, dtype=torch.float32, device=places.device) / head_size)
    angles = places[..., None].float() * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=-2)


def sinusoids(rows: int, size: int, device: torch.device) -> Tensor:
    """[rows, size], sines in even dimensions, cosines in odd ones (Vaswani et al. 2017, section 3.5)."""
    angles = torch.arange(rows, device=device)[:, None] * torch.exp(torch.arange(0, size, 2, device=device) * (-math.log(10000.0) / size))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :size]


def build_position(stack: Stack, embedding_size: int) -> Position:
    """The module for a stack's positions."""
    data, head_size = stack.positions, stack.block.head_size
    if isinstance(data, Absolute):
        return AbsolutePosition(data, embedding_size)
    if isinstance(data, RelativeTable):
        return RelativeTablePosition(data, layers=stack.num_layers, head_size=head_size, size=embedding_size)
    if isinstance(data, RelativeSinusoid):
        return RelativeSinusoidPosition(data, head_size=head_size)
    if isinstance(data, Bucketed):
        return BucketedPosition(data, heads=stack.block.num_heads, causal=stack.causal)
    return RotaryPosition(data, head_size=head_size, windows=stack.windows)


def _pick(products: Tensor, row: Tensor) -> Tensor:
    """products [batch, heads, queries, rows] at row [.., queries, keys] of each query -> [batch, heads, queries, keys]."""
    return products.gather(-1, _over_heads(row, products))


def _over_heads(row: Tensor, like: Tensor) -> Tensor:
    row = row if row.ndim == 2 else row[:, None]
    return row.expand(*like.shape[:2], *row.shape[-2:])

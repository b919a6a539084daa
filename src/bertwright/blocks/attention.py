"""Multi-head attention (Vaswani et al. 2017, section 3.2.2)."""

from torch import Tensor, nn

from bertwright.architecture import Block
from bertwright.blocks.cache import KeysValues
from bertwright.blocks.layout import Layout
from bertwright.blocks.linear import Linear
from bertwright.blocks.positions import NOWHERE, Placement
from bertwright.blocks.scores import Scores


def at(hidden: Tensor, rows: Tensor | None) -> Tensor:
    """[batch, length, size] at flat places [rows] -> [rows, size]; everything where `rows` is None."""
    return hidden if rows is None else hidden.flatten(0, 1).index_select(0, rows)


class Attention(nn.Module):
    """Every token looks at the tokens that the layout and the layer's reach let it see; with `memory`, at those of another stack."""

    def __init__(self, block: Block, *, causal: bool = False, window: int | None = None) -> None:
        super().__init__()
        size, inner, bias = block.hidden_size, block.num_heads * block.head_size, block.attention_bias
        self.num_heads, self.head_size, self.dropout = block.num_heads, block.head_size, block.dropout.attention
        self.scale = block.head_size**-0.5 if block.scaled else 1.0
        self.causal, self.window = causal, window
        self.query, self.key, self.value = Linear(size, inner, bias=bias), Linear(size, inner, bias=bias), Linear(size, inner, bias=bias)
        self.output = Linear(inner, size, bias=bias)

    def split(self, projected: Tensor) -> Tensor:
        """[batch, length, heads x head_size] -> [batch, heads, length, head_size]."""
        return projected.view(*projected.shape[:2], self.num_heads, self.head_size).transpose(1, 2)

    def forward(
        self,
        hidden: Tensor,
        layout: Layout,
        placement: Placement = NOWHERE,
        *,
        layer: int = 0,
        rows: Tensor | None = None,
        memory: Tensor | None = None,
        cache: KeysValues | None = None,
        seen: list[Tensor] | None = None,
    ) -> Tensor:
        """[batch, length, hidden_size] -> the same shape, or [rows, hidden_size] for these flat places alone.

        memory: [batch, keys, hidden_size] in place of `hidden` for keys and values, `layout` is then its own. cache: keys and values of earlier calls, to
        which this one's are added. seen: gets the probabilities, [batch, heads, length, keys], which plain operations work out once more, for looking at.
        """
        query, key, value = self._query_key_value(hidden, placement, layer=layer, memory=memory, cache=cache)
        bias = placement.bias(query, key, layer)
        scores = Scores(
            scale=self.scale,
            causal=self.causal,
            window=self.window,
            bias=bias if bias is None or self.scale == 1 else bias * self.scale,
            mix=placement.mix(layer),
            dropout=self.dropout if self.training else 0.0,
        )
        if seen is not None:
            seen.append(layout.probabilities(query, key, scores))
        mixed = layout.attend(query, key, value, scores)
        out: Tensor = self.output(at(mixed.transpose(1, 2).flatten(2), rows))
        return out

    def _query_key_value(
        self, hidden: Tensor, placement: Placement, *, layer: int, memory: Tensor | None, cache: KeysValues | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        query = self.split(self.query(hidden))
        if memory is not None and cache is not None and cache.filled:
            return query, *cache.content()
        read = hidden if memory is None else memory
        key, value = self.split(self.key(read)), self.split(self.value(read))
        if memory is None:
            query, key, value = placement.rotate(query, key, value, layer)
        if cache is not None:
            key, value = cache.add(key, value)
        return query, key, value

"""Multi-head self-attention (Vaswani et al. 2017, section 3.2.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import Block
from bertwright.blocks.layout import Layout


def at(hidden: Tensor, rows: Tensor | None) -> Tensor:
    """[batch, length, size] at flat places [rows] -> [rows, size]; everything where `rows` is None."""
    return hidden if rows is None else hidden.flatten(0, 1).index_select(0, rows)


class Attention(nn.Module):
    """Every token looks at the tokens that the layout lets it see.

    Query, key and value keep parameters of their own, as checkpoints name them, and are multiplied as one matrix.
    """

    def __init__(self, block: Block) -> None:
        super().__init__()
        size = block.hidden_size
        self.num_heads, self.head_size, self.dropout = block.num_heads, block.head_size, block.attention_dropout
        self.query, self.key, self.value = nn.Linear(size, size), nn.Linear(size, size), nn.Linear(size, size)
        self.output = nn.Linear(size, size)

    def project(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[batch, length, hidden_size] -> query, key and value, each [batch, heads, length, head_size]."""
        parts = (self.query, self.key, self.value)
        joined = F.linear(hidden, torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts]))
        batch, length, _ = hidden.shape
        query, key, value = joined.view(batch, length, 3, self.num_heads, self.head_size).permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value

    def forward(self, hidden: Tensor, layout: Layout, rows: Tensor | None = None) -> Tensor:
        """[batch, length, hidden_size] -> the same shape, or [rows, hidden_size] for these flat places alone."""
        query, key, value = self.project(hidden)
        mixed = layout.attend(query, key, value, dropout=self.dropout if self.training else 0.0)
        out: Tensor = self.output(at(mixed.transpose(1, 2).reshape(hidden.shape), rows))
        return out

    def probabilities(self, hidden: Tensor, layout: Layout) -> Tensor:
        """The attention after the softmax, [batch, heads, length, length]."""
        query, key, _ = self.project(hidden)
        return layout.probabilities(query, key)

"""The position-wise feed-forward network (Vaswani et al. 2017, section 3.3), plain or gated (Shazeer 2020)."""

from torch import Tensor, nn

from bertwright.architecture import Block
from bertwright.blocks.activation import activation
from bertwright.blocks.dropout import Dropout
from bertwright.blocks.linear import Linear


class FeedForward(nn.Module):
    """[batch, length, hidden_size] -> the same shape: down(activation(up)), or gated, down(activation(gate) * value)."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        wide, bias = (block.hidden_size, block.intermediate_size), block.feed_forward_bias
        if block.gated:
            self.gate, self.value = Linear(*wide, bias=bias), Linear(*wide, bias=bias)
        else:
            self.up = Linear(*wide, bias=bias)
        self.down = Linear(block.intermediate_size, block.hidden_size, bias=bias)
        self.gated, self.activation = block.gated, activation(block.activation)
        self.dropout = Dropout(block.dropout.activation)

    def forward(self, hidden: Tensor) -> Tensor:
        inner = self.activation(self.gate(hidden)) * self.value(hidden) if self.gated else self.activation(self.up(hidden))
        out: Tensor = self.down(self.dropout(inner))
        return out

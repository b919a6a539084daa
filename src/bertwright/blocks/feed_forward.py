"""The position-wise feed-forward network (Vaswani et al. 2017, section 3.3)."""

from torch import Tensor, nn

from bertwright.architecture import Block
from bertwright.blocks.activation import activation


class FeedForward(nn.Module):
    """Up, activation, down: [batch, length, hidden_size] -> the same shape."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.up = nn.Linear(block.hidden_size, block.intermediate_size)
        self.down = nn.Linear(block.intermediate_size, block.hidden_size)
        self.activation = activation(block.activation)

    def forward(self, hidden: Tensor) -> Tensor:
        out: Tensor = self.down(self.activation(self.up(hidden)))
        return out

"""One post-norm transformer block."""

from torch import Tensor, nn

from bertwright.architecture import Block
from bertwright.blocks.attention import Attention, at
from bertwright.blocks.feed_forward import FeedForward
from bertwright.blocks.layout import Layout


class EncoderBlock(nn.Module):
    """Attention, then feed-forward; after each: dropout, residual, norm."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.attention = Attention(block)
        self.attention_norm = nn.LayerNorm(block.hidden_size, eps=block.norm_eps)
        self.feed_forward = FeedForward(block)
        self.feed_forward_norm = nn.LayerNorm(block.hidden_size, eps=block.norm_eps)
        self.dropout = nn.Dropout(block.dropout)

    def forward(self, hidden: Tensor, layout: Layout, rows: Tensor | None = None) -> Tensor:
        """[batch, length, hidden_size] -> the same shape, or [rows, hidden_size]: all that follows the attention is done for these flat places alone."""
        hidden = self.attention_norm(at(hidden, rows) + self.dropout(self.attention(hidden, layout, rows)))
        out: Tensor = self.feed_forward_norm(hidden + self.dropout(self.feed_forward(hidden)))
        return out

"""One post-norm transformer block."""

from torch import Tensor, nn

from bertwright.architecture import Block
from bertwright.blocks.attention import Attention
from bertwright.blocks.feed_forward import FeedForward
from bertwright.blocks.layout import Layout


class EncoderBlock(nn.Module):
    """Attention, then feed-forward; after each: dropout, residual, norm. [batch, length, hidden_size] -> the same shape."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.attention = Attention(block)
        self.attention_norm = nn.LayerNorm(block.hidden_size, eps=block.norm_eps)
        self.feed_forward = FeedForward(block)
        self.feed_forward_norm = nn.LayerNorm(block.hidden_size, eps=block.norm_eps)
        self.dropout = nn.Dropout(block.dropout)

    def forward(self, hidden: Tensor, layout: Layout) -> Tensor:
        hidden = self.attention_norm(hidden + self.dropout(self.attention(hidden, layout)))
        out: Tensor = self.feed_forward_norm(hidden + self.dropout(self.feed_forward(hidden)))
        return out

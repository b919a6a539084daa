"""One transformer block, post-norm or pre-norm, with cross-attention where a stack has it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bertwright.architecture import Stack
from bertwright.blocks.attention import Attention, at
from bertwright.blocks.cache import Cache
from bertwright.blocks.dropout import Dropout
from bertwright.blocks.feed_forward import FeedForward
from bertwright.blocks.layout import Layout
from bertwright.blocks.norm import norm
from bertwright.blocks.positions import Placement


class TransformerBlock(nn.Module):
    """Attention, cross-attention (where there is a memory), feed-forward; each with dropout, residual and norm.

    compiled: `onward` by torch.compile, for training.
    """

    def __init__(self, stack: Stack, *, number: int) -> None:
        super().__init__()
        block, size = stack.block, stack.block.hidden_size
        self.norm_first = block.norm_first
        self.compiled: Callable[..., Tensor] | None = None
        self.attention = Attention(block, causal=stack.causal, window=stack.windows[number] if stack.windows else None)
        self.attention_norm = norm(size, block) if number or stack.first_norm or not block.norm_first else nn.Identity()
        self.cross_attention = Attention(block) if stack.cross_attention else None
        self.cross_attention_norm = norm(size, block) if stack.cross_attention else None
        self.feed_forward = FeedForward(block)
        self.feed_forward_norm = norm(size, block)
        self.attention_dropout, self.dropout = Dropout(block.dropout.attention_output), Dropout(block.dropout.feed_forward)

    def forward(
        self,
        hidden: Tensor,
        layout: Layout,
        placement: Placement,
        *,
        layer: int,
        rows: Tensor | None = None,
        memory: Tensor | None = None,
        memory_layout: Layout | None = None,
        cache: Cache | None = None,
        seen: list[Tensor] | None = None,
        seen_across: list[Tensor] | None = None,
    ) -> Tensor:
        """[batch, length, hidden_size] -> the same shape, or [rows, hidden_size]: all that follows the attention is done for these flat places alone.

        memory: [batch, keys, hidden_size], which cross-attention looks at through `memory_layout`. seen, seen_across: get the probabilities.
        """
        own = None if cache is None else cache.own[layer]
        inner = self.attention_norm(hidden) if self.norm_first else hidden
        found, after = self.attention(inner, layout, placement, layer=layer, rows=rows, cache=own, seen=seen), self.attention_norm
        hidden = at(hidden, rows)
        if self.cross_attention is not None and self.cross_attention_norm is not None:
            if memory is None or memory_layout is None:
                raise ValueError("this block attends to another stack's output: give a memory and its layout")
            hidden, after = self._joined(hidden, found, after), self.cross_attention_norm
            across = None if cache is None else cache.memory[layer]
            inner = after(hidden) if self.norm_first else hidden
            found = self.cross_attention(inner, memory_layout, layer=layer, memory=memory, cache=across, seen=seen_across)
        learns = self.training and torch.is_grad_enabled()
        return self.onward(hidden, found, after) if self.compiled is None or not learns else self.compiled(self, hidden, found, after)

    def onward(self, hidden: Tensor, found: Tensor, after: nn.Module) -> Tensor:
        """[..., hidden_size] and what attention found for it -> the same shape: all that is done for each place alone; after: the norm behind the attention."""
        hidden = self._joined(hidden, found, after)
        inner = self.feed_forward_norm(hidden) if self.norm_first else hidden
        hidden = hidden + self.dropout(self.feed_forward(inner))
        out: Tensor = hidden if self.norm_first else self.feed_forward_norm(hidden)
        return out

    def _joined(self, hidden: Tensor, found: Tensor, after: nn.Module) -> Tensor:
        hidden = hidden + self.attention_dropout(found)
        out: Tensor = hidden if self.norm_first else after(hidden)
        return out

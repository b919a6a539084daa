"""The embedding sum that a stack starts from."""

import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import Architecture
from bertwright.blocks.layout import Layout


class Embeddings(nn.Module):
    """Token + position + segment vectors, norm, dropout (Devlin et al. 2018, figure 2)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        stack, size = architecture.encoder, architecture.embedding_size
        self.tokens = nn.Embedding(architecture.vocab_size, size)
        self.positions = nn.Embedding(stack.positions.max_length, size)
        self.segments = nn.Embedding(stack.segments, size)
        self.norm = nn.LayerNorm(size, eps=stack.block.norm_eps)
        self.dropout = nn.Dropout(stack.block.dropout)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None, position_ids: Tensor | None, layout: Layout) -> Tensor:
        """[batch, length] ids -> [batch, length, embedding_size]. Absent type ids are all 0; absent positions are the layout's."""
        places = layout.positions(input_ids) if position_ids is None else position_ids
        # Rows that count from 0 share one slice: its gradient is a sum over the batch, not a scatter.
        position = self.positions.weight[: input_ids.shape[1]] if places is None else F.embedding(places, self.positions.weight)
        segment = self.segments.weight[0] if token_type_ids is None else F.embedding(token_type_ids, self.segments.weight)
        # Tables may be kept in float32 under half-precision blocks: their gradients are sums over many tokens.
        total = (self.tokens(input_ids) + position + segment).to(self.norm.weight.dtype)
        out: Tensor = self.dropout(self.norm(total))
        return out

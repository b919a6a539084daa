"""A stack of blocks over an embedding sum."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bertwright.architecture import Architecture, Stack
from bertwright.blocks.attention import at
from bertwright.blocks.cache import Cache
from bertwright.blocks.dropout import Dropout
from bertwright.blocks.layout import Layout
from bertwright.blocks.norm import norm
from bertwright.blocks.positions import build_position
from bertwright.blocks.transformer_block import TransformerBlock


@dataclass(frozen=True)
class Watch:
    """What is kept on the way through a stack; None where nobody asked."""

    states: list[Tensor] | None = None
    attentions: list[Tensor] | None = None
    across: list[Tensor] | None = None

    @classmethod
    def of(cls, *, states: bool, attentions: bool) -> "Watch":
        return cls([] if states else None, [] if attentions else None, [] if attentions else None)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Another stack's output, [batch, keys, hidden_size], and the layout of its tokens."""

    hidden: Tensor
    layout: Layout


class TransformerStack(nn.Module):
    """Positions, segments, embedding norm, blocks, final norm; the token table is the model's and comes in as vectors.

    recomputes: in training, of each block its input alone is kept, and the backward pass computes the rest again with the same dropout
    (Chen et al. 2016, arXiv 1604.06174): less memory for a third more time.
    """

    def __init__(self, architecture: Architecture, stack: Stack) -> None:
        super().__init__()
        self.recomputes = False
        self.data, self.pad_id = stack, architecture.pad_id
        block, size = stack.block, architecture.embedding_size
        self.positions = build_position(stack, size)
        self.segments = nn.Embedding(stack.segments, size) if stack.segments else None
        self.embedding_norm = norm(size, block) if stack.embedding_norm else None
        self.embedding_dropout = Dropout(block.dropout.embeddings)
        self.projection = nn.Linear(size, block.hidden_size) if stack.projection else None
        self.blocks = nn.ModuleList(
            self._group(number) if stack.groups else TransformerBlock(stack, number=number) for number in range(stack.groups or stack.num_layers)
        )
        self.norm = norm(block.hidden_size, block) if stack.final_norm else None
        self.final_dropout = Dropout(block.dropout.final)

    def _group(self, number: int) -> nn.ModuleList:
        inner = self.data.inner_groups
        return nn.ModuleList(TransformerBlock(self.data, number=number * inner + place) for place in range(inner))

    def in_order(self) -> Iterator[TransformerBlock]:
        """The block of each step of the depth; shared ones come several times."""
        for number in self.data.order:
            block = self.blocks[number]
            if isinstance(block, nn.ModuleList):
                yield from (cast(TransformerBlock, inner) for inner in block)
            else:
                yield cast(TransformerBlock, block)

    def embed(self, tokens: Tensor, input_ids: Tensor, token_type_ids: Tensor | None, places: Tensor | None) -> Tensor:
        """Token vectors [batch, length, embedding_size] of [batch, length] ids -> what the first block reads, [batch, length, hidden_size].

        Absent type ids are all 0; absent places are each row's own, from 0.
        """
        total = tokens if self.data.embedding_scale == 1 else tokens * self.data.embedding_scale
        placed = self.positions(input_ids, places, self.pad_id)
        total = total if placed is None else total + placed
        if self.segments is not None:
            total = total + (self.segments.weight[0] if token_type_ids is None else self.segments(token_type_ids))
        # Tables may be kept in float32 under half-precision blocks: their gradients are sums over many tokens.
        total = total.to(next(self.in_order()).feed_forward.down.weight.dtype)
        total = self.embedding_dropout(total if self.embedding_norm is None else self.embedding_norm(total))
        out: Tensor = total if self.projection is None else self.projection(total)
        return out

    def forward(
        self,
        hidden: Tensor,
        layout: Layout,
        *,
        places: Tensor | None,
        watch: Watch,
        rows: Tensor | None = None,
        memory: Memory | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """[batch, length, hidden_size] -> the same shape, or [rows, hidden_size] for these flat places.

        places: [batch, length] where rows do not count from 0; cache: holds what came before `hidden`; watch: gets what is asked for.
        """
        before = 0 if cache is None else cache.length
        counted = torch.arange(before + hidden.shape[1], device=hidden.device)
        queries, keys = (counted[before:], counted) if places is None or cache is not None else (places, places)
        placement = self.positions.at(queries, keys, hidden.dtype)
        if watch.states is not None:
            watch.states.append(hidden)
        # What is watched would be seen twice, and a cache filled twice.
        again = self.recomputes and self.training and torch.is_grad_enabled() and watch.attentions is None and cache is None
        for layer, block in enumerate(self.in_order()):
            last = layer + 1 == self.data.depth and memory is None
            hidden = (partial(_recomputed, block) if again else block)(
                hidden,
                layout,
                placement,
                layer=layer,
                rows=rows if last else None,
                memory=None if memory is None else memory.hidden,
                memory_layout=None if memory is None else memory.layout,
                cache=cache,
                seen=watch.attentions,
                seen_across=watch.across,
            )
            if watch.states is not None:
                watch.states.append(hidden)
        hidden = hidden if memory is None else at(hidden, rows)
        if self.norm is not None:
            hidden = self.norm(hidden)
        hidden = self.final_dropout(hidden)
        if watch.states is not None and rows is None:
            watch.states[-1] = hidden
        return hidden


def _recomputed(block: nn.Module, hidden: Tensor, layout: Layout, *placed: Any, **given: Any) -> Tensor:
    """A block's output, of whose computation the input alone is kept."""

    def run(hidden: Tensor) -> Tensor:
        # A layout keeps what a layer worked out for the next one, and both times the block must work out the same.
        out: Tensor = block(hidden, copy(layout), *placed, **given)
        return out

    out: Tensor = checkpoint(run, hidden, use_reentrant=False)
    return out


def recompute_activations(model: nn.Module) -> None:
    """Has every stack of a model, or of a module with one inside, compute its blocks again in the backward pass, from now on."""
    for module in model.modules():
        if isinstance(module, TransformerStack):
            module.recomputes = True

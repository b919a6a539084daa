"""Starts that know something before the first step, in a stock BERT: which tokens are neighbours, and which words are frequent."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from bertwright.architecture import Absolute, Architecture
from bertwright.blocks.attention import Attention
from bertwright.blocks.positions import AbsolutePosition
from bertwright.models.heads import LanguageModelling
from bertwright.models.transformer import Model

# Found by trial on WikiText-2 at 4x256: word and position parts leave the embedding norm with equal variance at
# amplitude sqrt(2) * 0.02, and a sharpness of 1.2 on queries and keys peaks each head at a logit of about 11.
AMPLITUDE = 0.028
SHARPNESS = 1.2
REST = 0.1
GOLDEN = (math.sqrt(5) - 1) / 2


def offsets(num_heads: int) -> list[int]:
    """The neighbour each head looks at: -1, +1, -2, +2, ..."""
    return [(1 + head // 2) * (-1 if head % 2 == 0 else 1) for head in range(num_heads)]


def knows_neighbours(architecture: Architecture) -> bool:
    """Whether `start_at_neighbours` can be used: learned absolute positions, in an encoder with its norms behind the sublayers."""
    encoder = architecture.encoder
    if encoder is None or architecture.decoder is not None:
        return False
    return isinstance(encoder.positions, Absolute) and not encoder.block.norm_first


@torch.no_grad()
def start_at_neighbours(model: Model) -> None:
    """Sets a stock BERT's embeddings, queries and keys so that every head begins by looking at one neighbour.

    The first `head_size` dimensions of the embeddings, or half of them or of the hidden state where these have fewer than twice that, belong to positions:
    sinusoids of irregular frequencies (frequency i is pi times the fractional part of i times the golden ratio), so that the dot product of two positions
    peaks at one offset. Word and segment vectors start at zero there, positions at zero elsewhere. In every head of every layer the query takes that subspace
    as it is and the key takes it rotated by the head's offset; the rest of both starts at a tenth of its usual size. A projection of the embeddings (ALBERT's)
    begins by handing positions on as they are and the words to the other dimensions.
    Nothing about the architecture changes. An odd head size leaves its last dimension as it was. Raises ValueError where there is no encoder with learned
    absolute positions.
    """
    encoder = model.encoder
    if encoder is None or not isinstance(encoder.positions, AbsolutePosition):
        raise ValueError("this start needs an encoder with learned absolute positions")
    block = encoder.data.block
    half = min(block.head_size // 2, model.architecture.embedding_size // 4, block.hidden_size // 4)  # the other half is the words'
    width = 2 * half
    frequencies = math.pi * torch.frac(torch.arange(1, half + 1, dtype=torch.float64) * GOLDEN)
    places = torch.arange(len(encoder.positions.weight), dtype=torch.float64)
    angles = places[:, None] * frequencies
    model.tokens.weight[:, :width] = 0
    if encoder.segments is not None:
        encoder.segments.weight[:, :width] = 0
    encoder.positions.weight.zero_()
    encoder.positions.weight[:, :width] = (AMPLITUDE * torch.cat([angles.cos(), angles.sin()], dim=1)).float()
    if encoder.projection is not None:
        _hand_on(encoder.projection, width)
    for layer in dict.fromkeys(encoder.in_order()):  # shared ones once
        _look_at_neighbours(layer.attention, frequencies)


@torch.no_grad()
def start_at_frequencies(model: Model, counts: Tensor) -> None:
    """Sets the MLM decoder's bias to the log of the words' frequencies, so that the first steps need not learn them.

    counts: [vocab_size] occurrences in the training text; half a one is added to each, so that what never occurs stays finite.
    """
    smoothed = counts.double() + 0.5
    head = cast(LanguageModelling, model.heads["mlm"])
    bias = head.bias if head.decoder is None or head.decoder.bias is None else head.decoder.bias
    if bias is not None:
        bias.copy_((smoothed / smoothed.sum()).log())


def _hand_on(projection: nn.Linear, width: int) -> None:
    """The first `width` dimensions as they are, the others to the rest of the outputs at their own size."""
    projection.weight.zero_()
    projection.weight[:width, :width] = torch.eye(width)
    nn.init.normal_(projection.weight[width:, width:], std=(projection.in_features - width) ** -0.5)


def _look_at_neighbours(attention: Attention, frequencies: Tensor) -> None:
    width = 2 * len(frequencies)
    sharpness = SHARPNESS * math.sqrt(2 * (attention.head_size // 2) / width)  # as sharp where positions have fewer dimensions than a head
    attention.query.weight *= REST
    attention.key.weight *= REST
    for head, offset in enumerate(offsets(attention.num_heads)):
        rows = slice(head * attention.head_size, head * attention.head_size + width)
        attention.query.weight[rows, :width] = sharpness * torch.eye(width)
        # cos(w(j - offset)) and sin(w(j - offset)) from cos(wj) and sin(wj): a query at i meets its like at j = i + offset.
        cos, sin = torch.diag((frequencies * offset).cos()), torch.diag((frequencies * offset).sin())
        rotation = torch.cat([torch.cat([cos, sin], dim=1), torch.cat([-sin, cos], dim=1)])
        attention.key.weight[rows, :width] = (sharpness * rotation).float()

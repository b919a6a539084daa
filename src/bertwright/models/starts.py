"""Starts that know something before the first step, in a stock model: which tokens are neighbours, which words are alike, and which are frequent."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from bertwright.architecture import Absolute, Architecture, Rotary
from bertwright.blocks.attention import Attention
from bertwright.blocks.positions import AbsolutePosition, RotaryPosition
from bertwright.models.heads import LanguageModelling
from bertwright.models.stack import TransformerStack
from bertwright.models.transformer import Model

# Found by trial on WikiText-2 at 4x256: word and position parts leave the embedding norm with equal variance at
# amplitude sqrt(2) * 0.02, and a sharpness of 1.2 on queries and keys peaks each head at a logit of about 11.
AMPLITUDE = 0.028
SHARPNESS = 1.2
REST = 0.1
GOLDEN = (math.sqrt(5) - 1) / 2
# The deviation of the logits before anything is learnt, where words begin at vectors of their text: with this one in place of 0.3, which new weights have, the
# loss after 206 updates at 4x256 is 4.31 and not 4.76 (docs/speed-log.md).
LOGITS = 1.8
# Where positions are rotations: the value of the one dimension that all words share, over the usual size, and how much a logit falls by each of the
# fastest frequencies when it has turned by half a circle, halved.
SHARED, TURNED, TURNING = 4.0, 5.0, 8


def offsets(num_heads: int) -> list[int]:
    """The neighbour each head looks at: -1, +1, -2, +2, ..."""
    return [(1 + head // 2) * (-1 if head % 2 == 0 else 1) for head in range(num_heads)]


def knows_neighbours(architecture: Architecture) -> bool:
    """Whether `start_at_neighbours` can be used: an encoder with learned absolute positions and its norms behind the sublayers, or with rotated queries."""
    encoder = architecture.encoder
    if encoder is None or architecture.decoder is not None:
        return False
    return isinstance(encoder.positions, Rotary) or (isinstance(encoder.positions, Absolute) and not encoder.block.norm_first)


@torch.no_grad()
def start_at_neighbours(model: Model) -> int:
    """Sets a stock model's embeddings, queries and keys so that every head begins by looking at one neighbour; returns how many dimensions words leave to that.

    With learned absolute positions, the first `head_size` dimensions of the embeddings, or half of them or of the hidden state where these have fewer than
    twice that, belong to positions: sinusoids of irregular frequencies (frequency i is pi times the fractional part of i times the golden ratio), so that the
    dot product of two positions peaks at one offset. Word and segment vectors start at zero there, positions at zero elsewhere. In every head of every layer
    the query takes that subspace as it is and the key takes it rotated by the head's offset; the rest of both starts at a tenth of its usual size. A
    projection of the embeddings (ALBERT's) begins by handing positions on as they are and the words to the other dimensions. Every feed-forward network
    begins by adding nothing, so that what heads gather from neighbours goes up as it is.
    With rotated queries and keys, the first dimension of all word vectors is one constant, from which every query makes the same vector and every key that
    vector turned back by the head's offset, in the fastest frequencies.
    Nothing about the architecture changes. An odd head size leaves its last dimension as it was. Raises ValueError where there is no such encoder.
    """
    encoder = model.encoder
    if encoder is not None and isinstance(encoder.positions, RotaryPosition):
        return _start_turned(model, encoder, encoder.positions)
    if encoder is None or not isinstance(encoder.positions, AbsolutePosition):
        raise ValueError("this start needs an encoder with learned absolute positions, or with rotated ones")
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
        layer.feed_forward.down.weight.zero_()
    return width


@torch.no_grad()
def start_at_words(model: Model, vectors: Tensor, *, taken: int) -> None:
    """Sets the token embeddings to word vectors, turned at random so that no dimension stands out, and all embeddings to the size that gives telling logits.

    vectors: [vocab_size, embedding_size - taken], rows of mean square 1, or of 0 for words that nothing is known of; taken: the first dimensions, which are
    not the words'. What the first norm makes of the embeddings' sum does not hang on their common size; the decoder, which reads the same vectors, does.
    """
    turn, _ = torch.linalg.qr(torch.randn(vectors.shape[1], vectors.shape[1]))
    usual, encoder = model.architecture.initializer_range, model.encoder
    weight, known = model.tokens.weight[: len(vectors), taken:], vectors.any(1, keepdim=True)
    weight.copy_(torch.where(known, usual * (vectors @ turn), weight))
    larger = LOGITS * model.architecture.embedding_size**-0.5 / usual
    model.tokens.weight.mul_(larger)
    if encoder is not None and isinstance(encoder.positions, AbsolutePosition):
        encoder.positions.weight.mul_(larger)


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


def _start_turned(model: Model, encoder: TransformerStack, positions: RotaryPosition) -> int:
    size = model.architecture.embedding_size
    model.tokens.weight[:, 0] = SHARED * model.architecture.initializer_range
    if encoder.projection is not None:
        _hand_on(encoder.projection, 1)
    shared = SHARED / math.sqrt(1 + SHARED**2 / size)  # behind the first norm
    for layer in dict.fromkeys(encoder.in_order()):
        attention, data = layer.attention, positions.data
        base = data.base if attention.window is None or data.local_base is None else data.local_base
        half = attention.head_size // 2
        turning = torch.arange(min(TURNING, half))
        frequencies = base ** (-2.0 * turning / attention.head_size)
        first, second = (2 * turning, 2 * turning + 1) if data.interleaved else (turning, turning + half)
        attention.query.weight *= REST
        attention.key.weight *= REST
        size_of_each = math.sqrt(TURNED / attention.scale) / shared
        for head, offset in enumerate(offsets(attention.num_heads)):
            start = head * attention.head_size
            for matrix in (attention.query.weight, attention.key.weight):
                matrix[start + first] = matrix[start + second] = 0
            attention.query.weight[start + first, 0] = size_of_each
            # A query at i, turned by i, meets a key at j, turned by j - offset, best where j = i + offset.
            attention.key.weight[start + first, 0] = size_of_each * (offset * frequencies).cos()
            attention.key.weight[start + second, 0] = -size_of_each * (offset * frequencies).sin()
    return 1

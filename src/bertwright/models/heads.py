"""Heads: what stands on top of a stack."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import CLASSIFY, LM, MLM, POOLER, Architecture, Block, Head, HeadKind
from bertwright.blocks.activation import activation
from bertwright.blocks.cross_entropy import linear_cross_entropy
from bertwright.blocks.dropout import Dropout
from bertwright.blocks.norm import norm


class Transformed(nn.Module):
    """Base of heads: the dense layer, activation and norm before an output, where the family has them."""

    def __init__(self, head: Head, block: Block, *, size: int) -> None:
        super().__init__()
        transform = head.transform
        self.dense = None if transform is None else nn.Linear(block.hidden_size, size, bias=transform.bias)
        self.norm = norm(size, block) if transform is not None and transform.norm else None
        self.activation = activation(transform.activation if transform is not None else "tanh")
        self.first_dropout = Dropout(head.dropout if transform is not None and transform.dropout else 0.0)

    def transform(self, hidden: Tensor) -> Tensor:
        """What the output reads: [..., hidden_size] -> [..., size]."""
        if self.dense is None:
            return hidden
        hidden = self.activation(self.dense(self.first_dropout(hidden)))
        return hidden if self.norm is None else self.norm(hidden)


class Pooler(Transformed):
    """Dense and tanh on each row's first token: [batch, hidden_size] -> the same shape."""

    def __init__(self, head: Head, architecture: Architecture) -> None:
        super().__init__(head, architecture.last.block, size=architecture.hidden_size)

    def forward(self, first: Tensor) -> Tensor:
        return self.transform(first)


class LanguageModelling(Transformed):
    """The transform, then the token embeddings as decoder, or one of its own where they are not tied, and a bias (Devlin et al. 2018, released code)."""

    def __init__(self, head: Head, architecture: Architecture) -> None:
        super().__init__(head, architecture.last.block, size=architecture.embedding_size)
        # New weights of a family whose files decide: only what scales the hidden state learns through the token embeddings (T5, but not its version 1.1).
        untied = head.scale == 1 if architecture.tied is None else not architecture.tied
        self.scale = head.scale
        self.decoder = nn.Linear(architecture.embedding_size, architecture.vocab_size, bias=head.idle_bias) if untied else None
        if head.bias == "buffer":
            self.register_buffer("bias", torch.zeros(1, architecture.vocab_size))
        else:
            idle = untied and head.idle_bias
            self.bias = nn.Parameter(torch.zeros(architecture.vocab_size), requires_grad=not idle) if head.bias else None

    def _scored(self, hidden: Tensor) -> Tensor:
        """What the decoder reads: [..., hidden_size] -> [..., embedding_size]."""
        return self.transform(hidden) if self.scale == 1 else self.transform(hidden) * self.scale

    def _output(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """The matrix [vocab_size, embedding_size] and the bias [vocab_size] that score."""
        if self.decoder is None:
            return tokens, None if self.bias is None else self.bias.view(-1)
        own = self.bias if self.decoder.bias is None else self.decoder.bias
        return self.decoder.weight, own

    def forward(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """[..., hidden_size] and the token embeddings [vocab_size, embedding_size] -> logits [..., vocab_size]."""
        scored = self._scored(hidden)
        matrix, bias = self._output(tokens)
        logits = F.linear(scored, matrix.to(scored.dtype))
        # Added apart: log frequencies of rare words are too large for half precision to move by small steps.
        return logits if bias is None else logits + bias

    def loss(self, hidden: Tensor, tokens: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy summed over [scored] labels from [scored, hidden_size], without holding the logits."""
        matrix, bias = self._output(tokens)
        return linear_cross_entropy(self._scored(hidden), matrix, torch.zeros(len(matrix), device=hidden.device) if bias is None else bias, labels)


class Labelling(Transformed):
    """The transform and a linear output: [..., hidden_size] -> [..., labels]."""

    EXACT = f".heads.{CLASSIFY}.output."
    """What stands in the names of weights that are kept in float32 beside a model in half precision: those that make the numbers of a regression."""

    def __init__(self, head: Head, architecture: Architecture) -> None:
        super().__init__(head, architecture.last.block, size=architecture.hidden_size)
        self.reads = head.reads
        self.dropout = Dropout(head.dropout)
        labels = architecture.num_labels if head.labels is None else head.labels
        self.output = nn.Linear(architecture.hidden_size, labels, bias=bool(head.bias))

    def forward(self, read: Tensor) -> Tensor:
        # In the precision of the output's own weights, which may be a finer one: half precision cannot tell one year from the next.
        out: Tensor = self.output(self.dropout(self.transform(read)).to(self.output.weight.dtype))
        return out


def build_heads(architecture: Architecture, kinds: tuple[HeadKind, ...]) -> nn.ModuleDict:
    """The modules of these heads, by kind. Raises InputError where the family has no such head, ValueError where one needs a pooler that is not there."""
    heads = [architecture.head(kind) for kind in kinds]
    if needy := [head.kind for head in heads if head.reads == "pooled" and POOLER not in kinds]:
        raise ValueError(f"the {needy[0]} head reads the pooled vector: add the pooler head")
    return nn.ModuleDict({head.kind: _build(head, architecture) for head in heads})


def _build(head: Head, architecture: Architecture) -> nn.Module:
    if head.kind == POOLER:
        return Pooler(head, architecture)
    return LanguageModelling(head, architecture) if head.kind in (MLM, LM) else Labelling(head, architecture)


def read(how: str, hidden: Tensor, *, input_ids: Tensor, mask: Tensor | None, pad_id: int | None, eos_id: int | None) -> Tensor:
    """The vector of each row that a head reads, [batch, hidden_size], from [batch, length, hidden_size]; `tokens` are all of them.

    mask: [batch, length], true on real tokens. Raises ValueError where rows have no end token to read.
    """
    if how == "tokens":
        return hidden
    if how == "first":
        return hidden[:, 0]
    if how == "final":
        return hidden[:, -1]
    if how == "mean":
        if mask is None:
            return hidden.mean(1)
        return (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
    places = torch.arange(hidden.shape[1], device=hidden.device)
    if how == "last":
        real = torch.ones_like(input_ids, dtype=torch.bool) if mask is None else mask
        wanted = real if pad_id is None else torch.ne(input_ids, pad_id)
    else:
        wanted = torch.eq(input_ids, -1 if eos_id is None else eos_id)
    if how == "end" and not bool(wanted.any(1).all()):
        raise ValueError(f"this head reads each row's last end token, id {eos_id}: end every row with it")
    last = (places * wanted).argmax(1)
    return hidden[torch.arange(len(hidden), device=hidden.device), last]

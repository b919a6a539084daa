"""Heads: what stands on top of the encoder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import Architecture, HeadSpec
from bertwright.blocks.activation import activation
from bertwright.blocks.cross_entropy import linear_cross_entropy


class Pooler(nn.Module):
    """Dense and tanh on each row's first token: [batch, hidden_size] -> the same shape."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        size = architecture.encoder.block.hidden_size
        self.dense = nn.Linear(size, size)

    def forward(self, first: Tensor) -> Tensor:
        return torch.tanh(self.dense(first))


class MaskedLM(nn.Module):
    """Dense, activation, norm, then the token embeddings as decoder and a bias (Devlin et al. 2018, released code)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        block = architecture.encoder.block
        self.dense = nn.Linear(block.hidden_size, architecture.embedding_size)
        self.norm = nn.LayerNorm(architecture.embedding_size, eps=block.norm_eps)
        self.bias = nn.Parameter(torch.zeros(architecture.vocab_size))
        self.activation = activation(block.activation)

    def transform(self, hidden: Tensor) -> Tensor:
        """What the decoder reads: [..., hidden_size] -> [..., embedding_size]."""
        out: Tensor = self.norm(self.activation(self.dense(hidden)))
        return out

    def forward(self, hidden: Tensor, decoder: Tensor) -> Tensor:
        """[..., hidden_size] and the decoder's [vocab_size, embedding_size] -> logits [..., vocab_size]."""
        scored = self.transform(hidden)
        # Added apart: log frequencies of rare words are too large for half precision to move by small steps.
        return F.linear(scored, decoder.to(scored.dtype)) + self.bias

    def loss(self, hidden: Tensor, decoder: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy summed over [scored] labels from [scored, hidden_size], without holding the logits."""
        return linear_cross_entropy(self.transform(hidden), decoder, self.bias, labels)


class NextSentence(nn.Linear):
    """Two logits on the pooled vector, index 0 = B follows A: [batch, hidden_size] -> [batch, 2]."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture.encoder.block.hidden_size, 2)


HEADS: dict[str, type[Pooler] | type[MaskedLM] | type[NextSentence]] = {"pooler": Pooler, "mlm": MaskedLM, "nsp": NextSentence}


def build_heads(architecture: Architecture, specs: tuple[HeadSpec, ...]) -> nn.ModuleDict:
    """The modules for these specs, by kind. Raises KeyError on an unknown kind, ValueError on NSP without its pooler."""
    kinds = [spec.kind for spec in specs]
    if "nsp" in kinds and "pooler" not in kinds:
        raise ValueError("the nsp head reads the pooled vector: add the pooler head")
    return nn.ModuleDict({kind: HEADS[kind](architecture) for kind in kinds})

"""A model's shape as frozen data. Imports no torch: configs, plans and help texts read it too."""

from dataclasses import dataclass

from bertwright.errors import InputError

ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "silu", "tanh")


@dataclass(frozen=True, kw_only=True)
class Absolute:
    """Learned absolute positions (Devlin et al. 2018): one vector for each of `max_length` places."""

    max_length: int


@dataclass(frozen=True, kw_only=True)
class Block:
    """One transformer block: attention and feed-forward, each with its residual and norm after it (post-norm)."""

    hidden_size: int
    num_heads: int
    intermediate_size: int
    activation: str = "gelu"
    norm_eps: float = 1e-12
    dropout: float = 0.0
    attention_dropout: float = 0.0

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_heads


@dataclass(frozen=True, kw_only=True)
class Stack:
    """`num_layers` blocks over an embedding sum with its own norm. `segments` is the number of token types."""

    block: Block
    num_layers: int
    positions: Absolute
    segments: int


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """All that a model's modules are built from. `problems` says what contradicts itself."""

    vocab_size: int
    pad_id: int
    embedding_size: int
    encoder: Stack
    initializer_range: float = 0.02

    def problems(self) -> list[str]:
        """One line for each value that cannot stand with the others; empty when the architecture is sound."""
        block, found = self.encoder.block, []
        sizes = {
            "vocab_size": self.vocab_size,
            "hidden_size": block.hidden_size,
            "num_attention_heads": block.num_heads,
            "intermediate_size": block.intermediate_size,
            "num_hidden_layers": self.encoder.num_layers,
            "max_position_embeddings": self.encoder.positions.max_length,
            "type_vocab_size": self.encoder.segments,
        }
        found += [f"{name} is {size}: it must be at least 1" for name, size in sizes.items() if size < 1]
        if block.num_heads > 0 and block.hidden_size % block.num_heads:
            found.append(
                f"hidden_size {block.hidden_size} is not divisible by num_attention_heads {block.num_heads}: "
                f"take a multiple of {block.num_heads}, or other heads"
            )
        if block.activation not in ACTIVATIONS:
            found.append(f"activation {block.activation!r} is not known: take one of {', '.join(ACTIVATIONS)}")
        rates = {"hidden_dropout_prob": block.dropout, "attention_probs_dropout_prob": block.attention_dropout}
        found += [f"{name} is {rate}: it must lie in [0, 1)" for name, rate in rates.items() if not 0 <= rate < 1]
        if not 0 <= self.pad_id < max(self.vocab_size, 1):
            found.append(f"pad_token_id {self.pad_id} lies outside the vocabulary of {self.vocab_size}")
        return found

    def check(self) -> "Architecture":
        """Itself when sound; raises InputError with every problem otherwise."""
        if problems := self.problems():
            raise InputError(*problems)
        return self


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """A head by its kind: `pooler` (dense + tanh on the first token), `mlm` (dense, activation, norm, tied decoder), `nsp` (2 labels on the pooled vector)."""

    kind: str


POOLER, MLM, NSP = HeadSpec(kind="pooler"), HeadSpec(kind="mlm"), HeadSpec(kind="nsp")

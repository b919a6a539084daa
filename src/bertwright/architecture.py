"""A model's shape as frozen data. Imports no torch: configs, plans and help texts read it too."""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from bertwright.errors import InputError
from bertwright.readable import readable

ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "silu", "tanh")

HeadKind = Literal["pooler", "mlm", "lm", "nsp", "sop", "rtd", "classify", "tag", "span", "choice"]
POOLER: HeadKind = "pooler"
MLM: HeadKind = "mlm"
LM: HeadKind = "lm"
NSP: HeadKind = "nsp"
SOP: HeadKind = "sop"
RTD: HeadKind = "rtd"
CLASSIFY: HeadKind = "classify"
TAG: HeadKind = "tag"
SPAN: HeadKind = "span"
CHOICE: HeadKind = "choice"

Reads = Literal["tokens", "pooled", "first", "mean", "last", "final", "end"]


@dataclass(frozen=True, kw_only=True)
class Absolute:
    """Learned absolute positions (Devlin et al. 2018): one vector for each of `max_length` places.

    offset: rows of the table before place 0. skip_padding: places count the tokens that are no padding, padding itself has the row before place 0 (RoBERTa).
    """

    max_length: int
    offset: int = 0
    skip_padding: bool = False


@dataclass(frozen=True, kw_only=True)
class RelativeTable:
    """A learned vector for each distance, in every layer, met by the queries (Shaw et al. 2018) and, with `on_keys`, by the keys too (Huang et al. 2020,
    method 4).
    """

    max_length: int
    on_keys: bool


@dataclass(frozen=True, kw_only=True)
class RelativeSinusoid:
    """Sinusoids of the distance, clipped to `max_distance`, on keys and values (Wei et al. 2019, NEZHA, section 2.1). max_length: as the config names it."""

    max_distance: int
    max_length: int


@dataclass(frozen=True, kw_only=True)
class Rotary:
    """Rotations of queries and keys by their place (Su et al. 2021).

    base: of the frequencies; local_base: in layers with a window. interleaved: pairs of neighbouring dimensions turn, else dimension i with i + half.
    on_values: values turn as well. stored: the table of sines and cosines is part of the checkpoint. max_length: as the config names it.
    """

    base: float
    max_length: int
    local_base: float | None = None
    interleaved: bool = False
    on_values: bool = False
    stored: bool = False


@dataclass(frozen=True, kw_only=True)
class Bucketed:
    """A learned bias for each head and bucket of distances, shared by all layers (Raffel et al. 2019, section 2.1)."""

    num_buckets: int
    max_distance: int


Positions = Absolute | RelativeTable | RelativeSinusoid | Rotary | Bucketed


@dataclass(frozen=True, kw_only=True)
class Dropout:
    """Rates by place: the embedding sum, attention probabilities, the attention's output, inside and after the feed-forward, after the final norm."""

    embeddings: float = 0.0
    attention: float = 0.0
    attention_output: float = 0.0
    activation: float = 0.0
    feed_forward: float = 0.0
    final: float = 0.0

    @classmethod
    def usual(cls, rate: float) -> "Dropout":
        """One rate at BERT's four places."""
        return cls(embeddings=rate, attention=rate, attention_output=rate, feed_forward=rate)


@dataclass(frozen=True, kw_only=True)
class Block:
    """One transformer block: attention and feed-forward, each with its residual and its norm after it, or before it with `norm_first`.

    gated: the feed-forward's activation is multiplied with a second projection. scaled: scores are divided by the root of the head size.
    free_head_size: where it is not hidden_size / num_heads.
    """

    hidden_size: int
    num_heads: int
    intermediate_size: int
    free_head_size: int | None = None
    activation: str = "gelu"
    gated: bool = False
    norm: Literal["layer", "rms"] = "layer"
    norm_bias: bool = True
    norm_eps: float = 1e-12
    norm_first: bool = False
    attention_bias: bool = True
    feed_forward_bias: bool = True
    scaled: bool = True
    dropout: Dropout = Dropout()

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_heads if self.free_head_size is None else self.free_head_size


@dataclass(frozen=True, kw_only=True)
class Stack:
    """`num_layers` blocks over an embedding sum.

    segments: number of token types, 0 for none. embedding_scale: what token vectors are multiplied by. projection: a linear map from the embedding's size to
    the blocks'. first_norm: whether the first block norms its input (with norm_first). cross_attention: blocks also attend to another stack's output.
    groups, inner_groups: blocks are shared: layer i takes all `inner_groups` blocks of group i * groups / num_layers (0: none are shared).
    windows: for each layer how far it sees to either side, None for everywhere; empty where all see everything.
    """

    block: Block
    num_layers: int
    positions: Positions
    segments: int = 0
    embedding_norm: bool = True
    embedding_scale: float = 1.0
    projection: bool = False
    first_norm: bool = True
    final_norm: bool = False
    causal: bool = False
    cross_attention: bool = False
    groups: int = 0
    inner_groups: int = 1
    windows: tuple[int | None, ...] = ()

    @property
    def max_length(self) -> int | None:
        """The longest sequence it can place, in tokens; None where any length can be placed."""
        return self.positions.max_length if isinstance(self.positions, Absolute) else None

    @property
    def order(self) -> tuple[int, ...]:
        """Which block, or group of blocks, each layer takes."""
        return tuple(layer * self.groups // self.num_layers if self.groups else layer for layer in range(self.num_layers))

    @property
    def depth(self) -> int:
        """Blocks that a token goes through."""
        return self.num_layers * self.inner_groups


@dataclass(frozen=True, kw_only=True)
class Transform:
    """A dense layer, an activation and, with `norm`, a norm: what stands between the hidden state and a head's output. dropout: also before it."""

    activation: str
    bias: bool = True
    norm: bool = False
    dropout: bool = False


@dataclass(frozen=True, kw_only=True)
class Head:
    """How a family builds a head of one kind.

    reads: every token, the pooled vector, or one vector a row: the first token's, the mean of all, the last one's that is no padding, the
    final one's even if it is padding, the last end token's.
    transform: what comes before the output. labels: outputs, None for the architecture's `num_labels`. bias: of the output; a language-modelling head may
    keep it as a `buffer`, which is not trained. idle_bias: untied, its checkpoints hold a second bias that nobody reads. scale: of the hidden state
    before the output. dropout: rate before the output.
    """

    kind: HeadKind
    reads: Reads = "tokens"
    transform: Transform | None = None
    labels: int | None = None
    bias: bool | Literal["buffer"] = True
    idle_bias: bool = False
    scale: float = 1.0
    dropout: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """All that a model's modules are built from. `problems` says what contradicts itself.

    An encoder, a decoder, or both. pad_id: None where the family's texts know no padding. heads: every head that the family knows; a model is built with
    some of them. tied: the decoder of language-modelling heads is the token embeddings; None: as a checkpoint has it. fan_in: first weights scaled by the
    width of their input in place of `initializer_range` (Raffel et al. 2019). scaled_residuals: those that write to the residual divided by the root of
    twice the layers (Radford et al. 2019).
    """

    vocab_size: int
    pad_id: int | None
    embedding_size: int
    encoder: Stack | None = None
    decoder: Stack | None = None
    heads: tuple[Head, ...] = ()
    num_labels: int = 2
    tied: bool | None = True
    eos_id: int | None = None
    decoder_start_id: int | None = None
    initializer_range: float = 0.02
    fan_in: bool = False
    scaled_residuals: bool = False

    def __str__(self) -> str:
        return readable(self)

    @property
    def stacks(self) -> dict[str, Stack]:
        """The stacks it has, by name."""
        return {name: stack for name, stack in (("encoder", self.encoder), ("decoder", self.decoder)) if stack is not None}

    @property
    def last(self) -> Stack:
        """The stack that heads read."""
        stack = self.decoder or self.encoder
        if stack is None:
            raise InputError("a model needs an encoder or a decoder: give one")
        return stack

    @property
    def hidden_size(self) -> int:
        return self.last.block.hidden_size

    @property
    def max_length(self) -> int | None:
        """The longest sequence that every stack can place, in tokens; None where there is no limit."""
        return min((stack.max_length for stack in self.stacks.values() if stack.max_length is not None), default=None)

    def head(self, kind: str) -> Head:
        """How a head of this kind is built here. Raises InputError where the family has none."""
        for head in self.heads:
            if head.kind == kind:
                return head
        raise InputError(f"this model family has no {kind} head: it has {', '.join(head.kind for head in self.heads) or 'none'}")

    def with_dropout(self, rate: float, *, attention: float | None = None) -> "Architecture":
        """The same with one rate at the usual places of every stack and none elsewhere; `attention`: another one for the probabilities."""
        dropout = dataclasses.replace(Dropout.usual(rate), attention=rate if attention is None else attention)
        stacks = {name: _with_dropout(stack, dropout) for name, stack in self.stacks.items()}
        return dataclasses.replace(self, encoder=stacks.get("encoder"), decoder=stacks.get("decoder"))

    def problems(self) -> list[str]:
        """One line for each value that cannot stand with the others; empty when the architecture is sound."""
        stacks = self.stacks.values()
        found = [line for stack in stacks for line in [*_stack_problems(stack), *_dropout_problems(stack.block.dropout)]] + _bucket_problems(stacks)
        found += [f"dropout of the {head.kind} head is {head.dropout}: it must lie in [0, 1)" for head in self.heads if not 0 <= head.dropout < 1]
        found += [f"{name} is {size}: it must be at least 1" for name, size in (("vocab_size", self.vocab_size), ("num_labels", self.num_labels)) if size < 1]
        if not self.stacks:
            found.append("a model needs an encoder or a decoder: give one")
        if self.embedding_size < 1:
            found.append(f"embedding_size is {self.embedding_size}: it must be at least 1")
        ids = {"pad_token_id": self.pad_id, "eos_token_id": self.eos_id, "decoder_start_token_id": self.decoder_start_id}
        found += [
            f"{name} {value} lies outside the vocabulary of {self.vocab_size}"
            for name, value in ids.items()
            if value is not None and not 0 <= value < max(self.vocab_size, 1)
        ]
        return list(dict.fromkeys(found))

    def check(self) -> "Architecture":
        """Itself when sound; raises InputError with every problem otherwise."""
        if problems := self.problems():
            raise InputError(*problems)
        return self


def _with_dropout(stack: Stack, dropout: Dropout) -> Stack:
    return dataclasses.replace(stack, block=dataclasses.replace(stack.block, dropout=dropout))


def _stack_problems(stack: Stack) -> list[str]:
    block, found = stack.block, []
    sizes = {
        "hidden_size": block.hidden_size,
        "num_attention_heads": block.num_heads,
        "intermediate_size": block.intermediate_size,
        "num_hidden_layers": stack.num_layers,
    }
    if block.free_head_size is not None:
        sizes["d_kv"] = block.free_head_size
    if not isinstance(stack.positions, Bucketed):
        sizes["max_position_embeddings"] = stack.positions.max_length
    found += [f"{name} is {size}: it must be at least 1" for name, size in sizes.items() if size < 1]
    if stack.segments < 0:
        found.append(f"type_vocab_size is {stack.segments}: it must be at least 0")
    if block.free_head_size is None and block.num_heads > 0 and block.hidden_size % block.num_heads:
        found.append(
            f"hidden_size {block.hidden_size} is not divisible by num_attention_heads {block.num_heads}: take a multiple of {block.num_heads}, or other heads"
        )
    elif isinstance(stack.positions, Rotary) and block.num_heads > 0 and block.head_size % 2:
        found.append(f"rotary positions turn pairs of dimensions, and a head has {block.head_size}: take an even hidden_size / num_attention_heads")
    if block.activation not in ACTIVATIONS:
        found.append(f"activation {block.activation!r} is not known: take one of {', '.join(ACTIVATIONS)}")
    if stack.windows and len(stack.windows) != stack.num_layers:
        found.append(f"layer_types names {len(stack.windows)} layers, num_hidden_layers {stack.num_layers}: give one for each")
    found += [f"a layer's window is {window} to either side: it must be at least 0" for window in stack.windows if window is not None and window < 0]
    return found


def _dropout_problems(dropout: Dropout) -> list[str]:
    names = {"attention": "attention_probs_dropout_prob", "activation": "activation_dropout"}
    rates = {(names.get(place, "hidden_dropout_prob"), rate) for place, rate in vars(dropout).items()}
    return [f"{name} is {rate}: it must lie in [0, 1)" for name, rate in sorted(rates) if not 0 <= rate < 1]


def _bucket_problems(stacks: Collection[Stack]) -> list[str]:
    """Of the buckets of a direction half hold one distance each, and the others share what is left up to the greatest distance: there must be some of both."""
    found = []
    # A stack that looks one way alone has the more exact ones, and so asks for more than one beside it that shares the numbers.
    for positions in {stack.positions: None for stack in stacks if isinstance(stack.positions, Bucketed)}:
        one_way = any(stack.causal for stack in stacks if stack.positions == positions)
        exact = positions.num_buckets // (2 if one_way else 4)
        if positions.num_buckets < 4:
            found.append(f"relative_attention_num_buckets is {positions.num_buckets}: it must be at least 4")
        elif positions.max_distance <= exact:
            found.append(f"relative_attention_max_distance is {positions.max_distance}: with {positions.num_buckets} buckets it must be at least {exact + 1}")
    return found

"""Floating-point operations of a model, from its architecture alone.

Counted are matrix products, two operations for each multiplication and addition; norms, activations and softmax are a few percent more. For a row of
`length` tokens, with hidden size h, heads x head size a, feed-forward size f (counted twice, or three times where it is gated):

    a block, forward          2 length (4 h a + 2 h f) + 4 length^2 a
    cross-attention           2 length (2 h a) + 2 sources (2 h a) + 4 length sources a
    a language-modelling head 2 scored (h e + e vocabulary), with e the embedding size

Backward costs twice as much: the gradient of the input and that of the weights; once where a table is a constant.
"""

from dataclasses import dataclass

from bertwright.analysis.parameters import EMBEDDINGS
from bertwright.architecture import LM, MLM, POOLER, Architecture, Block, Head, HeadKind, RelativeSinusoid, RelativeTable, Stack


@dataclass(frozen=True)
class Operations:
    """Floating-point operations of a forward pass, and of the backward pass after it."""

    forward: float = 0.0
    backward: float = 0.0

    def __add__(self, other: "Operations") -> "Operations":
        return Operations(self.forward + other.forward, self.backward + other.backward)

    def __truediv__(self, number: float) -> "Operations":
        return Operations(self.forward / number, self.backward / number)


def row_operations(architecture: Architecture, heads: tuple[HeadKind, ...], *, length: int, scored: float = 1.0) -> dict[str, Operations]:
    """Operations of one row of `length` tokens in each stack, by part.

    scored: share of the tokens that language-modelling heads read. Masked attention counts whole, since kernels compute it so; a part that multiplies
    nothing (embeddings that are only looked up) has none.
    """
    found = {EMBEDDINGS: Operations()}
    for name, stack in architecture.stacks.items():
        found[EMBEDDINGS] += _trained(length * architecture.embedding_size * stack.block.hidden_size) if stack.projection else Operations()
        found[name] = _stack(stack, length)
    for kind in heads:
        found[kind] = _head(architecture.head(kind), architecture, length=length, scored=scored)
    return found


def row_tokens(architecture: Architecture, *, length: int) -> int:
    """Tokens of such a row: in models of two stacks those of the source and of the target."""
    return length * len(architecture.stacks)


def block_weights(block: Block) -> int:
    """Weights in the matrices of one block, cross-attention left out."""
    return 4 * block.hidden_size * block.num_heads * block.head_size + (3 if block.gated else 2) * block.hidden_size * block.intermediate_size


def _trained(products: float) -> Operations:
    return Operations(2.0 * products, 4.0 * products)


def _with_constant(products: float) -> Operations:
    return Operations(2.0 * products, 2.0 * products)


def _stack(stack: Stack, length: int) -> Operations:
    block, positions = stack.block, stack.positions
    size = block.num_heads * block.head_size
    products = length * block_weights(block) + 2 * length**2 * size
    if stack.cross_attention:
        products += length * 4 * block.hidden_size * size + 2 * length**2 * size
    if isinstance(positions, RelativeTable):
        products += (2 if positions.on_keys else 1) * length * size * (2 * positions.max_length - 1)
    constant = 2 * length * size * (2 * positions.max_distance + 1) if isinstance(positions, RelativeSinusoid) else 0
    return _trained(stack.depth * products) + _with_constant(stack.depth * constant)


def _head(head: Head, architecture: Architecture, *, length: int, scored: float) -> Operations:
    hidden = architecture.hidden_size
    if head.kind in (MLM, LM):
        dense = 0 if head.transform is None else hidden * architecture.embedding_size
        return _trained(scored * length * (dense + architecture.embedding_size * architecture.vocab_size))
    dense = 0 if head.transform is None else hidden**2
    labels = architecture.num_labels if head.labels is None else head.labels
    output = 0 if head.kind == POOLER else hidden * labels
    return _trained((length if head.reads == "tokens" else 1) * (dense + output))

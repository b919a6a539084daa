"""How many parameters each part of a model has."""

from torch import nn

from bertwright.architecture import Absolute, Architecture, RelativeTable

EMBEDDINGS = "embeddings"
BEFORE_BLOCKS = ("segments", "embedding_norm", "projection")


def count_parameters(model: nn.Module) -> int:
    """Of all parts together; what two of them share counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def part_of(name: str, architecture: Architecture) -> str:
    """The part that a parameter of a Model belongs to, by its name: embeddings (all that stands before the first block), encoder, decoder, or a head's kind."""
    first, second, *rest = name.split(".")
    if first == "heads":
        return second
    if first == "tokens" or second in BEFORE_BLOCKS:
        return EMBEDDINGS
    # A table with a vector for each place is added to the token vectors; one of distances works inside the blocks.
    added = second == "positions" and rest == ["weight"] and isinstance(architecture.stacks[first].positions, Absolute | RelativeTable)
    return EMBEDDINGS if added else first


def parameters_by_part(model: nn.Module, architecture: Architecture) -> dict[str, int]:
    """Parameters of each part, the embeddings first, then the stacks, then the heads. What two parts share counts to the first."""
    counts = dict.fromkeys((EMBEDDINGS, *architecture.stacks), 0)
    for name, parameter in model.named_parameters():
        part = part_of(name, architecture)
        counts[part] = counts.get(part, 0) + parameter.numel()
    return counts

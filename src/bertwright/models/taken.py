"""A start from a larger model: its embeddings, its head, and layers out of its depth (Sanh et al. 2019, DistilBERT, section 3)."""

import re

import torch
from torch import Tensor

from bertwright.architecture import Absolute, Architecture
from bertwright.models.stack import TransformerStack
from bertwright.models.transformer import Model

_BLOCK = re.compile(r"^encoder\.blocks\.(\d+)\.")


def layers_taken(own: int, taught: int) -> list[int]:
    """Which layer of `taught` each of `own` begins as: the first, the last, the rest evenly between. Six of 12: 0, 2, 4, 7, 9, 11 as in the released code."""
    return [0] if own == 1 else [round(layer * (taught - 1) / (own - 1)) for layer in range(own)]


def can_take(own: Architecture, taught: Architecture) -> bool:
    """Whether a model's layers can be begun as another's: both encoders of one width, and none with layers that share weights."""
    one, other = own.encoder, taught.encoder
    if one is None or other is None or one.groups or other.groups or own.decoder is not None:
        return False
    return own.hidden_size == taught.hidden_size and own.embedding_size == taught.embedding_size


@torch.no_grad()
def start_at_teacher(model: Model, teacher: Model) -> tuple[int, int]:
    """Begins a model as another: every tensor of the same name and shape, of layers that `layers_taken` chooses; what has another shape stays as it is.

    Places are taken for the same places, wherever their rows stand in the two tables. A model without token types adds the vector of the first one to its
    positions, since it stands in every sum. Returns how many tensors were taken, and of how many.
    """
    if not can_take(model.architecture, teacher.architecture) or model.encoder is None or teacher.encoder is None:
        raise ValueError("these models cannot be begun as each other")
    source, layers = teacher.state_dict(), layers_taken(model.encoder.data.num_layers, teacher.encoder.data.num_layers)
    taken, state = 0, model.state_dict()
    for name, tensor in state.items():
        found = source.get(_BLOCK.sub(lambda match: f"encoder.blocks.{layers[int(match[1])]}.", name))
        if found is not None and name == "encoder.positions.weight":
            found = _positions(found, model.encoder, teacher.encoder, like=tensor)
        if found is not None and found.shape == tensor.shape:
            tensor.copy_(found)
            taken += 1
    return taken, len(state)


def _positions(found: Tensor, own: TransformerStack, taught: TransformerStack, *, like: Tensor) -> Tensor:
    """[places, size] of a teacher -> the rows that stand for the same places in the table `like`; fewer rows where the teacher has fewer places."""
    one, other = own.data.positions, taught.data.positions
    if isinstance(one, Absolute) and own.segments is None and taught.segments is not None:
        found = found + taught.segments.weight[0]
    if isinstance(one, Absolute) and isinstance(other, Absolute) and one.offset != other.offset:
        found = torch.cat([like[: one.offset], found[other.offset :]])
    return found[: len(like)]

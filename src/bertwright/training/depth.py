"""How deep a parameter lies, and what follows from it: a lower rate for lower layers, and layers that are not trained at all."""

import re
from collections.abc import Sequence

from torch import nn

from bertwright.architecture import Architecture, HeadKind, Stack
from bertwright.checkpoints.meta import without_values
from bertwright.errors import InputError
from bertwright.models import Model

_PART = re.compile(
    r"\.(?P<stack>encoder|decoder)\.(?:blocks\.(?P<block>\d+)\.(?:(?P<inner>\d+)\.)?|positions\.distances\.(?P<layer>\d+)|(?P<part>norm\.|[a-z_]+\.))"
)


def levels(architecture: Architecture) -> int:
    """Blocks of weights over each other; shared ones count once, a decoder's lie above its encoder's."""
    return sum(_blocks(stack) for stack in architecture.stacks.values())


def level_of(name: str, architecture: Architecture) -> int:
    """The level of a parameter by its name: 0 the embeddings, 1 the lowest block, up to `levels`, and one more for heads and whatever else is on top.

    The model may stand inside another module. A decoder's own embeddings lie on the level of the encoder's last block.
    """
    top, path = levels(architecture) + 1, f".{name}"
    if path.endswith(".tokens.weight"):
        return 0
    found = _PART.search(path)
    stack = None if found is None or ".heads." in path else architecture.stacks.get(found["stack"])
    if found is None or stack is None:
        return top
    below = _blocks(architecture.encoder) if found["stack"] == "decoder" and architecture.encoder is not None else 0
    if found["block"] is not None:
        return below + 1 + int(found["block"]) * stack.inner_groups + int(found["inner"] or 0)
    if found["layer"] is not None:  # a table of distances for each layer
        layer, inner = divmod(int(found["layer"]), stack.inner_groups)
        return below + 1 + stack.order[layer] * stack.inner_groups + inner
    if found["part"] == "norm.":
        return top if stack is architecture.last else below + _blocks(stack)
    return below


def layer_factor(name: str, architecture: Architecture, decay: float) -> float:
    """The factor of a parameter's learning rate: decay to the power of the levels above it, so 1 for heads and least for the embeddings.

    Each level has the rate of the one above times `decay` (Howard & Ruder 2018, section 3.2; Clark et al. 2020, ELECTRA, appendix B). Blocks that layers
    share are one level.
    """
    return float(decay ** (levels(architecture) + 1 - level_of(name, architecture)))


def freeze(model: Model, layers: int, *, embeddings: bool = False) -> None:
    """Has the embeddings and the lowest `layers` layers stay as they are (`requires_grad` false); 0 leaves everything trained, save the embeddings if so told.

    A decoder's layers come after its encoder's. Nothing is computed backward below the lowest layer that is trained.
    Raises InputError where there are fewer layers, or where one of them shares its weights with one that is to be trained.
    """
    if embeddings:
        freeze_parameters(model, model.architecture, 0)
    if not layers:
        return
    stacks = model.architecture.stacks.values()
    depth = sum(stack.num_layers for stack in stacks)
    if layers > depth:
        raise InputError(f"freeze_layers is {layers}: the model has {depth} layers, take {depth} or fewer")
    frozen, left = 0, layers
    for stack in stacks:
        frozen += _whole_blocks(stack, min(left, stack.num_layers), given=layers)
        left -= min(left, stack.num_layers)
    freeze_parameters(model, model.architecture, frozen)


def check_frozen(architecture: Architecture, heads: Sequence[HeadKind], layers: int, *, embeddings: bool = False) -> None:
    """Raises InputError where `freeze` would, or would leave nothing to train of a model with these heads."""
    if not layers and not embeddings:
        return
    with without_values():
        model = Model(architecture, tuple(heads))
    freeze(model, layers, embeddings=embeddings)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(f"freeze_layers is {layers}: nothing of this model would be trained, freeze fewer")


def freeze_parameters(module: nn.Module, architecture: Architecture, level: int) -> None:
    """Has every parameter up to a level stay as it is; the model of this architecture may stand inside another module."""
    for name, parameter in module.named_parameters():
        if level_of(name, architecture) <= level:
            parameter.requires_grad_(False)


def _blocks(stack: Stack) -> int:
    return (stack.groups or stack.num_layers) * stack.inner_groups


def _whole_blocks(stack: Stack, layers: int, *, given: int) -> int:
    """The blocks of weights of the lowest `layers` layers."""
    below, above = set(stack.order[:layers]), set(stack.order[layers:])
    if below & above:
        whole = [count for count in range(stack.num_layers + 1) if not set(stack.order[:count]) & set(stack.order[count:])]
        raise InputError(f"freeze_layers is {given}: layers share their weights here, take {' or '.join(map(str, whole))}")
    return len(below) * stack.inner_groups

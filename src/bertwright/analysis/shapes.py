"""A model's modules as a tree, each with the shapes that go in and come out."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bertwright.architecture import Architecture, HeadKind, Stack
from bertwright.checkpoints.huggingface import empty_model
from bertwright.models import Model, Output

Shape = tuple[int | str, ...]

# Sizes of two small passes. A dimension that is alike in both is the model's own; any other is told by its pair, so no two pairs may be equal.
BATCH, LENGTH, TARGET, VOCABULARY = (5, 7), (2, 3), (3, 2), (11, 13)
SYMBOLS = {BATCH: "batch", LENGTH: "length", TARGET: "target"}
# Layers of those passes: the first one may lack a norm, the others are alike.
LAYERS = 2


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module with weights. inputs, outputs: shapes of what it is given and gives, by name where it has several; `times`: alike ones that follow each other.

    parameters: of one of them, with all inside it; a tensor that two modules share counts to the first.
    """

    name: str
    kind: str
    inputs: tuple[Shape, ...]
    outputs: dict[str, Shape]
    parameters: int
    times: int = 1
    children: tuple["Module", ...] = ()


def module_tree(model: Model) -> Module:
    """The modules of a model with their shapes; the model itself is not run, and may have no values (meta device).

    Sizes are numbers, or the words batch, length and target (length, in models of two stacks the target's). Modules without weights are left out.
    """
    seen = [_shapes(model.architecture, model.head_kinds, run=run) for run in (0, 1)]
    return _node("model", "", model, kind="Model", seen=_Seen(*seen, vocab_size=model.architecture.vocab_size))


Shapes = dict[str, tuple[list[torch.Size], dict[str, torch.Size]]]


class _Seen:
    """The shapes of both passes, by module."""

    def __init__(self, first: Shapes, second: Shapes, *, vocab_size: int) -> None:
        self.first, self.second, self.vocab_size = first, second, vocab_size

    def of(self, path: str) -> tuple[tuple[Shape, ...], dict[str, Shape]]:
        """Inputs and outputs of the module at a path; of deep layers, those of the last layer that ran."""
        at = path if path in self.first else _shallower(path)
        if at not in self.first:
            return (), {}
        (inputs, outputs), (others, other_outputs) = self.first[at], self.second[at]
        return tuple(map(self._shape, inputs, others)), {name: self._shape(shape, other_outputs[name]) for name, shape in outputs.items()}

    def _shape(self, first: torch.Size, second: torch.Size) -> Shape:
        return tuple(self._size(pair) for pair in zip(first, second, strict=True))

    def _size(self, pair: tuple[int, int]) -> int | str:
        if pair[0] == pair[1]:
            return pair[0]
        return self.vocab_size if pair == VOCABULARY else SYMBOLS.get(pair, "?")


def _shallower(path: str) -> str:
    """The path with its layer's number brought down to one that ran."""
    parts = path.split(".")
    if parts[1:2] == ["blocks"] and len(parts) > 2:
        parts[2] = str(min(int(parts[2]), LAYERS - 1))
    return ".".join(parts)


def _node(name: str, path: str, module: nn.Module, *, seen: _Seen, kind: str | None = None) -> Module:
    inputs, outputs = seen.of(path)
    children = [_node(child_name, f"{path}.{child_name}".lstrip("."), child, seen=seen) for child_name, child in _children(module)]
    return Module(
        name=name,
        kind=kind or type(module).__name__,
        inputs=inputs,
        outputs=outputs,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        children=tuple(_merged(children)),
    )


def _children(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Modules with weights inside; lists and dictionaries of modules are gone through."""
    found = []
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            found += [(f"{name}.{inner_name}", inner) for inner_name, inner in _children(child)]
        elif not isinstance(child, nn.ParameterList) and (any(True for _ in child.parameters()) or any(True for _ in child.buffers())):
            found.append((name, child))
    return found


def _merged(nodes: list[Module]) -> list[Module]:
    """Numbered nodes that follow each other, alike in all but the number, become one."""
    merged: list[Module] = []
    for node in nodes:
        last = merged[-1] if merged else None
        number = node.name.rpartition(".")[2]
        if last is not None and number.isdigit() and dataclasses.replace(last, name="", times=1) == dataclasses.replace(node, name=""):
            merged[-1] = dataclasses.replace(last, name=f"{last.name.partition(' to ')[0]} to {number}", times=last.times + 1)
        else:
            merged.append(node)
    return merged


def _shapes(architecture: Architecture, heads: tuple[HeadKind, ...], *, run: int) -> Shapes:
    """Shapes of one small pass through a model that is as wide, but has few layers and words.

    It runs on the CPU over weights that all share one zero: elementwise operations on the meta device load a compiler, for longer than everything else takes.
    """
    model = _small_model(architecture, heads, vocabulary=VOCABULARY[run])
    found: Shapes = {}
    for path, module in model.named_modules():
        module.register_forward_hook(_recorder(found, path), with_kwargs=True)
    batch, length, target = BATCH[run], LENGTH[run], TARGET[run]
    ids = torch.full((batch, length), model.architecture.eos_id or 0)  # heads that read the last end token need one in every row
    if len(architecture.stacks) == 1:
        other = {"token_type_ids": torch.zeros_like(ids)}
    elif any(architecture.head(kind).reads in ("end", "last") for kind in heads):
        other = {}  # such heads find their place in the source, so that the target is as long
    else:
        other = {"decoder_input_ids": ids.new_zeros(batch, target)}
    with torch.inference_mode():
        model(ids, **other)
    return found


def _small_model(architecture: Architecture, heads: tuple[HeadKind, ...], *, vocabulary: int) -> Model:
    stacks = {name: _shallow(stack) for name, stack in architecture.stacks.items()}
    small = dataclasses.replace(
        architecture,
        vocab_size=vocabulary,
        encoder=stacks.get("encoder"),
        decoder=stacks.get("decoder"),
        pad_id=None if architecture.pad_id is None else 0,
        eos_id=None if architecture.eos_id is None else 1,
        decoder_start_id=None if architecture.decoder_start_id is None else 2,
    )
    model = empty_model(small, heads)
    model.load_state_dict({name: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape) for name, tensor in model.state_dict().items()}, assign=True)
    return model.eval()


def _shallow(stack: Stack) -> Stack:
    layers = min(stack.num_layers, LAYERS)
    return dataclasses.replace(stack, num_layers=layers, groups=min(stack.groups, layers), windows=stack.windows[:layers])


def _recorder(found: Shapes, path: str) -> Callable[..., None]:
    def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: object) -> None:
        inputs = [value.shape for value in (*args, kwargs.get("memory")) if isinstance(value, Tensor)]
        if output is not None:  # as of positions that add nothing to the embeddings
            found.setdefault(path, (inputs, _outputs(output)))

    return record


def _outputs(output: object) -> dict[str, torch.Size]:
    if isinstance(output, Tensor):
        return {"": output.shape}
    if isinstance(output, Output):
        values = {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
        return {name: value.shape for name, value in values.items() if isinstance(value, Tensor)}
    return {}

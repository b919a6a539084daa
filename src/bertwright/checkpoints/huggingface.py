"""Hugging Face folders in and out: config.json and weights, by the family's names."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bertwright.architecture import Architecture, HeadKind, Rotary, Stack
from bertwright.blocks.positions import build_position
from bertwright.checkpoints.files import verify as verify_files
from bertwright.checkpoints.files import write_json_atomic
from bertwright.checkpoints.matching import match
from bertwright.checkpoints.meta import without_values
from bertwright.checkpoints.weights import SAFETENSORS, open_weights, write_tensors
from bertwright.errors import CheckpointError, InputError
from bertwright.families import Config, Family, family_of
from bertwright.models import Model
from bertwright.models.heads import Labelling, build_heads
from bertwright.models.initialisation import initialise


class SavableModel(Model):
    """A Model that can write itself, and remembers the config.json it came with."""

    config: Config

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes config.json and model.safetensors, as `save_model` does."""
        save_model(self, Path(folder), config=self.config)


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model from a folder, in evaluation mode and in the dtype of its file.

    config: config.json as it stood there, for `save_model`; created: heads that the folder lacks, with new weights; unused: tensors of heads that were
    left out, by their names in the file.
    """

    model: SavableModel
    config: dict[str, Any]
    created: tuple[HeadKind, ...]
    unused: tuple[str, ...]


def load_model(
    folder: Path,
    *,
    heads: tuple[HeadKind, ...] | None = None,
    num_labels: int | None = None,
    dropout: float | None = None,
    dtype: torch.dtype | None = None,
    verify: bool = False,
) -> LoadedModel:
    """The model of a Hugging Face folder, of which no second copy is ever held.

    heads: exactly these and those they stand on, or all that the folder has. num_labels: of a task head to be made, in place of the config's. dropout: in
    place of the config's rates. dtype: in place of the file's; the output of classes and numbers has float32 at least. verify: compare every file with the
    hashes of the folder's manifest first, where it has one.
    Raises CheckpointError with one line for each thing wrong.
    """
    if verify and (folder / "training").is_dir():
        verify_files(folder, hashes=True)
    config = read_config(folder)
    family, architecture = _understand(config, folder / "config.json")
    if dropout is not None:
        architecture = architecture.with_dropout(dropout)
    if num_labels is not None:
        architecture = dataclasses.replace(architecture, num_labels=num_labels)
    weights = open_weights(folder)
    matched = match(weights, family, config, heads=heads)
    architecture = matched.settled(architecture)
    model = empty_model(architecture, matched.heads)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    buffers = {name for name, _ in model.named_buffers()}
    matched.check(shapes, optional=frozenset(buffers))
    state = {name: _cast(name, tensor, dtype) for name, tensor in matched.tensors(shapes)}
    if missing := shapes.keys() - state.keys():
        state |= _new_tensors(architecture, family, missing, dtype=state["tokens.weight"].dtype)
    model.load_state_dict(state, assign=True)
    model.config = config
    return LoadedModel(model=model.eval(), config=config, created=matched.created, unused=matched.unused)


def empty_model(architecture: Architecture, heads: tuple[HeadKind, ...]) -> SavableModel:
    """A model on the meta device, whose tensors have shapes and no values, to be filled by `load_state_dict(..., assign=True)`."""
    with without_values():
        return SavableModel(architecture, heads)


def save_model(model: Model, folder: Path, *, config: Config, architecture_class: str | None = None) -> None:
    """Writes config.json and model.safetensors so that transformers loads them, in the model's dtypes.

    config: a config.json whose keys are kept, unused ones too, where they do not contradict the model; its model type says the family.
    architecture_class: Hugging Face's name for the model; by default the config's, where the model has that class's heads, else the richest whose heads it
    has. Raises InputError when it lacks a head of the class, BertwrightError when the system refuses to write.
    """
    family = family_of(config)
    name = architecture_class or default_class(model, family, config)
    if name not in family.classes:
        raise InputError(f"{name} is no class of the {family.name} family: take one of {', '.join(family.classes)}")
    if lacking := [head for head in family.classes[name] if head not in model.head_kinds]:
        raise InputError(f"the model cannot be saved as {name}: it has no {' and no '.join(lacking)} head")
    stacks = family.architecture({**config, "architectures": [name]}).stacks.keys()
    if stacks != model.architecture.stacks.keys():
        raise InputError(f"the model cannot be saved as {name}: it has {' and '.join(model.architecture.stacks)}, the class {' and '.join(stacks)}")
    # With heads that the class does not know, the file holds more than the base model, and the prefix tells its parts apart.
    prefixed = name != family.base_class or any(head not in family.base_heads for head in model.head_kinds)
    tensors = _in_their_names(model.state_dict(), family, model.head_kinds, prefixed=prefixed)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / SAFETENSORS, tensors)
    write_json_atomic(folder / "config.json", {**_describe(model, family, config), "architectures": [name], **_dtype_key(tensors, config)})


def read_config(folder: Path) -> dict[str, Any]:
    """The content of a folder's config.json, or of the file itself. Raises CheckpointError when it is missing or no JSON object."""
    path = folder / "config.json" if folder.is_dir() else folder
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist: give a folder with a config.json") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise CheckpointError(f"{path} is no JSON ({error}): download it again") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} holds no JSON object: download it again")
    return config


def read_architecture(path: Path, *, config: Config | None = None) -> Architecture:
    """The architecture that a config.json, or the one in a folder, describes; `config`: its content, where it was read already.

    Raises CheckpointError with one line for each thing wrong in it.
    """
    return _understand(read_config(path) if config is None else config, path / "config.json" if path.is_dir() else path)[1]


def _understand(config: Config, path: Path) -> tuple[Family, Architecture]:
    try:
        family = family_of(config)
        return family, family.architecture(config)
    except InputError as error:
        raise CheckpointError(*(f"{path}: {problem}" for problem in error.problems)) from None


def _cast(name: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    if dtype is None:
        return tensor
    return tensor.to(torch.promote_types(dtype, torch.float32) if Labelling.EXACT in f".{name}" else dtype)


def _new_tensors(architecture: Architecture, family: Family, missing: set[str], *, dtype: torch.dtype) -> dict[str, Tensor]:
    """First values of what a file lacks: whole heads, and constants that it may leave out. Hardly anything else is made."""
    heads = family.complete_heads(head for head in family.heads if any(name.startswith(f"heads.{head}.") for name in missing))
    modules: dict[str, nn.Module] = {"heads": build_heads(architecture, heads)}
    modules |= {f"{name}.positions": build_position(stack, architecture.embedding_size) for name, stack in architecture.stacks.items() if _is_stored(stack)}
    for module in modules.values():
        initialise(module, architecture)
    made = {f"{prefix}.{name}": tensor for prefix, module in modules.items() for name, tensor in module.state_dict().items()}
    return {name: made[name].to(dtype) for name in missing}


def _is_stored(stack: Stack) -> bool:
    return isinstance(stack.positions, Rotary) and stack.positions.stored


def _in_their_names(state: dict[str, Tensor], family: Family, heads: tuple[HeadKind, ...], *, prefixed: bool) -> dict[str, Tensor]:
    """Hugging Face's names and tensors of a state."""
    rules, tensors = family.names(heads), {}
    for name in state:
        claim = rules.of_ours(name)
        if claim is None:
            raise KeyError(f"no name rule of the {family.name} family claims {name}")
        theirs = claim.theirs if prefixed else claim.theirs.removeprefix(family.prefix)
        if theirs not in tensors:
            whole = state[name] if len(claim.ours) == 1 else torch.cat([state[part] for part in claim.ours])
            tensors[theirs] = whole.t() if claim.transposed else whole
    return tensors


def default_class(model: Model, family: Family, config: Config) -> str:
    """Hugging Face's class for a model: the config's, where it has the model's heads, else the richest whose heads the model has."""
    heads = set(model.head_kinds)
    for name in family.declared(config):
        if set(family.classes[name]) <= heads <= {*family.classes[name], *family.base_heads}:
            return name
    return family.class_for(model.head_kinds)


def _describe(model: Model, family: Family, config: Config) -> dict[str, Any]:
    described = family.architecture(config)
    if described.tied is None:
        described = dataclasses.replace(described, tied=model.architecture.tied)
    if described == model.architecture:
        return dict(config)
    labels = {} if described.num_labels == model.architecture.num_labels else label_keys([f"LABEL_{number}" for number in range(model.architecture.num_labels)])
    return {**config, **family.config(model.architecture), **labels}


def label_keys(names: list[str]) -> dict[str, Any]:
    """The keys of config.json that name a model's labels."""
    return {"id2label": {str(number): name for number, name in enumerate(names)}, "label2id": {name: number for number, name in enumerate(names)}}


def _dtype_key(state: dict[str, Tensor], config: Config) -> dict[str, str]:
    """The dtype that transformers would otherwise cast the weights to, where a config names another than they have."""
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in state.values()}
    keys = tuple(key for key in ("dtype", "torch_dtype") if key in config)
    return {key: next(iter(dtypes)) for key in keys} if len(dtypes) == 1 else {}

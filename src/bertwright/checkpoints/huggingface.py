"""Hugging Face folders in and out: config.json and weights, by the family's names."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bertwright.architecture import Architecture, HeadSpec
from bertwright.checkpoints.files import verify as verify_files
from bertwright.checkpoints.files import write_json_atomic
from bertwright.checkpoints.matching import Matched, match
from bertwright.checkpoints.weights import SAFETENSORS, open_weights, write_tensors
from bertwright.errors import CheckpointError, InputError
from bertwright.families import BERT, Config, Family, family_of
from bertwright.models import Model
from bertwright.models.heads import build_heads
from bertwright.models.initialisation import initialise


class SavableModel(Model):
    """A Model that can write itself, and remembers the config.json it came with."""

    config: Config | None = None

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
    created: tuple[HeadSpec, ...]
    unused: tuple[str, ...]


def load_model(
    folder: Path, *, heads: tuple[HeadSpec, ...] | None = None, dropout: float | None = None, dtype: torch.dtype | None = None, verify: bool = False
) -> LoadedModel:
    """The model of a Hugging Face folder, of which no second copy is ever held.

    heads: exactly these and those they stand on, or all that the folder has. dropout: in place of both of the config's. dtype: in place of the file's.
    verify: compare every file with the hashes of the folder's manifest first, where it has one. Raises CheckpointError with one line for each thing wrong.
    """
    if verify and (folder / "training").is_dir():
        verify_files(folder, hashes=True)
    config = read_config(folder)
    family, architecture = _understand(config, folder / "config.json")
    if dropout is not None:
        block = dataclasses.replace(architecture.encoder.block, dropout=dropout, attention_dropout=dropout)
        architecture = dataclasses.replace(architecture, encoder=dataclasses.replace(architecture.encoder, block=block))
    weights = open_weights(folder)
    matched = match(weights, family, heads=heads)
    model = empty_model(architecture, matched.heads)
    matched.check({name: tuple(tensor.shape) for name, tensor in model.state_dict().items()})
    state = {name: _cast(tensor, dtype) for name, tensor in matched.tensors()}
    state |= _new_heads(architecture, family, matched, dtype=state["embeddings.tokens.weight"].dtype)
    model.load_state_dict(state, assign=True)
    model.config = config
    return LoadedModel(model=model.eval(), config=config, created=matched.created, unused=matched.unused)


def empty_model(architecture: Architecture, heads: tuple[HeadSpec, ...]) -> SavableModel:
    """A model on the meta device, whose tensors have shapes and no values, to be filled by `load_state_dict(..., assign=True)`."""
    with torch.device("meta"), _Uninitialised():
        return SavableModel(architecture, heads)


def save_model(model: Model, folder: Path, *, config: Config | None = None, architecture_class: str | None = None) -> None:
    """Writes config.json and model.safetensors so that transformers loads them, in the model's dtypes.

    config: a config.json whose keys are kept, unused ones too, where they do not contradict the model. architecture_class: Hugging Face's name for the
    model; by default the config's, where the model has that class's heads, else the richest whose heads it has. Raises InputError when it lacks a head
    of the class, BertwrightError when the system refuses to write.
    """
    family = BERT if config is None else family_of(config)
    name = architecture_class or _default_class(model, family, config)
    if name not in family.classes:
        raise InputError(f"{name} is no class of the {family.name} family: take one of {', '.join(family.classes)}")
    if lacking := [head.kind for head in family.classes[name].heads if head not in model.head_specs]:
        raise InputError(f"the model cannot be saved as {name}: it has no {' and no '.join(lacking)} head")
    # With heads that the class does not know, the file holds more than the base model, and the prefix tells its parts apart.
    prefixed = family.classes[name].prefixed or any(head not in family.base_heads for head in model.head_specs)
    state = model.state_dict()
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / SAFETENSORS, {family.written_name(ours, prefixed=prefixed): tensor for ours, tensor in state.items()})
    write_json_atomic(folder / "config.json", {**_describe(model, family, config), "architectures": [name], **_dtype_key(state, config)})


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


def read_architecture(path: Path, *, vocab_size: int | None = None) -> Architecture:
    """The architecture that a config.json, or the one in a folder, describes; `vocab_size` where it names none.

    Raises CheckpointError with one line for each thing wrong in it.
    """
    config = read_config(path)
    if vocab_size is not None:
        config.setdefault("vocab_size", vocab_size)
    return _understand(config, path / "config.json" if path.is_dir() else path)[1]


class _Uninitialised(TorchFunctionMode):
    """Leaves out the first values that modules give their weights: on the meta device there are none, and torch takes two seconds to find that out."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def _understand(config: Config, path: Path) -> tuple[Family, Architecture]:
    try:
        family = family_of(config)
        return family, family.architecture(config)
    except InputError as error:
        raise CheckpointError(*(f"{path}: {problem}" for problem in error.problems)) from None


def _cast(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return tensor if dtype is None else tensor.to(dtype)


def _new_heads(architecture: Architecture, family: Family, matched: Matched, *, dtype: torch.dtype) -> dict[str, Tensor]:
    fresh = build_heads(architecture, family.complete_heads(matched.created))
    initialise(fresh, std=architecture.initializer_range)
    created = {head.kind for head in matched.created}
    return {f"heads.{name}": tensor.to(dtype) for name, tensor in fresh.state_dict().items() if name.split(".")[0] in created}


def _default_class(model: Model, family: Family, config: Config | None) -> str:
    for name in (config or {}).get("architectures") or ():
        if name in family.classes and set(family.classes[name].heads) <= set(model.head_specs):
            return str(name)
    return family.class_for(model.head_specs)


def _describe(model: Model, family: Family, config: Config | None) -> dict[str, Any]:
    if config is not None and family.architecture(config) == model.architecture:
        return dict(config)
    return {**(config or {}), **family.config(model.architecture)}


def _dtype_key(state: dict[str, Tensor], config: Config | None) -> dict[str, str]:
    """The dtype that transformers would otherwise cast the weights to, where a config names another than they have."""
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in state.values()}
    keys = ("dtype",) if config is None else tuple(key for key in ("dtype", "torch_dtype") if key in config)
    return {key: next(iter(dtypes)) for key in keys} if len(dtypes) == 1 else {}

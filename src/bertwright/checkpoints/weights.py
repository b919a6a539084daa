"""Tensors on disk: safetensors, sharded through an index too, and the legacy pickles, which are read without running anything in them."""

import json
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bertwright.checkpoints.files import atomic_file
from bertwright.errors import CheckpointError

SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"
_FLOATING = ("F64", "F32", "F16", "BF16")
# What torch.load is seen to raise on damaged or foreign files, beside its refusal of anything but tensors.
_UNREADABLE = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, AttributeError, TypeError, OSError, AssertionError)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A checkpoint's tensors before they are read: their shapes, which of them are of plain floating point, and `read`, which gives one by name."""

    source: Path
    shapes: Mapping[str, tuple[int, ...]]
    floating: frozenset[str]
    read: Callable[[str], Tensor]


def open_weights(folder: Path) -> Weights:
    """The weights of a Hugging Face folder. Raises CheckpointError naming the file that is missing, damaged or refused."""
    for name, open_files in ((SAFETENSORS, _open_safetensors), (PICKLE, _open_pickles)):
        if (folder / name).is_file():
            return open_files(folder / name, [folder / name])
        if (index := folder / f"{name}.index.json").is_file():
            return open_files(index, _shards(index))
    others = sorted(entry.name for entry in folder.glob("*") if entry.suffix in (".h5", ".msgpack", ".ckpt", ".pt", ".pth", ".gguf", ".onnx"))
    found = f"; {', '.join(others)} cannot be read" if others else ""
    raise CheckpointError(f"{folder} has no weights: {SAFETENSORS} or {PICKLE} is expected{found}")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of one safetensors file, in memory of their own. Raises CheckpointError naming the file when it is missing or damaged."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: take another checkpoint")
    weights = _open_safetensors(path, [path])
    return {name: weights.read(name) for name in weights.shapes}


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes a safetensors file, whole or not at all. Raises BertwrightError with the path and the reason when the system refuses."""
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_file(path) as temporary:
        save_file(ready, temporary, metadata={"format": "pt"})


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{index} is damaged: download the checkpoint again") from None
    # Only plain names: an index must not lead out of its folder.
    if strange := [name for name in names if not isinstance(name, str) or name != Path(name).name]:
        raise CheckpointError(*(f"{index} names {name!r}, which is no file of its folder: download the checkpoint again" for name in strange))
    if missing := [name for name in names if not (index.parent / name).is_file()]:
        raise CheckpointError(*(f"{index.parent / name} is missing, and {index.name} names it: download that shard" for name in missing))
    return [index.parent / name for name in names]


def _open_safetensors(source: Path, files: list[Path]) -> Weights:
    homes: dict[str, Path] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    floating = set()
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118 (safe_open is no mapping)
                    part = opened.get_slice(name)
                    homes[name], shapes[name] = file, tuple(part.get_shape())
                    floating |= {name} if part.get_dtype() in _FLOATING else set()
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file} is no whole safetensors file ({error}): download it again, or take another checkpoint") from None

    def read(name: str) -> Tensor:
        # Out of the memory map into torch's own aligned memory, with the map closed again each time: products of unaligned matrices may
        # differ in their last bits, a file changed under a map kills the process, and pages of a map that stays open count as a second model.
        with safe_open(homes[name], framework="pt") as opened:
            tensor: Tensor = opened.get_tensor(name).clone()
            return tensor

    _check_index(source, shapes)
    return Weights(source=source, shapes=shapes, floating=frozenset(floating), read=read)


def _open_pickles(source: Path, files: list[Path]) -> Weights:
    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            with warnings.catch_warnings():
                # torch warns of pickles that it did not write itself, and then reads them or refuses them as any other.
                warnings.simplefilter("ignore", UserWarning)
                content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
        except _UNREADABLE as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise CheckpointError(f"{file} cannot be read as tensors alone, and nothing else in it was run ({reason}): take a {SAFETENSORS}") from None
        if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
            raise CheckpointError(f"{file} does not hold names and tensors: take a {SAFETENSORS}")
        tensors |= {str(name): tensor for name, tensor in content.items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    _check_index(source, shapes)
    floating = frozenset(name for name, tensor in tensors.items() if tensor.dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16))
    return Weights(source=source, shapes=shapes, floating=floating, read=lambda name: tensors[name].clone())


def _check_index(source: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    if source.name.endswith(".index.json"):
        promised = json.loads(source.read_bytes())["weight_map"]
        if missing := [name for name in promised if name not in shapes]:
            raise CheckpointError(*(f"{source.parent / promised[name]} lacks tensor {name}, which {source.name} says it has" for name in missing[:8]))

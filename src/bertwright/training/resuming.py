"""Which checkpoint of a run to go on from, and whether it is still the same run."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bertwright.architecture import Architecture
from bertwright.checkpoints.files import sha256, verify
from bertwright.checkpoints.huggingface import read_architecture
from bertwright.checkpoints.run_folder import RunFolder
from bertwright.errors import CheckpointError, InputError
from bertwright.training.devices import Device
from bertwright.training.settings import FREE_ON_RESUME, OF_THE_HARDWARE, TrainingConfig
from bertwright.training.state import read_data

# What a fine-tuning's data say of the weights and the tokenizer that it starts from.
START = "start_hash"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What makes a run the same run. config: every key resolved; given: as the user gave it; data: what identifies what it learns from; model: its name."""

    config: TrainingConfig
    given: TrainingConfig
    data: Mapping[str, Any]
    architecture: Architecture
    model: str


def weights_hash(folder: Path, *others: str) -> str:
    """SHA-256 of the weights in a checkpoint's folder and of other hashes: what a run that reads them again at every start is bound to."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".safetensors", ".bin")]
    return hashlib.sha256(" ".join([*map(sha256, files), *others]).encode()).hexdigest()


def agreed_resume_point(identity: Identity, run: RunFolder, device: Device, notes: list[str]) -> Path | None:
    """What the leading process finds: it alone holds the run's lock, and the hashes need reading only once. Adds to `notes` what a user should know.

    Raises InputError where the run is another one, CheckpointError where none of its checkpoints is whole.
    """
    checkpoint = _resume_point(identity, run, notes) if device.leads else None
    step = device.from_leader(-1 if checkpoint is None else int(checkpoint.name.removeprefix("step-")))
    return None if step < 0 else run.checkpoint(step)


def _resume_point(identity: Identity, run: RunFolder, notes: list[str]) -> Path | None:
    """The checkpoint to go on from, checked against the config of this run."""
    wanted = identity.config.resume_from_checkpoint
    if wanted == "never":
        if run.checkpoints():
            raise InputError(f"{run.path} holds a run already and resume_from_checkpoint is never: take another --out, or remove it")
        return None
    if wanted == "auto":
        checkpoint, warnings = run.resume_point()
        notes += warnings
        if checkpoint is None and warnings:
            raise CheckpointError(*warnings, f"{run.path} has no checkpoint left to go on from: remove it, or take another --out")
    else:
        checkpoint = Path(wanted)
        if checkpoint.resolve().parent != (run.path / "checkpoints").resolve():
            raise InputError(
                f"resume_from_checkpoint {wanted} is no checkpoint of {run.path}: "
                "give one, or begin a new run with its weights (pretrain: by --init_from, finetune: as CHECKPOINT)"
            )
        verify(checkpoint, hashes=True)
    if checkpoint is not None:
        notes += _check_unchanged(identity, run, checkpoint)
    return checkpoint


def _check_unchanged(identity: Identity, run: RunFolder, checkpoint: Path) -> list[str]:
    """One line for each key that follows the hardware and changed with it. Raises InputError that names every other one, the text and the model."""
    before: dict[str, Any] = read_data(checkpoint)
    with suppress(FileNotFoundError):  # without it, the text is all that can be compared
        before |= yaml.safe_load((run.path / "config.yaml").read_text(encoding="utf-8"))
    now = {**identity.config.as_dict(), **identity.data}
    changed = {key for key in now if key in before and key not in FREE_ON_RESUME and before[key] != now[key]}
    moved = {key for key in changed if key in OF_THE_HARDWARE and not getattr(identity.given, key)}
    problems = [f"{key} was {before[key]} and is now {now[key]}" for key in now if key in changed - moved - {START}]
    if START in changed:
        problems.append(f"checkpoint was {before.get('checkpoint', 'another one')} and is now {identity.model}, with other weights or another tokenizer")
    if read_architecture(checkpoint) != identity.architecture:
        problems.append(f"model {identity.model} is no longer what {checkpoint.name} holds")
    if problems:
        raise InputError(*(f"{run.path} is a run of another config: {problem}: set it back, or take another --out" for problem in problems))
    return [f"{key} was {before[key]} and is now {now[key]}, as this hardware has it: the bits will differ" for key in sorted(moved)]

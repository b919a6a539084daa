"""What must not become a run's folder; imports no torch."""

from pathlib import Path

from bertwright.errors import InputError


def refuse_other_folders(out: Path, *, start: Path | None = None) -> None:
    """Raises InputError where `out` is a file, holds a model but no run, or is what the training starts from, a checkpoint of it or the run itself."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: give the name of a run folder with --out")
    begun = None if start is None else start.resolve()
    if begun is not None and out.resolve() in (begun, begun.parent.parent if begun.parent.name == "checkpoints" else begun):
        raise InputError(f"{out} is where the checkpoint lies that training starts from: take another --out")
    if (out / "config.json").exists() and not (out / "config.yaml").exists():
        raise InputError(f"{out} holds a model and no run: take another --out")

"""What a user calls a CHECKPOINT: a run folder, a checkpoint folder, any Hugging Face folder, or a hub name."""

import re
from pathlib import Path
from typing import NamedTuple

from bertwright.checkpoints.run_folder import RunFolder
from bertwright.errors import CheckpointError

_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]
_POOLING = "?_Pooling/config.json"  # of sentence-transformers


class Resolved(NamedTuple):
    """The Hugging Face folder meant, and a line that says which one it is."""

    folder: Path
    said: str


def resolve_checkpoint(name: str) -> Path:
    """The Hugging Face folder that a CHECKPOINT means; raises as `find_checkpoint` does."""
    return find_checkpoint(name).folder


def find_checkpoint(name: str) -> Resolved:
    """The folder that a CHECKPOINT means, and a line about it: of a run folder its best checkpoint, else its latest.

    Raises CheckpointError when there is none, naming what was found instead.
    """
    path = Path(name).expanduser()
    if (path / "config.json").is_file():
        return Resolved(path, f"checkpoint: {path}")
    if (path / "checkpoints").is_dir():
        return _of_run(path)
    if path.is_dir():
        if runs := [entry for entry in sorted(path.iterdir()) if (entry / "checkpoints").is_dir()]:
            raise CheckpointError(f"{path} is no run folder, but {' and '.join(str(run) for run in runs[:3])} in it: give that")
        held = ", ".join(sorted(entry.name for entry in path.iterdir())[:5]) or "nothing"
        raise CheckpointError(f"{path} is neither a run folder nor a checkpoint (no config.json in it, but {held}): give a folder that training wrote")
    if path.exists():
        raise CheckpointError(f"{path} is a file: give the folder it lies in")
    if not _HUB_NAME.fullmatch(name):
        raise CheckpointError(f"{name} does not exist: give a run folder, a checkpoint folder or a name on the Hugging Face hub")
    return _of_hub(name)


def _of_run(path: Path) -> Resolved:
    run = RunFolder(path)
    if best := run.read_best():
        return Resolved(best, f"checkpoint: {best} (the best of {path})")
    if latest := run.read_latest():
        return Resolved(latest, f"checkpoint: {latest} (the latest of {path})")
    raise CheckpointError(f"{path} holds no complete checkpoint: let its training reach its first one")


def _of_hub(name: str) -> Resolved:
    # Imported only for a name of the hub: it takes a quarter of a second that every start would pay.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=_WANTED, ignore_patterns=["*/*"]))
        if not any(folder.glob("*.safetensors")):
            # Asked for only now, because most repositories hold the same weights in both forms.
            folder = Path(snapshot_download(name, allow_patterns=[*_WANTED, "pytorch_model*.bin"], ignore_patterns=["*/*"]))
        if (folder / "modules.json").is_file():
            folder = Path(snapshot_download(name, allow_patterns=[_POOLING]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"there is no folder {name}, and the Hugging Face hub does not give it ({reason}): check the name or the network") from None
    return Resolved(folder, f"checkpoint: {name} from the Hugging Face hub ({folder})")

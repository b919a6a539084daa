"""Files and folders that are there whole or not at all, and the hashes that prove it."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from bertwright.errors import BertwrightError, CheckpointError

MANIFEST = Path("training") / "manifest.json"
_LEFTOVER = re.compile(r"\.(?P<name>.+)\.\d+\.(?P<kind>tmp|old|removed)")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an OSError inside (a full disk, a read-only folder), or what safetensors makes of one, into a BertwrightError with the path and the reason."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise BertwrightError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a sibling to write to; on leaving, it is flushed to the disk and takes the path's place. An exception inside leaves the path as it was."""
    temporary = _beside(path, "tmp")
    with writing(path):
        try:
            yield temporary
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_text_atomic(path: Path, text: str) -> None:
    """Writes the text as UTF-8, whole or not at all. Raises BertwrightError when the system refuses."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json_atomic(path: Path, value: Any) -> None:
    """Writes indented JSON, whole or not at all. Raises BertwrightError when the system refuses."""
    write_text_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields an empty sibling folder to fill; on leaving, every file in it is flushed to the disk and the folder takes the path's place.

    A folder that stands there already gives way only then. An exception inside leaves everything as it was; a kill leaves at most folders whose names start
    with a dot, which `remove_leftovers` clears.
    """
    temporary = _beside(path, "tmp")
    with writing(path):
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir(parents=True)
            yield temporary
            for entry in sorted(temporary.rglob("*")):
                sync(entry)
            sync(temporary)
            _put_in_place(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def _put_in_place(temporary: Path, path: Path) -> None:
    replaced = _beside(path, "old")
    if path.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        path.rename(replaced)
    try:
        temporary.rename(path)
    except BaseException:
        if replaced.exists():
            replaced.rename(path)
        raise
    sync(path.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Removes a folder so that no half of it can be taken for the whole."""
    hidden = _beside(path, "removed")
    with writing(path):
        shutil.rmtree(hidden, ignore_errors=True)
        path.rename(hidden)
        shutil.rmtree(hidden)


def remove_leftovers(folder: Path) -> None:
    """Clears what killed writers left in a folder; brings back a folder that was moved aside and never replaced. Only the folder's one writer may call this."""
    for entry in sorted(folder.iterdir()):
        if not (match := _LEFTOVER.fullmatch(entry.name)):
            continue
        original = folder / match["name"]
        if match["kind"] == "old" and not original.exists():
            entry.rename(original)
        elif entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{kind}")


def sync(path: Path) -> None:
    """Flushes a file's or a folder's entry to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, **facts: Any) -> None:
    """Writes training/manifest.json: size in bytes and SHA-256 of every other file of the folder, beside the facts given."""
    files = [entry for entry in sorted(folder.rglob("*")) if entry.is_file() and entry != folder / MANIFEST]
    listed = {entry.relative_to(folder).as_posix(): {"size": entry.stat().st_size, "sha256": sha256(entry)} for entry in files}
    (folder / MANIFEST).parent.mkdir(exist_ok=True)
    (folder / MANIFEST).write_text(json.dumps({**facts, "files": listed}, indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest's content. Raises CheckpointError naming the file when it is missing or damaged."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        entries = [(entry["size"], entry["sha256"]) for entry in manifest["files"].values()]
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: the checkpoint is not complete; take another one") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{path} is damaged: take another checkpoint") from None
    if not entries:
        raise CheckpointError(f"{path} lists no files: take another checkpoint")
    return dict(manifest)


def verify(folder: Path, *, hashes: bool) -> None:
    """Compares a checkpoint's files with its manifest, by size, and by SHA-256 where asked. Raises CheckpointError with one line for each that differs."""
    problems = []
    for name, entry in read_manifest(folder)["files"].items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing: take another checkpoint")
        elif (size := path.stat().st_size) != entry["size"]:
            problems.append(f"{path} has {size:,} bytes where its manifest says {entry['size']:,}: it is truncated or changed; take another checkpoint")
        elif hashes and sha256(path) != entry["sha256"]:
            problems.append(f"{path} differs from the SHA-256 in its manifest: it is damaged or changed; take another checkpoint")
    if problems:
        raise CheckpointError(*problems)

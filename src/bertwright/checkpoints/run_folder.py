"""A run's folder: one writer, checkpoints that are whole or absent, `latest` and `best`, and metrics.jsonl."""

import fcntl
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bertwright.checkpoints.files import (
    MANIFEST,
    atomic_folder,
    read_manifest,
    remove_folder,
    remove_leftovers,
    sync,
    verify,
    write_manifest,
    write_text_atomic,
    writing,
)
from bertwright.errors import BertwrightError, CheckpointError, InputError

_STEP = re.compile(r"step-(\d+)")


class RunFolder:
    """A run folder open for reading, or, through `open(write=True)`, for its one writer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = path / "checkpoints"

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, write: bool) -> Iterator["RunFolder"]:
        """The run folder; made, locked and cleared of a killed writer's leftovers when it is to be written.

        Raises InputError when another process is writing it (naming that process), BertwrightError when the system refuses.
        """
        run = cls(path)
        if not write:
            yield run
            return
        with writing(path):
            run._folder.mkdir(parents=True, exist_ok=True)
        with _lock(path):
            with writing(path):
                remove_leftovers(path)
                remove_leftovers(run._folder)
            run._point_again()
            yield run

    def checkpoints(self) -> list[Path]:
        """The complete checkpoints (every file there, of the right size), in the order in which they were written."""
        return [folder for folder in self._candidates() if _is_complete(folder)]

    def checkpoint(self, step: int) -> Path:
        """Where the checkpoint of a step lies, whether there is one or not."""
        return self._folder / f"step-{step:06d}"

    def newest(self) -> Path | None:
        """The complete checkpoint written last, whatever `latest` says; None when there is none."""
        return next(iter(reversed(self.checkpoints())), None)

    def resume_point(self) -> tuple[Path | None, list[str]]:
        """The checkpoint written last whose every hash is right, and one line for each newer one that is damaged."""
        warnings: list[str] = []
        for folder in reversed(self._candidates()):
            try:
                verify(folder, hashes=True)
            except CheckpointError as error:
                warnings += [f"{folder.name} is left aside: {problem}" for problem in error.problems]
            else:
                return folder, warnings
        return None, warnings

    def read_latest(self) -> Path | None:
        """The checkpoint that `latest` names, or the newest one when that file is missing or names none that is complete."""
        return self._read_pointer("latest") or self.newest()

    def read_best(self) -> Path | None:
        """The checkpoint that `best` names, or else the one last saved as the best; None when there is none."""
        return self._read_pointer("best") or self._newest_best()

    def save(self, step: int, write: Callable[[Path], None], *, best: bool, keep: int | None) -> Path:
        """Has `write` fill a new folder, and makes it the checkpoint of this step; returns its path.

        The folder comes with a manifest and appears whole or not at all; then `latest`, and `best` where it is, name it. With `keep`, older checkpoints
        are pruned down to that many once the new one is verified, never `latest` or `best`. Raises BertwrightError when the system refuses, with all
        earlier checkpoints as they were.
        """
        if keep is not None and keep < 1:
            raise InputError(f"save_total_limit is {keep}: it must be at least 1")
        folder = self.checkpoint(step)
        sequence = max((number for entry in self._candidates() if (number := _sequence(entry)) is not None), default=0) + 1
        with atomic_folder(folder) as temporary:
            write(temporary)
            write_manifest(temporary, step=step, sequence=sequence, best=best)
        self._point("latest", folder)
        if best:
            self._point("best", folder)
        if keep is not None:
            self._prune(keep, written=folder)
        return folder

    def rewrite(self, folder: Path, texts: Mapping[str, str]) -> None:
        """Replaces some of a checkpoint's text files, by name, and its manifest with them, whole or not at all. Raises BertwrightError as `save` does."""
        facts = {key: value for key, value in read_manifest(folder).items() if key != "files"}
        with atomic_folder(folder) as temporary:
            for entry in sorted(folder.rglob("*")):
                place = temporary / entry.relative_to(folder)
                if entry.is_dir():
                    place.mkdir()
                elif entry.relative_to(folder).as_posix() not in (*texts, MANIFEST.as_posix()):
                    _link_or_copy(entry, place)
            for name, text in texts.items():
                (temporary / name).write_text(text, encoding="utf-8")
            write_manifest(temporary, **facts)

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Adds one line to metrics.jsonl; numbers that are not finite are written as null. Raises BertwrightError when the system refuses."""
        self._append("metrics.jsonl", row)

    def append_samples(self, row: Mapping[str, Any]) -> None:
        """Adds one line to samples.jsonl, as `append_metrics`."""
        self._append("samples.jsonl", row)

    def _append(self, name: str, row: Mapping[str, Any]) -> None:
        finite = {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}
        path = self.path / name
        with writing(path), path.open("ab") as file:
            file.write(json.dumps(finite, ensure_ascii=False).encode() + b"\n")

    def cut_metrics(self, step: int) -> None:
        """Drops from metrics.jsonl and samples.jsonl the rows of later steps than this one, and a last line that was torn."""
        for path in (self.path / "metrics.jsonl", self.path / "samples.jsonl"):
            if path.exists():
                lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
                kept = [f"{line}\n" for line in lines[:-1] if _stands(f"{line}\n", step)]
                write_text_atomic(path, "".join(kept))

    def _candidates(self) -> list[Path]:
        """Every folder with a checkpoint's name, damaged ones too, in the order in which they were written."""
        entries = list(self._folder.iterdir()) if self._folder.is_dir() else []
        found = [(entry, match) for entry in entries if (match := _STEP.fullmatch(entry.name)) and entry.is_dir()]
        return [entry for entry, match in sorted(found, key=lambda pair: _order(pair[0], int(pair[1][1])))]

    def _newest_best(self) -> Path | None:
        return next((folder for folder in reversed(self.checkpoints()) if read_manifest(folder).get("best")), None)

    def _read_pointer(self, name: str) -> Path | None:
        try:
            folder = self._folder / (self.path / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return folder if _STEP.fullmatch(folder.name) and folder.parent == self._folder and _is_complete(folder) else None

    def _point(self, name: str, folder: Path) -> None:
        write_text_atomic(self.path / name, folder.name + "\n")

    def _point_again(self) -> None:
        """Has `latest` and `best` name what a writer killed after its rename could not name any more."""
        for name, folder in (("latest", self.newest()), ("best", self._newest_best())):
            if folder is not None and self._read_pointer(name) != folder:
                self._point(name, folder)

    def _prune(self, keep: int, *, written: Path) -> None:
        complete = self.checkpoints()
        spared = {written, self.read_latest(), self.read_best()}
        surplus = [folder for folder in complete if folder not in spared][: max(len(complete) - keep, 0)]
        if not surplus:
            return
        try:
            verify(written, hashes=True)
        except CheckpointError as error:
            raise BertwrightError(f"the disk does not give back what was written; older checkpoints are kept\n{error}") from error
        for folder in surplus:
            remove_folder(folder)


def _link_or_copy(entry: Path, place: Path) -> None:
    """The same content under another name, without the time and room of a copy where the file system can."""
    try:
        os.link(entry, place)
    except OSError:  # exFAT and some network mounts have no hard links
        shutil.copyfile(entry, place)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Holds the folder's lock; the system gives it back when the process ends, however it ends."""
    lock = path / ".lock"
    with writing(lock):
        file = lock.open("a+", encoding="utf-8")
    with file:
        with writing(lock):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                writer = file.read().strip() or "unknown"
                raise InputError(f"{path} is being written by another process (pid {writer}): wait until it ends, or take another --out") from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            sync(path)
        yield


def _is_complete(folder: Path) -> bool:
    try:
        verify(folder, hashes=False)
    except CheckpointError:
        return False
    return True


def _sequence(folder: Path) -> int | None:
    """The checkpoint's place in the order of writing, or None when its manifest does not say."""
    try:
        number = read_manifest(folder).get("sequence")
    except CheckpointError:
        return None
    return number if isinstance(number, int) else None


def _order(folder: Path, step: int) -> tuple[float, int]:
    # Not by step alone: after a resume from an older checkpoint, later steps of the abandoned branch may still lie there.
    # One that cannot say when it was written counts as the newest, so that a resume tries it first and says that it is damaged.
    sequence = _sequence(folder)
    return (math.inf if sequence is None else sequence, step)


def _stands(line: str, step: int) -> bool:
    try:
        row = json.loads(line)
    except ValueError:
        return False
    if not isinstance(row, dict) or not line.endswith("\n"):
        return False
    reached = row.get("step")
    return not isinstance(reached, int) or reached <= step

"""A folder that appears whole or not at all: written beside its place under a dot name, flushed to the disk, renamed."""

import errno
import fcntl
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from bertwright.errors import BertwrightError, InputError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class AtomicFolder:
    """Context of one new folder: write under `path`, then `commit()`; without it everything written is removed.

    A killed process leaves only `.NAME.incomplete-PID`, which the next writer of the same folder removes.
    `marker` is the file that a finished folder of this kind holds: with `overwrite` such a folder is replaced, any other never.
    Raises InputError when the place is taken, BertwrightError when the disk is full.
    """

    def __init__(self, folder: Path, *, marker: str, overwrite: bool = False) -> None:
        self.target = folder.absolute()
        self.marker = marker
        self.overwrite = overwrite
        self.path = self.target.parent / f".{self.target.name}.incomplete-{os.getpid()}"
        self._lock = -1

    def __enter__(self) -> Self:
        self._check_place()
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
            self.path.mkdir()
        except OSError as error:
            raise InputError(f"{self.target}: cannot be written ({error.strerror}): give another --out") from error
        self._lock = os.open(self.path, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            raise BertwrightError(f"{self.target}: {error.strerror}: nothing was written there, free some space or give another --out") from error

    def commit(self) -> None:
        """Flushes every file and folder, then puts the folder in its place; what was there is removed only after that."""
        self._check_place()
        for path in sorted(self.path.rglob("*")):
            _flush(path)
        _flush(self.path)
        replaced = self.target.with_name(f".{self.target.name}.replaced-{os.getpid()}")
        if self.target.exists():
            self.target.rename(replaced)
        try:
            self.path.rename(self.target)
        except OSError:
            if replaced.exists():
                replaced.rename(self.target)
            raise
        _flush(self.target.parent)
        shutil.rmtree(replaced, ignore_errors=True)

    def _check_place(self) -> None:
        if not self.target.exists() and not self.target.is_symlink():
            return
        if not self.target.is_dir() or self.target.is_symlink():
            raise InputError(f"{self.target}: is a file or a link: give the name of a new folder")
        if not any(self.target.iterdir()):
            return
        if not (self.target / self.marker).is_file():
            raise InputError(f"{self.target}: holds other files (no {self.marker}) and is left as it is: give the name of a new folder")
        if not self.overwrite:
            raise InputError(f"{self.target}: is finished already: pass --overwrite to replace it, or give another --out")

    def _remove_leftovers(self) -> None:
        """Removes what killed writers left; one that is still being written is locked and stays. A replaced folder without successor goes back."""
        for leftover in self.target.parent.glob(f".{self.target.name}.incomplete-*"):
            descriptor = os.open(leftover, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(leftover)
            except BlockingIOError:
                continue
            finally:
                os.close(descriptor)
        for leftover in self.target.parent.glob(f".{self.target.name}.replaced-*"):
            if self.target.exists():
                shutil.rmtree(leftover)
            else:
                leftover.rename(self.target)
                self._check_place()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

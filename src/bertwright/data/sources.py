"""Which files the inputs of `prepare` stand for, in a fixed order, and what each of them is."""

import glob
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bertwright.errors import InputError

TEXT, JSON_LINES, JSON, CSV, TSV, PARQUET, DATASET = "text", "jsonl", "json", "csv", "tsv", "parquet", "dataset"
FORMATS = {".txt": TEXT, ".md": TEXT, ".rst": TEXT, ".jsonl": JSON_LINES, ".json": JSON, ".csv": CSV, ".tsv": TSV, ".parquet": PARQUET}
COMPRESSIONS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
DATASET_MARKERS = ("dataset_dict.json", "state.json")  # what datasets.save_to_disk writes
HUB_NAME = re.compile(r"(?:hub:)?(?P<name>[\w.-]+/[\w.-]+)(?::(?P<config>[\w.-]+))?(?:@(?P<split>[\w.\[\]:%-]+))?")
PREPARED = "shards.json"  # what a finished folder of shards holds
SNIFFED = 8192  # bytes


@dataclass(frozen=True)
class Source:
    """One file (or data set) to read. `name` is what the user calls it; `size` is its bytes on the disk, 0 when unknown."""

    name: str
    path: Path
    format: str
    compression: str | None = None
    size: int = 0


@dataclass(frozen=True)
class Sources:
    """All that is to be read, in order. `passed_over`: files inside given folders that are of no known kind."""

    files: tuple[Source, ...]
    passed_over: int = 0

    @property
    def size(self) -> int:
        return sum(source.size for source in self.files)


def find_sources(inputs: Sequence[str], *, spool: Path) -> Sources:
    """Expands files, folders (all that lies below, sorted), globs, `-` and data sets; a file reached twice is read once.

    spool: folder where standard input is kept while it is read, since training a tokenizer needs a pass of its own.
    Raises InputError with a line for every input that is not there or holds no text.
    """
    found: dict[object, Source] = {}
    problems: list[str] = []
    passed_over = 0
    for text in inputs:
        try:
            sources, unknown = _expand(text, spool)
        except InputError as error:
            problems += error.problems
            continue
        passed_over += unknown
        for source in sources:
            found.setdefault(source.name if source.format == DATASET else source.path.resolve(), source)
    if not inputs:
        problems.append("no input: give files, folders, globs, or - for standard input")
    if problems:
        raise InputError(*problems)
    return Sources(tuple(found.values()), passed_over)


def find_source(text: str) -> Source:
    """The one file, saved data set (`FOLDER[@SPLIT]`) or data set on the hub that a name stands for.

    Raises InputError where there is none, and for a folder of files.
    """
    path = Path(text)
    if path.is_dir():
        if any((path / marker).is_file() for marker in DATASET_MARKERS):
            return Source(text, path, DATASET)
        raise InputError(f"{text}: is a folder: name the file in it")
    if path.exists():
        return _file(path)
    if (saved := Path(text.rpartition("@")[0])).is_dir() and any((saved / marker).is_file() for marker in DATASET_MARKERS):
        return Source(text, saved, DATASET)
    if (hub := HUB_NAME.fullmatch(text)) and (text.startswith("hub:") or not _format_of(path)[0]):
        return Source(text, Path(hub["name"]), DATASET)
    raise InputError(f"{text}: no such file or folder")


def _expand(text: str, spool: Path) -> tuple[list[Source], int]:
    path = Path(text)
    if text == "-":
        return [_standard_input(spool)], 0
    if path.is_dir():
        return _folder(path)
    if path.exists():
        return [_file(path)], 0
    if glob.has_magic(text):
        found = sorted(Path(name) for name in glob.glob(text, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        files = [path for path in found if path.is_file() and not path.name.startswith(".")]
        if not files:
            raise InputError(f"{text}: no file matches")
        return [_file(path) for path in files], 0
    if (hub := HUB_NAME.fullmatch(text)) and (text.startswith("hub:") or not _format_of(path)[0]):
        return [Source(text, Path(hub["name"]), DATASET)], 0
    raise InputError(f"{text}: no such file or folder")


def _standard_input(spool: Path) -> Source:
    import shutil
    import sys

    with tempfile.NamedTemporaryFile(dir=spool, prefix="stdin-", delete=False) as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
    path = Path(file.name)
    return Source("standard input", path, TEXT, None, path.stat().st_size)


def _folder(folder: Path) -> tuple[list[Source], int]:
    if any((folder / marker).is_file() for marker in DATASET_MARKERS):
        return [Source(str(folder), folder, DATASET)], 0
    sources, unknown = [], 0
    found = sorted(folder.rglob("*"), key=lambda path: path.parts)
    # An earlier preparation's output may lie inside the folder, as after `bertwright prepare . --out shards`.
    prepared = {path.parent for path in found if path.name == PREPARED}
    for path in found:
        if not path.is_file() or any(part.startswith(".") for part in path.relative_to(folder).parts) or not prepared.isdisjoint(path.parents):
            continue
        if _format_of(path)[0] is None:
            unknown += 1
        else:
            sources.append(_file(path))
    if not sources:
        raise InputError(
            f"{folder}: no text in this folder ({unknown} other files): the kinds read are {', '.join(FORMATS)}, each also as {', '.join(COMPRESSIONS)}"
        )
    return sources, unknown


def _format_of(path: Path) -> tuple[str | None, str | None]:
    """(format, compression) by the name's endings; the format is None when the ending is not known."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    if compression:
        suffixes.pop()
    return FORMATS.get(suffixes[-1]) if suffixes else None, compression


def _file(path: Path) -> Source:
    if not path.is_file():
        raise InputError(f"{path}: is neither a file nor a folder; what comes through a pipe is read from standard input: give -")
    kind, compression = _format_of(path)
    try:
        with path.open("rb") as file:
            head = file.read(SNIFFED)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    _check_head(path, head, kind, compression)
    return Source(str(path), path, kind or TEXT, compression, path.stat().st_size)


MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"PAR1": "parquet", b"%PDF": "PDF"}
WIDE = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}


def _check_head(path: Path, head: bytes, kind: str | None, compression: str | None) -> None:
    """Raises InputError when the first bytes are plainly of another kind than the name says."""
    expected = compression or (PARQUET if kind == PARQUET else None)
    actual = next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
    if expected and head and actual != expected:
        raise InputError(f"{path}: its name says {expected}, its content is {actual or 'not'}: give it the ending of what it is")
    if not expected and actual:
        mend = "give it the ending of what it is" if actual in COMPRESSIONS.values() or actual == PARQUET else "take the text out first"
        raise InputError(f"{path}: its name says text, its content is {actual}: {mend}")
    if not expected and (wide := next((name for mark, name in WIDE.items() if head.startswith(mark)), None)):
        raise InputError(f"{path}: is {wide} (byte 0), only UTF-8 is read: save it as UTF-8, for instance with iconv -f {wide} -t UTF-8")

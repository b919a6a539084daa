"""Which files a fine-tuning reads: the one given, the parts of a folder, the splits of a data set, and those named beside it."""

import re
from dataclasses import dataclass
from pathlib import Path

from bertwright.data.labelled.bad_rows import listed
from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.data_sets import data_set_splits
from bertwright.data.labelled.glue import GlueTask
from bertwright.data.sources import DATASET, DATASET_MARKERS, find_source
from bertwright.errors import InputError

PARTS = {
    "train": re.compile(r"(^|[._-])(train|training)([._-]|$)"),
    "validation": re.compile(r"(^|[._-])(dev|validation|valid|val|eval|evaluation|testa|dev_matched|validation_matched)([._-]|$)"),
    "test": re.compile(r"(^|[._-])(test|testb)([._-]|$)"),
}
READ = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".txt", ".conll", ".bio", ".bmes", ".bioes", ".iob", ".iob2", ".train", ".testa", ".testb")
SHARD = re.compile(r"(?P<name>.+)-\d+-of-(?P<of>\d+)(?P<ending>\..+)")
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


@dataclass(frozen=True)
class Files:
    """What to read, as names that `find_source` knows. said: one line for each that was not named by the user."""

    train: str
    validation: str | None
    test: str | None
    said: tuple[str, ...] = ()


def find_files(train: str, config: DataConfig, glue: GlueTask | None) -> Files:
    """The training file and those to evaluate on; what the config names comes before what a folder holds. Raises InputError for a folder without train."""
    folder = Path(train)
    others: list[str] = []
    of_files = folder.is_dir() and not any((folder / marker).is_file() for marker in DATASET_MARKERS)
    if not of_files:
        source = find_source(train)
        parts = data_set_splits(source) if source.format == DATASET else {}
    elif glue is not None:
        # GLUE's own test files have no labels.
        parts = {part: str(folder / name) for part, name in (("train", "train.tsv"), ("validation", glue.validation)) if (folder / name).is_file()}
    else:
        parts, others = _parts(folder)
    if of_files and not parts:
        raise InputError(f"{train}: no file for training in this folder (train.csv, train.jsonl, train.tsv ...): name the file")
    if parts and "train" not in parts:
        raise InputError(f"{train}: has {', '.join(map(str, parts.values()))} and nothing for training: name the file to train on")
    said = tuple(
        f"{part}: {parts[part]}, found with the training data: --{part} names another"
        for part in ("validation", "test")
        if part in parts and getattr(config, part) is None
    )
    named = [Path(name).resolve() for name in (config.validation, config.test) if name is not None]
    if others := [name for name in others if (folder / name).resolve() not in named]:
        said += (f"{train}: not read: {listed(others)}",)
    return Files(parts.get("train", train), config.validation or parts.get("validation"), config.test or parts.get("test"), said)


def _parts(folder: Path) -> tuple[dict[str, str], list[str]]:
    """One file for each part, told by its name, and the names of the other files that could be read. Raises InputError where two would do."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".") and _is_read(path))
    found: dict[str, str] = {}
    taken: set[Path] = set()
    for part, pattern in PARTS.items():
        matching = [path for path in files if pattern.search(path.name.lower())]
        exact = [path for path in matching if pattern.fullmatch(path.name.partition(".")[0].lower())]
        if len(matching) > 1 and len(exact) == 1:  # what is left of them is told
            matching = exact
        if len(matching) > 1 and (whole := _cut_up(matching)) is not None:
            found[part] = whole
        elif len(matching) > 1:
            names = " and ".join(path.name for path in matching[:3])
            raise InputError(f"{folder}: {names} could each be the {part} file: name the files (the training one, --validation, --test)")
        elif matching:
            found[part] = str(matching[0])
        taken.update(matching)
    return found, [path.name for path in files if path not in taken]


def _cut_up(files: list[Path]) -> str | None:
    """The name, with a star, of all parts of one file (train-00000-of-00002.parquet ...); None where these are not all parts of one."""
    parts = [SHARD.fullmatch(path.name) for path in files]
    wholes = {(part["name"], part["of"], part["ending"]) if part else None for part in parts}
    if len(wholes) != 1 or parts[0] is None or int(parts[0]["of"]) != len(files):
        return None
    return str(files[0].parent / f"{parts[0]['name']}-*-of-{parts[0]['of']}{parts[0]['ending']}")


def _is_read(path: Path) -> bool:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return bool(suffixes) and suffixes[-1] in READ

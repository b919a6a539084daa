"""Hugging Face data sets, saved or on the hub, as tables: their splits, and the names of their classes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bertwright.data.labelled.table import Row, Table
from bertwright.data.places import Place
from bertwright.data.sources import HUB_NAME, Source
from bertwright.data.tables import dataset_errors
from bertwright.errors import InputError

VALIDATION_SPLITS = ("validation", "valid", "dev", "val", "validation_matched")
TEST_SPLITS = ("test",)


def data_set_table(source: Source) -> Table:
    """The rows of the split that the name ends with (`NAME@SPLIT`), else of `train`. Raises InputError where there is none, and for an empty one."""
    with dataset_errors(source) as datasets:
        rows = _split(_load(datasets, source), source)
        first = next(iter(rows), None)
        if first is None:
            raise InputError(f"{source.name}: no rows in it: give a data set with a row for each text")
        features = rows.features or {}
    return Table(
        name=source.name,
        kind="a Hugging Face data set",
        columns=tuple(features) or tuple(first),
        rows=_rows(source, rows),
        class_names={column: tuple(names) for column, feature in features.items() if (names := _class_names(feature))},
    )


def data_set_splits(source: Source) -> dict[str, str]:
    """The names of the "train", "validation" and "test" splits of a data set that has several; empty where it has one, or where one is named already."""
    match = HUB_NAME.fullmatch(source.name)
    if source.path.is_dir():
        if not (source.path / "dataset_dict.json").is_file() or "@" in Path(source.name).name:
            return {}
    elif match is None or match["split"]:
        return {}
    with dataset_errors(source) as datasets:
        found = _load(datasets, source)
    if not isinstance(found, dict):
        return {}
    parts = {"train": ("train",), "validation": VALIDATION_SPLITS, "test": TEST_SPLITS}
    return {part: f"{source.name}@{name}" for part, names in parts.items() if (name := next((name for name in names if name in found), None))}


def _load(datasets: Any, source: Source) -> Any:
    if source.path.is_dir():
        return datasets.load_from_disk(str(source.path))
    match = HUB_NAME.fullmatch(source.name)
    assert match, source.name
    return datasets.load_dataset(match["name"], match["config"], split=match["split"], streaming=True)


def _split(found: Any, source: Source) -> Any:
    if not isinstance(found, dict):
        return found
    _, _, name = source.name.rpartition("@") if "@" in source.name else ("", "", "train")
    if name not in found:
        raise InputError(f"{source.name}: no split {name!r}, found {', '.join(found)}: name one as NAME@SPLIT")
    return found[name]


def _class_names(feature: Any) -> list[str]:
    """The names of a ClassLabel, or of a list of them."""
    return getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None) or []


def _rows(source: Source, rows: Any) -> Iterator[tuple[Place, Row]]:
    with dataset_errors(source):
        for number, row in enumerate(rows, start=1):
            yield Place(source.name, "row", number), row

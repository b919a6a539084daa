"""Rows of a table as texts or pairs of texts with a label, several labels or a number."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bertwright.data.cleaning import Tally, without_surrogates
from bertwright.data.labelled.bad_rows import BadRows
from bertwright.data.labelled.columns import Roles
from bertwright.data.labelled.labels import Raw, number_of
from bertwright.data.labelled.table import Row, WrongCells
from bertwright.data.places import Place
from bertwright.data.tables import kind_of
from bertwright.errors import InputError

NO_LABEL = ("gold_label", "-")  # SNLI's and MultiNLI's mark for pairs that annotators did not agree on


@dataclass(frozen=True, slots=True)
class RawText:
    """A row that has all it needs. value: what its label column holds, a tuple of it where a row may have several; None where it was not asked for."""

    text: str
    pair: str | None
    value: Raw | tuple[Raw, ...] | None
    place: Place


def text_of(row: Mapping[str, Any], column: str, place: Place) -> str | None:
    """A cell's text as it stands, None for an empty or blank one. Raises InputError for a cell that is no text, and for half a character."""
    value = row.get(column)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, str):
        raise InputError(f"{place}: column {column!r} holds {kind_of(value)}, not text: mend the row, or name another column")
    if not value or value.isspace():
        return None
    return value if value.isascii() else without_surrogates(value, Tally(), errors="refuse", where=place)


def raw_texts(rows: Iterable[tuple[Place, Row]], roles: Roles, bad: BadRows, *, several: str | None, labelled: bool) -> list[RawText]:
    """The rows that are whole; the others go to `bad`.

    several: the character between the labels of a row; a list needs none. labelled: a row without a label is a bad one.
    """
    found = []
    text_column, pair_column, label_column = roles["text"], roles.get("pair"), roles.get("label")
    for place, row in rows:
        if isinstance(row, WrongCells):
            add_wrong_cells(bad, place, row)
            continue
        text = text_of(row, text_column, place)
        pair = None if pair_column is None else text_of(row, pair_column, place)
        if text is None or (pair is None and pair_column is not None):
            bad.add("without a text", place)
            continue
        value = None
        if labelled and label_column is not None:
            value = _value(row.get(label_column), label_column, place, several)
            if value is None:
                bad.add("without a label", place)
                continue
        found.append(RawText(text, pair, value, place))
    return found


def add_wrong_cells(bad: BadRows, place: Place, row: WrongCells) -> None:
    """Counts a row of another width than its table's."""
    bad.add(f"with {row.found} cells in place of {row.expected}", place, "quote cells that hold the separator, or mend them")


def _value(value: Any, column: str, place: Place, several: str | None) -> Raw | tuple[Raw, ...] | None:
    """What a label cell holds; None where it is empty. With several labels a row may have none of them, which an empty list or text says."""
    if isinstance(value, list | tuple):
        return tuple(dict.fromkeys(filter(None.__ne__, (_one(entry, column, place) for entry in value))))  # type: ignore[arg-type]
    if several is not None and isinstance(value, str):
        return tuple(dict.fromkeys(part.strip() for part in value.split(several) if part.strip()))
    one = _one(value, column, place)
    return one if several is None or one is None else (one,)


def _one(value: Any, column: str, place: Place) -> Raw | None:
    if isinstance(value, str):
        value = value.strip()
        return None if not value or (column, value) == NO_LABEL else value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, int | float):
        raise InputError(f"{place}: column {column!r} holds {kind_of(value)}, not a label: mend the row, or pass another --label_column")
    return value


def number_or_error(raw: Any, place: Place, column: str) -> float:
    """The number of a regression's row. Raises InputError for words."""
    number = None if isinstance(raw, tuple) else number_of(raw)
    if number is None:
        raise InputError(f"{place}: column {column!r} holds {raw!r}, not a number: mend the row, or pass --task classify")
    return number

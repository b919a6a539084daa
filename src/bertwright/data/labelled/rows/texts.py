"""Rows of a table as texts or pairs of texts with a label, several labels or a number."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bertwright.data.cleaning import Tally, without_surrogates
from bertwright.data.labelled.bad_rows import listed, many_rows
from bertwright.data.labelled.cells import has_decimal_commas, parsed, with_point
from bertwright.data.labelled.columns import plain
from bertwright.data.labelled.examples import TaskName, TextExample
from bertwright.data.labelled.known import Made, TableReading
from bertwright.data.labelled.labels import Raw, known_labels, name_labels, number_of, plain_name, split_names
from bertwright.data.labelled.usual_columns import QUANTITIES
from bertwright.data.places import Place
from bertwright.data.tables import kind_of
from bertwright.errors import InputError

NO_LABEL = {("gold_label", "-")}  # SNLI's and MultiNLI's mark for pairs that annotators did not agree on
MANY_NUMBERS = 20  # different whole numbers with gaps between them: more are quantities
MANY_OF_A_SCALE = 10  # different whole numbers of a rating: more are quantities
FEW_GAPS = 0.9  # share of the numbers from the least to the greatest that occur, where they are classes
MANY_WORDS = 20  # different words: more, and more than half of the rows, are no labels


@dataclass(frozen=True, slots=True)
class RawText:
    """A row that has all it needs. value: what its label column holds, a tuple of it where a row may have several."""

    text: str
    pair: str | None
    value: Raw | tuple[Raw, ...]
    place: Place

    @property
    def values(self) -> tuple[Raw, ...]:
        return self.value if isinstance(self.value, tuple) else (self.value,)


def text_of(reading: TableReading, column: str, place: Place, row: Mapping[str, Any]) -> str | None:
    """A cell's text as it stands, None for an empty or blank one, and for one that is no text where bad rows are left out.

    Raises InputError for a cell that is no text otherwise, and for half a character.
    """
    value = row.get(column)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, str):
        if reading.config.drop_bad_rows:
            return None
        raise InputError(
            f"{place}: column {column!r} holds {kind_of(value)}, not text: mend the row, name another column, or pass --drop_bad_rows to leave it out"
        )
    if not value or value.isspace():
        return None
    return value if value.isascii() else without_surrogates(value, Tally(), errors="refuse", where=place)


def all_texts(reading: TableReading, columns: Sequence[str], place: Place, row: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts of these columns; none at all, and the row counted as a bad one, where one is blank. Raises InputError as `text_of`."""
    texts = tuple(text for column in columns if (text := text_of(reading, column, place, row)) is not None)
    if len(texts) == len(columns):
        return texts
    reading.bad.add("without a text", place)
    return ()


def make_texts(reading: TableReading) -> Made:
    """Texts or pairs with a label, several, or a number. Raises InputError for labels that cannot be learnt, or that training never saw."""
    raw_texts, commas = _with_points(_raw_texts(reading), reading)
    rows, hot, said = _as_numbers_of_labels(raw_texts, reading)
    reading = replace(reading, guess=(*reading.guess, *said))
    reading.settle()
    if not rows:
        return reading.made([])
    if reading.known is None and reading.config.task is None:
        task, why = _looks_like(rows, reading)
        reading = with_task(reading, task, why)
    if reading.task == "regress":
        return _regressed(reading, rows, commas=commas)
    return _classified(reading, rows, hot=hot)


def with_task(reading: TableReading, task: TaskName, why: str) -> TableReading:
    """The same reading for the task that its labels look like."""
    return replace(reading, task=task, guess=(*reading.guess, f"task: {task}, since {why}: --task names another"))


def _raw_texts(reading: TableReading) -> list[RawText]:
    found = []
    columns, label_column = [reading.roles[role] for role in ("text", "pair") if role in reading.roles], reading.roles["label"]
    several = reading.config.several_labels
    numbered = bool(reading.table.class_names.get(label_column))
    for place, row in reading.rows():
        texts = all_texts(reading, columns, place, row)
        if not texts:
            continue
        value = _value(row.get(label_column), label_column, place, several)
        if value is None or (numbered and value in (-1, "-1")):  # a data set's mark for no label
            reading.bad.add("without a label", place)
            continue
        found.append(RawText(texts[0], texts[1] if len(texts) > 1 else None, value, place))
    return found


def _with_points(rows: list[RawText], reading: TableReading) -> tuple[list[RawText], bool]:
    """Numbers with a decimal comma as the others are written, and whether there are any; never where rows have several labels."""
    known = reading.known
    commas = known.decimal_comma if known is not None else False
    commas = commas or has_decimal_commas((row.value for row in rows), reading.table.separator)
    return ([replace(row, value=with_point(row.value)) for row in rows] if commas else rows), commas


def _as_numbers_of_labels(rows: list[RawText], reading: TableReading) -> tuple[list[RawText], int, list[str]]:
    """Lists of 0 and 1 as long as there are labels become the numbers of those that are 1; in other lists a label counts once.

    Gives the rows, the length of such lists (0: they are none), and what to say. Raises InputError for a list that is not as those of training were.
    """
    lists = [row for row in rows if isinstance(row.value, tuple)]
    if not lists:
        return rows, 0, []
    known = reading.known
    width = len(known.labels) if known is not None and known.labels else len(lists[0].values)
    strange = next((row for row in rows if not isinstance(row.value, tuple) or len(row.value) != width or not {0, 1}.issuperset(row.value)), None)
    hot = width > 1 and strange is None if known is None or known.hot is None else known.hot
    if hot and strange is not None:
        raise InputError(f"{strange.place}: column {reading.roles['label']!r} is not {width} times 0 or 1, one for each label, as in training: mend the row")
    if not hot:
        return [replace(row, value=tuple(dict.fromkeys(row.values))) if isinstance(row.value, tuple) else row for row in rows], 0, []
    of = [tuple(number for number, flag in enumerate(row.values) if flag) for row in rows]
    said = f"labels: lists of 0 and 1 are taken for {width} labels, of which a row has those with 1"
    return [replace(row, value=numbers) for row, numbers in zip(rows, of, strict=True)], width, [said]


def _value(value: Any, column: str, place: Place, several: str | None) -> Raw | tuple[Raw, ...] | None:
    """What a label cell holds; None where it is empty. With several labels a row may have none of them, which an empty list or text says."""
    value = parsed(value, place)
    if isinstance(value, list | tuple):
        entries = [_one(entry, column, place) for entry in value]
        return tuple(entry for entry in entries if entry is not None)
    if several is not None and isinstance(value, str):
        return tuple(dict.fromkeys(part.strip() for part in value.split(several) if part.strip()))
    one = _one(value, column, place)
    return one if several is None or one is None else (one,)


def _one(value: Any, column: str, place: Place) -> Raw | None:
    if isinstance(value, str):
        value = value.strip()
        if math.isinf(number_of(value) or 0.0):
            raise InputError(f"{place}: column {column!r} holds {value}, which is no number to learn: mend the row")
        return None if not value or (column, value) in NO_LABEL else value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, int | float):
        raise InputError(f"{place}: column {column!r} holds {kind_of(value)}, not a label: mend the row, or pass another --label_column")
    if math.isinf(value):
        raise InputError(f"{place}: column {column!r} holds {value}, which is no number to learn: mend the row")
    return value


def _looks_like(rows: Sequence[RawText], reading: TableReading) -> tuple[TaskName, str]:
    column = reading.roles["label"]
    if any(isinstance(row.value, tuple) for row in rows):
        return "classify", f"column {column!r} holds lists of labels"
    values = {value for row in rows for value in row.values}
    numbers = {number for value in values if (number := number_of(value)) is not None}
    if all(number_of(value) is not None for value in values):
        if any(not number.is_integer() for number in numbers):
            return "regress", f"column {column!r} holds numbers with a fraction"
        if _is_quantity(numbers, len(rows), column):
            return "regress", f"column {column!r} holds {len(numbers):,} different numbers"
        return "classify", f"column {column!r} holds {len(numbers):,} different whole number{'' if len(numbers) == 1 else 's'}"
    if len(values) > max(MANY_WORDS, len(rows) // 2):
        raise InputError(
            f"{reading.name}: column {column!r} holds {len(values):,} different values in {many_rows(len(rows))}, which look like no labels: "
            "pass --label_column with the right one, or --task"
        )
    return "classify", f"column {column!r} holds {len(values):,} different word{'' if len(values) == 1 else 's'}"


def _is_quantity(numbers: set[float], rows: int, column: str) -> bool:
    """Whether whole numbers are amounts. Those from 0 or 1 on without gaps, each in several rows, are classes, but for many in a column such as `score`."""
    if plain(column) in QUANTITIES:
        return len(numbers) > MANY_OF_A_SCALE
    without_gaps = min(numbers) in (0, 1) and len(numbers) >= FEW_GAPS * (max(numbers) - min(numbers) + 1)
    return len(numbers) > MANY_NUMBERS and not (without_gaps and rows >= 2 * len(numbers))


def _regressed(reading: TableReading, rows: Sequence[RawText], *, commas: bool) -> Made:
    wrong = [row for row in rows if isinstance(row.value, tuple) or number_of(row.value) is None]
    if wrong:
        column, first = reading.roles["label"], wrong[0]
        raise InputError(
            f"{first.place}: column {column!r} holds {first.value!r}, not a number"
            + (f", nor do {len(wrong) - 1:,} rows after it" if len(wrong) > 1 else "")
            + ": mend the rows, or pass --task classify"
        )
    examples = [TextExample(text=row.text, pair=row.pair, label=number_of(row.values[0]), place=row.place) for row in rows]
    if reading.known is None and len({example.label for example in examples}) == 1:
        raise InputError(f"{reading.name}: column {reading.roles['label']!r} holds {examples[0].label} in every row: there is nothing to learn")
    return reading.made(examples, *(["numbers: 0,5 is read as 0.5"] if commas else []), decided={"decimal_comma": commas})


def _classified(reading: TableReading, rows: Sequence[RawText], *, hot: int = 0) -> Made:
    config, known = reading.config, reading.known
    several = config.several_labels is not None or (known is not None and known.several) or any(isinstance(row.value, tuple) for row in rows)
    places: dict[Raw, list[Place]] = {}
    for row in rows:
        for raw in row.values:
            places.setdefault(raw, []).append(row.place)
    if known is None and not places and not hot:
        raise InputError(f"{reading.name}: no row has a label: there is nothing to learn")
    named = hot if known is None else 0
    names, of, order = labels_of_file(reading, {**{number: places.get(number, [rows[0].place]) for number in range(named)}, **places})
    if known is None and len(occurring := set(of.values())) < 2 and not several:
        raise InputError(f"{reading.name}: every row has the label {occurring.pop()!r}, and a classifier learns from two or more: give rows of another")
    examples = [
        TextExample(text=row.text, pair=row.pair, label=tuple(of[raw] for raw in row.values) if several else of[row.values[0]], place=row.place) for row in rows
    ]
    said = [f"labels: {listed(names)} ({order}{'; a row may have several' if several else ''})"] if order else []
    if known is None:
        said += _looks_odd(names, several=several)
        columns = split_names(reading.roles["label"])
        if set(columns) <= set(reading.table.columns) and len(columns) > 1 and (never := [column for column in columns if column not in names]):
            said.append(f"WARNING: labels: no row has {listed(never)}, so {'it is' if len(never) == 1 else 'they are'} no label of this model")
    lists = any(isinstance(row.value, tuple) for row in rows)
    return reading.made(examples, *said, labels=names, several=several, decided={"values": values_of(of, names), "hot": hot > 0 if lists else None})


def _looks_odd(names: Sequence[str], *, several: bool) -> list[str]:
    """What to say of labels that differ in capitals alone, and of those that look like several with a mark between them."""
    said = []
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(name.casefold(), []).append(name)
    if doubled := [" and ".join(each) for each in alike.values() if len(each) > 1]:
        said.append(f"labels: {listed(doubled)} differ in capitals alone, and are learnt as different labels: write them one way if they are one")
    for mark in () if several else ";|":
        marked = [name for name in names if mark in name]
        if len(marked) * 2 >= len(names):
            said.append(
                f"labels: {len(marked):,} of {len(names):,} hold {mark!r}, such as {marked[0]!r}: pass --several_labels '{mark}' if a row may have several"
            )
    return said


def values_of(of: Mapping[Raw, str], names: Sequence[str]) -> dict[str, str]:
    """What each value stands for where names were given to numbers; empty where values are names themselves. Numbers without rows get the names between."""
    found = {plain_name(raw): name for raw, name in of.items()}
    if all(value == name for value, name in found.items()):
        return {}
    first = next((int(value) - names.index(name) for value, name in found.items() if value.isdecimal()), None)
    if first in (0, 1) and all(value == str(names.index(name) + first) for value, name in found.items()):
        return {str(number): name for number, name in enumerate(names, start=first)}
    return found


def labels_of_file(reading: TableReading, places: Mapping[Raw, list[Place]], *, column: str | None = None) -> tuple[tuple[str, ...], dict[Raw, str], str]:
    """(names, name of each value, how their order came about): of a training file its own, of a later one those that training saw."""
    class_names, given = reading.table.class_names.get(column or reading.roles["label"], ()), split_names(reading.config.label_names)
    known = reading.known
    if known is not None and known.values and not class_names:
        return known.labels, known_labels(places, known.labels, file=reading.name, trained=known.trained, values=known.values), ""
    if known is None or not known.labels or class_names or given:
        names, of, order = name_labels(
            {raw: found[0] for raw, found in places.items()}, file=reading.name, given=given, class_names=class_names, strict=known is None
        )
        if known is None or not known.labels:
            return names, of, order
        named: dict[Raw, list[Place]] = {}
        for raw, name in of.items():
            named.setdefault(name, []).extend(places[raw])
        seen = known_labels(named, known.labels, file=reading.name, trained=known.trained)
        return known.labels, {raw: seen[name] for raw, name in of.items()}, ""
    return known.labels, known_labels(places, known.labels, file=reading.name, trained=known.trained), ""

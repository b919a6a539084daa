"""Rows of a text, its possible continuations or answers, and which of them is right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from string import ascii_uppercase
from typing import Any

from bertwright.data.labelled.cells import parsed
from bertwright.data.labelled.columns import Roles, find, plain
from bertwright.data.labelled.examples import ChoiceExample
from bertwright.data.labelled.known import Made, TableReading
from bertwright.data.labelled.labels import number_of
from bertwright.data.labelled.rows.texts import text_of
from bertwright.data.labelled.usual_columns import CHOICE_LISTS, CHOICE_QUESTIONS, CHOICE_TEXTS, NUMBERED_CHOICES, RIGHT_CHOICES
from bertwright.data.places import Place
from bertwright.data.tables import kind_of
from bertwright.errors import InputError

LETTERS = ascii_uppercase


def choice_columns(columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that hold the choices: one with lists, or one for each."""
    if (column := find(columns, CHOICE_LISTS)) is not None:
        return (column,)
    by_plain = {plain(column): column for column in columns}
    for pattern in NUMBERED_CHOICES:
        for names in (range(10), range(1, 10), "abcdefgh"):
            found = []
            for name in names:
                if (column := by_plain.get(pattern.format(name))) is None:
                    break
                found.append(column)
            if len(found) > 1:
                return tuple(found)
    lettered = list(takewhile(lambda letter: letter in columns, LETTERS))  # MMLU: question, A, B, C, D, answer
    if len(lettered) > 1 and find(columns, CHOICE_QUESTIONS) is not None and find(columns, RIGHT_CHOICES) is not None:
        return tuple(lettered)
    return ()


def choice_roles(columns: Sequence[str], named: Roles) -> dict[str, str]:
    """text, perhaps pair (a question, or the beginning of each choice), choices and label, as far as usual names tell them."""
    roles = dict(named)
    if choices := choice_columns([column for column in columns if column not in roles.values()]):
        roles["choices"] = ", ".join(choices)
    free = [column for column in columns if column not in roles.values() and column not in choices]
    for role, names in (("label", RIGHT_CHOICES), ("text", CHOICE_TEXTS), ("pair", CHOICE_QUESTIONS)):
        if role not in roles and (column := find(free, names)) is not None:
            roles[role] = column
            free.remove(column)
    if "text" not in roles and "pair" in roles:
        roles["text"] = roles.pop("pair")
    return roles


@dataclass(frozen=True)
class Offered:
    """The text and choices of a row, the names that the choices go by (A, B ... by default), and what its label column holds."""

    text: str
    choices: tuple[str, ...]
    names: tuple[str, ...]
    label: Any
    place: Place


def offered(reading: TableReading, place: Place, row: Mapping[str, Any]) -> Offered | None:
    """What a row offers, None (and counted) where it lacks a text or choices. A question stands before each answer, as the first words of an ending do."""
    roles = reading.roles
    text = text_of(reading, roles["text"], place, row)
    pair = text_of(reading, roles["pair"], place, row) if "pair" in roles else None
    choices, names = _choices(row, roles["choices"].split(", "), place)
    if text is None or sum(map(bool, choices)) < 2:
        reading.bad.add("without a text" if text is None else "with fewer than two choices", place)
        return None
    return Offered(text, choices if pair is None else tuple(f"{pair} {choice}" for choice in choices), names, row.get(roles.get("label", "")), place)


def make_choices(reading: TableReading) -> Made:
    """Texts with their choices. The right one is a number from 0 (from 1 if no row has 0 and one the count of its choices), a letter, or the text."""
    rows = []
    for place, cells in reading.rows():
        row = offered(reading, place, cells)
        if row is not None and (row.label is None or row.label == "" or row.label == -1):
            reading.bad.add("without a label", place)
        elif row is not None:
            rows.append(row)
    reading.settle()
    numbers = [(number_of(row.label) if isinstance(row.label, str | int | float) else None) for row in rows]
    known = [(int(number), len(row.choices)) for number, row in zip(numbers, rows, strict=True) if number is not None and not set(row.names) & {str(row.label)}]
    from_one = reading.known.from_one if reading.known is not None else None
    if from_one is None:
        from_one = bool(known) and all(number > 0 for number, _ in known) and any(number == count for number, count in known)
    examples = [ChoiceExample(text=row.text, choices=row.choices, label=_right(row, from_one), place=row.place) for row in rows]
    said = [f"{reading.name}: the right choices are counted from 1"] if from_one else []
    return reading.made(examples, *said, decided={"from_one": from_one if known else None})


def _right(row: Offered, from_one: bool) -> int:
    label = str(row.label).strip()
    number = number_of(row.label) if isinstance(row.label, str | int | float) else None
    found: int | None = None
    if label in row.names:
        found = row.names.index(label)
    elif number is not None and number.is_integer():
        found = int(number) - from_one
    elif label in row.choices:
        found = row.choices.index(label)
    if found is None or not 0 <= found < len(row.choices):
        raise InputError(f"{row.place}: the label is {row.label!r}, and there are {len(row.choices)} choices: give the number of the right one, from 0")
    return found


def _choices(row: Mapping[str, Any], columns: Sequence[str], place: Place) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The choices of a row and their names."""
    value: Any = parsed(row.get(columns[0]), place)
    names: Any = None
    if len(columns) > 1:
        value = ["" if (cell := row.get(column)) is None else cell for column in columns]
        while value and value[-1] == "":  # one between others keeps its place, since the label counts it
            value.pop()
    elif isinstance(value, dict):  # ARC and CommonsenseQA: {"text": [...], "label": ["A", ...]}
        value, names = value.get("text"), value.get("label")
    elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        value, names = [each.get("text") for each in value], [each.get("label") for each in value]
    if value is None:
        return (), ()
    if not isinstance(value, list) or not all(isinstance(choice, str) for choice in value):
        raise InputError(f"{place}: column {columns[0]!r} holds {kind_of(value)}, not a list of texts: mend the row")
    return tuple(value), tuple(map(str, names)) if names else tuple(LETTERS[: len(value)])

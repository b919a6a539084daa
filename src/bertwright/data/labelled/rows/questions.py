"""Questions about a context, with the answers where they stand in it."""

from collections.abc import Mapping
from typing import Any

from bertwright.data.labelled.cells import parsed
from bertwright.data.labelled.columns import find
from bertwright.data.labelled.examples import Answer, QuestionExample
from bertwright.data.labelled.known import Made, TableReading
from bertwright.data.labelled.labels import number_of
from bertwright.data.labelled.rows.texts import text_of
from bertwright.data.labelled.usual_columns import QUESTION_IDS, STARTS
from bertwright.data.places import Place
from bertwright.data.tables import kind_of
from bertwright.errors import InputError


def locate(context: str, text: str, start: int | None) -> tuple[Answer, bool] | None:
    """An answer where it stands, and whether that is another place than was said: the nearest there is. None where the context lacks it.

    start: characters before it; None: the first place. Spaces around a text that the context lacks so are left away.
    """
    if start is not None and start >= 0 and text and context[start : start + len(text)] == text:
        return Answer(text=text, start=start), False
    places = _places(context, text)
    if not places and (stripped := text.strip()) and stripped != text:
        text, places = stripped, _places(context, stripped)
    if not places:
        return None
    nearest = places[0] if start is None else min(places, key=lambda place: abs(place - start))
    return Answer(text=text, start=nearest), start is not None


def _places(context: str, text: str) -> list[int]:
    found, place = [], context.find(text) if text else -1
    while place >= 0:
        found.append(place)
        place = context.find(text, place + 1)
    return found


class Questions:
    """Makes the questions of a table, row by row. moved: answers that were found elsewhere than the file says; bad rows go to the reading's."""

    def __init__(self, reading: TableReading) -> None:
        self._reading = reading
        self._id_column = find(reading.table.columns, QUESTION_IDS)
        self._start_column = find(reading.table.columns, STARTS)
        self._seen: set[str] = set()
        self.moved = 0

    def one(self, place: Place, row: Mapping[str, Any]) -> QuestionExample | None:
        """The question of a row, None where it cannot be used."""
        reading = self._reading
        question, context = (text_of(reading, reading.roles[role], place, row) for role in ("text", "pair"))
        if question is None or context is None:
            reading.bad.add("without a question" if question is None else "without a context", place)
            return None
        own = row.get(self._id_column) if self._id_column is not None else None
        identifier = str(place.number if own is None else own)
        if own is None and identifier in self._seen:  # rows are counted anew in each part of a file that was cut up
            identifier = str(place)
        if identifier in self._seen:
            reading.bad.add("with the id of an earlier question", place, "give each its own, since predictions are told apart by it")
            return None
        answers = self._answers(row, context, place) if reading.labelled else None
        if answers is None and reading.labelled:
            return None
        self._seen.add(identifier)
        return QuestionExample(id=identifier, question=question, context=context, answers=answers, place=place)

    def _answers(self, row: Mapping[str, Any], context: str, place: Place) -> tuple[Answer, ...] | None:
        if row.get("is_impossible") is True:
            return ()
        given = _given(row, self._reading.roles["label"], self._start_column, place)
        if given is None:
            self._reading.bad.add("without answers", place)
            return None
        located = [locate(context, text, start) for text, start in given]
        if not all(located):
            self._reading.bad.add("whose answer is not in the context", place, "mend the answer or the context")
            return None
        self.moved += sum(found[1] for found in located if found)
        return tuple(found[0] for found in located if found)


def make_questions(reading: TableReading) -> Made:
    """Questions with their answers; those whose place is wrong are found again, counted and said. Raises InputError for answers that the context lacks."""
    questions = Questions(reading)
    examples = [example for place, row in reading.rows() if (example := questions.one(place, row)) is not None]
    said = []
    if questions.moved:
        said.append(f"{reading.name}: {questions.moved:,} answers stand elsewhere in their context than the file says: the nearest place is taken")
    if none := sum(example.answers == () for example in examples):
        said.append(f"{reading.name}: {none:,} questions have no answer in their context")
    return reading.made(examples, *said)


def _given(row: Mapping[str, Any], column: str, start_column: str | None, place: Place) -> list[tuple[str, int | None]] | None:
    """The answers of a row with where they are said to stand; empty for a question that has none, None where nothing is said of answers."""
    value = parsed(row.get(column), place)
    starts = parsed(row.get(start_column), place) if start_column is not None else None
    if value is None or value == "":
        return None
    if isinstance(value, dict):
        starts, value = value.get("answer_start"), value.get("text")
    if isinstance(value, str):
        value, starts = [value], starts if isinstance(starts, list) else [starts]
    if isinstance(value, list) and value and all(isinstance(each, dict) and isinstance(each.get("text"), str) for each in value):
        value, starts = [each["text"] for each in value], [each.get("answer_start") for each in value]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InputError(f"{place}: column {column!r} holds {kind_of(value)}, not answers with text and answer_start: mend the row")
    given = starts if isinstance(starts, list) else []
    return [(text, _start(given[index], place) if index < len(given) else None) for index, text in enumerate(value)]


def _start(value: Any, place: Place) -> int | None:
    """Where an answer is said to stand: a whole number, however it is written. Raises InputError for anything else."""
    if value is None or value == "":
        return None
    number = number_of(value.strip() if isinstance(value, str) else value) if isinstance(value, str | int | float) else None
    if number is None or not number.is_integer():
        raise InputError(f"{place}: answer_start is {kind_of(value)}, not a number of characters: mend the row, or leave it out to have the answer looked for")
    return int(number)

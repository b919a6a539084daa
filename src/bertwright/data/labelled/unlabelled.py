"""Rows to predict, one after the other: examples without labels, and the rows that they come from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bertwright.data.cleaning import Tally
from bertwright.data.labelled.cells import parsed
from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.conll import looks_like_conll
from bertwright.data.labelled.examples import ChoiceExample, EmbedExample, Example, TagExample, TaskName, TextExample, WriteExample
from bertwright.data.labelled.glue import glue_task
from bertwright.data.labelled.known import Known, TableReading
from bertwright.data.labelled.making import begin_reading
from bertwright.data.labelled.opening import open_labelled
from bertwright.data.labelled.reading import with_glue
from bertwright.data.labelled.rows.choices import offered
from bertwright.data.labelled.rows.questions import Questions
from bertwright.data.labelled.rows.tags import words_of
from bertwright.data.labelled.rows.texts import all_texts, text_of
from bertwright.data.labelled.table import Table
from bertwright.data.places import Place
from bertwright.data.readers import lines, text_chunks
from bertwright.data.sources import TEXT, Source, find_source

RowMapping = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RowsToPredict:
    """The rows of a file, read as they are asked for, each with its example. columns: of the table, to be written again with others added.

    left_out: rows so far that were left out, by reason: those without a text where the config says drop_bad_rows, and the blank lines of a text file.
    """

    name: str
    columns: tuple[str, ...]
    rows: Iterator[tuple[RowMapping, Example]]
    left_out: Mapping[str, int]


def read_to_predict(path: str, *, task: TaskName, config: DataConfig, known: Mapping[str, Any] | None = None) -> RowsToPredict:
    """The rows of a table, of CoNLL columns or SQuAD, or the lines of a text file; labels may be there and are passed over.

    known: `decisions` of the training data: its columns are looked for first.
    Raises InputError at once for missing columns, and while reading for a row without a text, unless the config says drop_bad_rows.
    """
    glue, source = glue_task(config.glue), find_source(path)
    config = replace(config if glue is None else with_glue(config, glue, source), task=task)
    trained = Known.decided({key: value for key, value in (known or {}).items() if key != "separator"}, task=task, labels=(), several=False)
    reading = begin_reading(_table(source, task, config, trained), config, known=trained, labelled=False)
    left_out: dict[str, int] = {}
    return RowsToPredict(name=reading.name, columns=reading.table.columns, rows=_examples(reading, left_out), left_out=left_out)


def _table(source: Source, task: TaskName, config: DataConfig, known: Known) -> Table:
    if source.format == TEXT and not (task == "tag" and looks_like_conll(source)):
        text_lines = lines(text_chunks(source, Tally(), errors="refuse", cleaned=False), Tally())
        rows = ((Place(source.name, "line", number), {"text": line}) for number, line in enumerate(text_lines, start=1))
        return Table(name=source.name, kind="lines of text", columns=("text",), rows=rows)
    return open_labelled(source, config, known)


def _examples(reading: TableReading, left_out: dict[str, int]) -> Iterator[tuple[RowMapping, Example]]:
    make = MAKERS[reading.task](reading)
    of_lines = reading.table.kind == "lines of text"
    for place, row in reading.rows():
        example = None if of_lines and not row["text"].strip() else make(place, row)
        if example is not None:
            yield row, example
        elif of_lines:
            left_out["that are blank"] = left_out.get("that are blank", 0) + 1
        else:
            left_out.update(reading.settle())
    left_out.update(reading.settle())


Make = Callable[[Place, RowMapping], Example | None]


def _texts(reading: TableReading) -> Make:
    columns = [reading.roles[role] for role in ("text", "pair") if role in reading.roles]

    def make(place: Place, row: RowMapping) -> TextExample | None:
        texts = all_texts(reading, columns, place, row)
        return TextExample(text=texts[0], pair=texts[1] if len(texts) > 1 else None, place=place) if texts else None

    return make


def _words(reading: TableReading) -> Make:
    column = reading.roles["text"]

    def make(place: Place, row: RowMapping) -> TagExample | None:
        if isinstance(parsed(row.get(column), place), str):  # a list that was written as text is one of words
            text = text_of(reading, column, place, row)
            if text is not None:
                return TagExample(words=(), text=text, place=place)
        elif words := words_of(row, column, place):
            return TagExample(words=words, place=place)
        reading.bad.add("without words", place)
        return None

    return make


def _questions(reading: TableReading) -> Make:
    return Questions(reading).one


def _choices(reading: TableReading) -> Make:
    def make(place: Place, row: RowMapping) -> ChoiceExample | None:
        found = offered(reading, place, row)
        return None if found is None else ChoiceExample(text=found.text, choices=found.choices, place=place)

    return make


def _embeddings(reading: TableReading) -> Make:
    columns = [reading.roles[role] for role in ("text", "pair", "negative") if role in reading.roles]

    def make(place: Place, row: RowMapping) -> EmbedExample | None:
        texts = all_texts(reading, columns, place, row)
        return EmbedExample(texts=texts, place=place) if texts else None

    return make


def _sources(reading: TableReading) -> Make:
    def make(place: Place, row: RowMapping) -> WriteExample | None:
        texts = all_texts(reading, [reading.roles["text"]], place, row)
        return WriteExample(source=texts[0], place=place) if texts else None

    return make


MAKERS: Mapping[TaskName, Callable[[TableReading], Make]] = {
    "classify": _texts,
    "regress": _texts,
    "tag": _words,
    "answer": _questions,
    "choice": _choices,
    "embed": _embeddings,
    "generate": _sources,
}

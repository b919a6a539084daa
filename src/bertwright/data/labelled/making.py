"""A table's rows as the examples of a task: the one that is known or named, else the one that its columns and labels look like."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bertwright.data.labelled.bad_rows import BadRows
from bertwright.data.labelled.columns import named_column, named_roles
from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.examples import TaskName
from bertwright.data.labelled.guessing import guess_task, roles_for, unused_texts
from bertwright.data.labelled.known import Known, Made, TableReading
from bertwright.data.labelled.labels import flag_of, split_names
from bertwright.data.labelled.rows.choices import make_choices
from bertwright.data.labelled.rows.questions import make_questions
from bertwright.data.labelled.rows.tags import make_tags
from bertwright.data.labelled.rows.text_sets import make_embeddings, make_written
from bertwright.data.labelled.rows.texts import make_texts
from bertwright.data.labelled.table import Row, Table, WrongCells
from bertwright.data.places import Place
from bertwright.errors import InputError

MAKERS: Mapping[TaskName, Callable[[TableReading], Made]] = {
    "classify": make_texts,
    "regress": make_texts,
    "tag": make_tags,
    "answer": make_questions,
    "choice": make_choices,
    "embed": make_embeddings,
    "generate": make_written,
}


def make(table: Table, config: DataConfig, *, known: Known | None) -> Made:
    """Reads the whole table. Raises InputError with what is wrong with it."""
    reading = begin_reading(table, config, known=known, labelled=True)
    return MAKERS[reading.task](reading)


def joined_labels(table: Table, label_column: str | None) -> Table:
    """A table whose labels have a column each, of 0 and 1, with one more that lists those a row has. label_column: their names with commas between.

    Raises InputError for a name that is no column, and naming the place for another value.
    """
    names = split_names(label_column)
    if label_column is None or label_column in table.columns or len(names) < 2:
        return table
    labels = [named_column(table.columns, name, option="label_column", file=table.name) for name in names]
    if doubled := sorted({name for name in labels if labels.count(name) > 1}):
        raise InputError(f"--label_column names {', '.join(doubled)} twice: name each column once")

    def rows() -> Iterator[tuple[Place, Row]]:
        for place, row in table.rows:
            yield place, row if isinstance(row, WrongCells) else {**row, label_column: _flagged(row, labels, place)}

    return replace(table, columns=(*table.columns, label_column), rows=rows())


def _flagged(row: Mapping[str, Any], labels: list[str], place: Place) -> list[str] | None:
    """The labels of a row; None where a cell is empty."""
    cells = [row.get(label) for label in labels]
    if any(cell is None or cell == "" for cell in cells):
        return None
    flags = [flag_of(cell) for cell in cells]
    if None in flags:
        strange = flags.index(None)
        raise InputError(f"{place}: column {labels[strange]!r} holds {cells[strange]!r}, and a label of several is 0 or 1: mend the row")
    return [label for label, flag in zip(labels, flags, strict=True) if flag]


def begin_reading(table: Table, config: DataConfig, *, known: Known | None, labelled: bool) -> TableReading:
    """The task and the columns of a table, told from its first rows. Raises InputError naming the columns that are missing."""
    sample, table = joined_labels(table, config.label_column).peek()
    trained = known.roles(table.columns, table.header) if known is not None else {}
    named = {**trained, **named_roles(table.columns, config, table.name, trained=trained)}
    given = known.task if known is not None else config.named_task
    task, why = (given, "") if given is not None else guess_task(table.columns, sample, named)
    roles, said = roles_for(task, table.columns, sample, named, file=table.name, labelled=labelled)
    if labelled and known is None and task in ("classify", "regress"):
        said = (*said, *unused_texts(table, sample, roles))
    guess = (f"task: {task}, since {why}: --task names another", *said) if why else said
    return TableReading(table=table, task=task, roles=roles, config=config, known=known, labelled=labelled, guess=guess, bad=BadRows(table.name))

"""A table's rows as the examples of a task: the one that is known or named, else the one that its columns and labels look like."""

from collections.abc import Callable, Mapping

from bertwright.data.labelled.bad_rows import BadRows
from bertwright.data.labelled.choices import make_choices
from bertwright.data.labelled.columns import named_roles
from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.examples import TaskName
from bertwright.data.labelled.guessing import guess_task, roles_for
from bertwright.data.labelled.known import Known, Made, TableReading
from bertwright.data.labelled.questions import make_questions
from bertwright.data.labelled.table import Table
from bertwright.data.labelled.tags import make_tags
from bertwright.data.labelled.text_sets import make_embeddings, make_written
from bertwright.data.labelled.texts import make_texts

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


def begin_reading(table: Table, config: DataConfig, *, known: Known | None, labelled: bool) -> TableReading:
    """The task and the columns of a table, told from its first rows. Raises InputError naming the columns that are missing."""
    sample, table = table.peek()
    named = named_roles(table.columns, config, table.name)
    if known is not None and known.columns and not named and {part for column in known.columns.values() for part in column.split(", ")} <= set(table.columns):
        named = dict(known.columns)
    given = known.task if known is not None else config.named_task
    task, why = (given, "") if given is not None else guess_task(table.columns, sample, named)
    roles, said = roles_for(task, table.columns, sample, named, file=table.name, labelled=labelled)
    guess = (f"task: {task}, since {why}: --task names another", *said) if why else said
    return TableReading(table=table, task=task, roles=roles, config=config, known=known, labelled=labelled, guess=guess, bad=BadRows(table.name))

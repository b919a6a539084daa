"""A table's rows as the examples of a task: the one that is known or named, else the one that its columns and labels look like."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bertwright.data.labelled.bad_rows import BadRows, many_rows
from bertwright.data.labelled.columns import Roles, missing_column, named_roles, text_roles
from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.examples import LabelledData, TaskName, TextExample
from bertwright.data.labelled.labels import Raw, known_labels, name_labels, number_of, split_names
from bertwright.data.labelled.table import Table
from bertwright.data.labelled.texts import RawText, number_or_error, raw_texts
from bertwright.data.places import Place
from bertwright.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Known:
    """What training found, for the files that are read after its own. trained: the name of its file."""

    task: TaskName
    labels: tuple[str, ...] = ()
    several: bool = False
    columns: Roles | None = None
    header: bool | None = None
    trained: str = ""

    @classmethod
    def of(cls, data: LabelledData, *, header: bool | None) -> "Known":
        return cls(task=data.task, labels=data.labels, several=data.several, columns=data.columns, header=header, trained=data.name)


@dataclass(frozen=True, kw_only=True)
class Made:
    """The rows of a file for a task, and one line for each thing taken for granted."""

    data: LabelledData
    said: tuple[str, ...] = ()
    header: bool | None = None


def make(table: Table, config: DataConfig, *, known: Known | None) -> Made:
    """Reads the whole table. Raises InputError with what is wrong with it."""
    named = named_roles(table.columns, config, table.name)
    if known is not None and known.columns is not None and not named and set(known.columns.values()) <= set(table.columns):
        named = dict(known.columns)
    return make_texts(table, text_roles(table.columns, named), config, known=known)


def make_texts(table: Table, roles: Roles, config: DataConfig, *, known: Known | None) -> Made:
    """Texts or pairs with a label, several, or a number."""
    if missing := [
        missing_column(what, table.name, table.columns, f"{role}_column").problems[0]
        for role, what in (("text", "the text"), ("label", "the label"))
        if role not in roles
    ]:
        raise InputError(*missing)
    bad = BadRows(table.name)
    rows = raw_texts(table.rows, roles, bad, several=config.several_labels, labelled=True)
    left_out = bad.settle(drop=config.drop_bad_rows)
    if not rows:
        raise InputError(f"{table.name}: no row is left to read: look at the columns {', '.join(table.columns)}")
    task, why = (known.task, "") if known is not None else _task(rows, roles["label"], config)
    data = LabelledData(name=table.name, task=task, examples=(), columns=roles, left_out=left_out)
    if task == "regress":
        examples = [TextExample(text=row.text, pair=row.pair, label=number_or_error(row.value, row.place, roles["label"]), place=row.place) for row in rows]
        data, order = replace(data, examples=examples), ""
        if known is None and len({example.label for example in examples}) == 1:
            raise InputError(f"{table.name}: column {roles['label']!r} has the number {examples[0].label} in every row: there is nothing to learn")
    else:
        data, order = _classified(data, rows, table.class_names.get(roles["label"], ()), config, known)
    return Made(data=data, said=_said(table, data, why, order), header=table.header)


def _task(rows: Sequence[RawText], column: str, config: DataConfig) -> tuple[TaskName, str]:
    if config.task in ("classify", "regress"):
        return "regress" if config.task == "regress" else "classify", ""
    if any(isinstance(row.value, tuple) for row in rows):
        return "classify", f"column {column!r} holds lists of labels"
    values = {value for row in rows for value in _values(row)}
    numbers = {number for value in values if (number := number_of(value)) is not None}
    if all(number_of(value) is not None for value in values):
        if any(not number.is_integer() for number in numbers):
            return "regress", f"column {column!r} holds numbers with a fraction"
        if len(numbers) > max(50, len(rows) // 10):
            return "regress", f"column {column!r} holds {len(numbers):,} different numbers"
        return "classify", f"column {column!r} holds {len(numbers):,} different whole numbers"
    if len(values) > max(20, len(rows) // 2):
        raise InputError(
            f"column {column!r} holds {len(values):,} different values in {many_rows(len(rows))}, which looks like no label: "
            "pass --label_column with the right one, or --task"
        )
    return "classify", f"column {column!r} holds {len(values):,} different words"


def _classified(data: LabelledData, rows: Sequence[RawText], class_names: Sequence[str], config: DataConfig, known: Known | None) -> tuple[LabelledData, str]:
    several = any(isinstance(row.value, tuple) for row in rows) or config.several_labels is not None or (known is not None and known.several)
    places: dict[Raw, list[Place]] = {}
    for row in rows:
        for raw in _values(row):
            places.setdefault(raw, []).append(row.place)
    given = split_names(config.label_names)
    if known is not None and known.labels:
        names, order = known.labels, ""
        if class_names or given:
            _, of, _ = name_labels({raw: found[0] for raw, found in places.items()}, file=data.name, given=given, class_names=class_names)
            inner = known_labels({of[raw]: found for raw, found in places.items()}, names, file=data.name, trained=known.trained)
            of = {raw: inner[name] for raw, name in of.items()}
        else:
            of = known_labels(places, names, file=data.name, trained=known.trained)
    else:
        names, of, order = name_labels({raw: found[0] for raw, found in places.items()}, file=data.name, given=given, class_names=class_names)
        occurring = set(of.values())
        if len(occurring) < 2 and not several:
            raise InputError(f"{data.name}: every row has the label {next(iter(occurring))!r}, and a classifier learns from two or more: give rows of another")
    examples = [
        TextExample(text=row.text, pair=row.pair, label=tuple(of[raw] for raw in _values(row)) if several else of[_values(row)[0]], place=row.place)
        for row in rows
    ]
    return replace(data, examples=examples, labels=names, several=several), order


def _values(row: RawText) -> tuple[Raw, ...]:
    if isinstance(row.value, tuple):
        return row.value
    return () if row.value is None else (row.value,)


def _said(table: Table, data: LabelledData, why: str, order: str) -> tuple[str, ...]:
    columns = ", ".join(f"{role} = {column}" for role, column in data.columns.items())
    unused = [column for column in table.columns if column not in data.columns.values()]
    lines = [*table.said, f"{table.name}: {many_rows(len(data.examples))} of {table.kind}; {columns}" + (f"; not used: {', '.join(unused)}" if unused else "")]
    if why:
        lines.append(f"task: {data.task}, for {why}: --task names another")
    if data.labels:
        shown = ", ".join(data.labels[:12]) + (f" and {len(data.labels) - 12} more" if len(data.labels) > 12 else "")
        lines.append(f"labels: {shown} ({order}{'; a row may have several' if data.several else ''})")
    lines += [f"{table.name}: {many_rows(count)} {wrong} left out" for wrong, count in data.left_out.items()]
    return tuple(lines)

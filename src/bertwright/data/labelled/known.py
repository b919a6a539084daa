"""What is known before a file is read, a table that is being read for a task, and what that makes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bertwright.data.labelled.bad_rows import BadRows, listed, many_rows, named_places
from bertwright.data.labelled.columns import Roles, find
from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.examples import LabelledData, TaskName
from bertwright.data.labelled.labels import number_of, plain_name, split_names
from bertwright.data.labelled.table import Table, WrongCells
from bertwright.data.labelled.usual_columns import IDS
from bertwright.data.places import Place
from bertwright.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Known:
    """What training found and decided, for the files that are read after its own, which are read alike.

    labels are empty where they are not known. columns: of the training file, by role; file_columns: all of them, in their order; header: whether its first line
    named them. values: the label of each value that stood for one; hot: whether lists of labels were 0 and 1 for each (None: not decided); from_one: whether
    right choices are counted from 1 (None: not decided); decimal_comma: whether numbers are written 0,5. trained: the name of the training file.
    """

    task: TaskName
    labels: tuple[str, ...] = ()
    several: bool = False
    columns: Roles = field(default_factory=dict)
    file_columns: tuple[str, ...] = ()
    header: bool | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    hot: bool | None = None
    from_one: bool | None = None
    decimal_comma: bool = False
    separator: str | None = None
    trained: str = ""

    @classmethod
    def of(cls, data: LabelledData) -> "Known":
        return cls.decided(data.decisions, task=data.task, labels=data.labels, several=data.several, trained=data.name)

    @classmethod
    def decided(cls, decisions: Mapping[str, Any] | None, *, task: TaskName, labels: Sequence[str], several: bool, trained: str = "") -> "Known":
        """From `LabelledData.decisions`, as they are or out of a JSON file; keys that are none of ours are passed over."""
        told = {key: value for key, value in (decisions or {}).items() if key in DECIDED}
        told["file_columns"] = tuple(told.get("file_columns", ()))
        return cls(task=task, labels=tuple(labels), several=several, trained=trained, **told)

    def decisions(self) -> dict[str, Any]:
        """What JSON can keep of it; what is not decided is left out."""
        found = {key: getattr(self, key) for key in DECIDED}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items() if value not in (None, (), {})}

    def has_header(self, first: Sequence[str]) -> bool | None:
        """Whether the first line of a later file names its columns; None where training does not tell."""
        if not self.columns:
            return None
        parts = {part for column in self.columns.values() for part in split_names(column)}
        if self.header and parts & {cell.strip() for cell in first} - set(self.values):
            return True
        cell = self._label_cell(first)
        if cell is None:
            return None
        return False if plain_name(cell) in {*self.values, *self.labels} or (self.task == "regress" and number_of(cell.replace(",", ".")) is not None) else None

    def _label_cell(self, first: Sequence[str]) -> str | None:
        label = self.columns.get("label")
        same = label in self.file_columns and len(first) == len(self.file_columns)
        return first[self.file_columns.index(label)].strip() if same and label is not None else None

    def roles(self, columns: Sequence[str], header: bool | None) -> dict[str, str]:
        """The columns of a later file for the roles of training: by their names, else by their places where only one of the files names its columns."""
        by_place = header is not None and self.header is not None and header != self.header and len(columns) == len(self.file_columns)
        if by_place:
            place = dict(zip(self.file_columns, columns, strict=True))
            return {role: place[column] for role, column in self.columns.items() if column in place}
        return {role: column for role, column in self.columns.items() if column in columns or all(part in columns for part in split_names(column))}


DECIDED = ("columns", "file_columns", "header", "values", "hot", "from_one", "decimal_comma", "separator")


@dataclass(frozen=True, kw_only=True)
class Made:
    """The rows of a file for a task, and one line for each thing taken for granted."""

    data: LabelledData
    said: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TableReading:
    """A table being read for a task: what each of its columns is, and the rows that turn out bad.

    roles: the column for "text", "pair", "label" ...; labelled: a row without a label is a bad one, else labels are passed over; guess: how the task and
    columns were guessed, one line each.
    """

    table: Table
    task: TaskName
    roles: Roles
    config: DataConfig
    known: Known | None = None
    labelled: bool = True
    guess: tuple[str, ...] = ()
    bad: BadRows
    repeated: list[Place] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.table.name

    def rows(self) -> Iterator[tuple[Place, Mapping[str, Any]]]:
        """The rows that have a cell for each column; the others go to `bad`. Rows that repeat an id are noted."""
        column = find([column for column in self.table.columns if column not in self.roles.values()], IDS) if self.labelled else None
        seen: set[str] = set()
        for place, row in self.table.rows:
            if isinstance(row, WrongCells):
                self.bad.add(
                    f"with {row.found} cell{'' if row.found == 1 else 's'} in place of {row.expected}",
                    place,
                    "quote cells that hold the separator, or mend them",
                )
                continue
            if column is not None and (value := row.get(column)) is not None:
                size = len(seen)
                seen.add(str(value))
                if len(seen) == size:
                    self.repeated.append(place)
            yield place, row

    def made(
        self,
        examples: Sequence[Any],
        *said: str,
        labels: tuple[str, ...] = (),
        several: bool = False,
        scheme: str | None = None,
        decided: Mapping[str, Any] | None = None,
    ) -> Made:
        """The examples of the rows. decided: how values were read, fields of Known.

        Raises InputError for bad rows, unless they are to be left out, and where none is left.
        """
        left_out = self.settle()
        if not examples:
            raise InputError(f"{self.name}: no row is left to read: look at the columns {listed(self.table.columns)}")
        lines = [*self.table.said, self._columns(len(examples)), *self.guess, *said]
        lines += [f"{self.name}: {many_rows(count)} {wrong} left out" for wrong, count in left_out.items()]
        if self.repeated:
            lines.append(f"{self.name}: {many_rows(len(self.repeated))} with the id of an earlier row ({named_places(self.repeated)}): all are kept")
        data = LabelledData(
            name=self.name,
            task=self.task,
            examples=examples,
            labels=labels,
            several=several,
            columns=dict(self.roles),
            scheme=scheme,
            left_out=left_out,
            decisions=self._decisions(decided or {}),
            said=tuple(line if line.startswith(self.name) else f"{self.name}: {line}" for line in lines),
        )
        return Made(data=data, said=tuple(lines))

    def _decisions(self, decided: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.known is not None and self.known.columns:
            return self.known.decisions()
        known = Known(
            task=self.task,
            columns=dict(self.roles),
            file_columns=tuple(column for column in self.table.columns if len(parts := split_names(column)) < 2 or not set(parts) <= set(self.table.columns)),
            header=self.table.header,
            separator=self.config.several_labels,
            **decided,
        )
        return known.decisions()

    def settle(self) -> Mapping[str, int]:
        """How many bad rows are left out, by reason; raises InputError unless the user wants that."""
        return self.bad.settle(drop=self.config.drop_bad_rows)

    def _columns(self, count: int) -> str:
        used = ", ".join(f"{role} = {column}" for role, column in self.roles.items())
        taken = {part for column in self.roles.values() for part in (column, *split_names(column))}
        unused = [column for column in self.table.columns if column not in taken]
        return f"{self.name}: {many_rows(count)} of {self.table.kind}; {used}" + (f"; not used: {listed(unused)}" if unused else "")

"""What is known before a file is read, a table that is being read for a task, and what that makes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bertwright.data.labelled.bad_rows import BadRows, listed, many_rows, named_places
from bertwright.data.labelled.columns import IDS, Roles, find
from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.examples import LabelledData, TaskName
from bertwright.data.labelled.table import Table, WrongCells
from bertwright.data.places import Place
from bertwright.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Known:
    """What training found, for the files that are read after its own. trained: the name of its file; labels are empty where it is not known."""

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

    def made(self, examples: Sequence[Any], *said: str, labels: tuple[str, ...] = (), several: bool = False, scheme: str | None = None) -> Made:
        """The examples of the rows. Raises InputError for the bad rows, unless they are to be left out, and where none is left."""
        left_out = self.settle()
        if not examples:
            raise InputError(f"{self.name}: no row is left to read: look at the columns {listed(self.table.columns)}")
        data = LabelledData(
            name=self.name, task=self.task, examples=examples, labels=labels, several=several, columns=dict(self.roles), scheme=scheme, left_out=left_out
        )
        lines = [*self.table.said, self._columns(len(examples)), *self.guess, *said]
        lines += [f"{self.name}: {many_rows(count)} {wrong} left out" for wrong, count in left_out.items()]
        if self.repeated:
            lines.append(f"{self.name}: {many_rows(len(self.repeated))} with the id of an earlier row ({named_places(self.repeated)}): all are kept")
        return Made(data=data, said=tuple(lines), header=self.table.header)

    def settle(self) -> Mapping[str, int]:
        """How many bad rows are left out, by reason; raises InputError unless the user wants that."""
        return self.bad.settle(drop=self.config.drop_bad_rows)

    def _columns(self, count: int) -> str:
        used = ", ".join(f"{role} = {column}" for role, column in self.roles.items())
        taken = {part for column in self.roles.values() for part in (column, *map(str.strip, column.split(",")))}
        unused = [column for column in self.table.columns if column not in taken]
        return f"{self.name}: {many_rows(count)} of {self.table.kind}; {used}" + (f"; not used: {listed(unused)}" if unused else "")

"""Tables written row by row: CSV, TSV, JSON lines or Parquet, by the file's ending; a file appears whole, or as a partial one that says so."""

import csv
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from bertwright.errors import InputError

Rows = Sequence[Mapping[str, Any]]


class TableWriter:
    """Context of one file of rows, which all have the columns of the first. Without an error the file is there at the end; after one, or a signal, what was
    written stands in NAME.partial.ENDING, and `partial` says so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self.partial: Path | None = None
        self._kind = _kind_of(path)
        self._beside = path.with_name(f".{path.name}.incomplete-{os.getpid()}")
        self._form: _Form | None = None

    def __enter__(self) -> Self:
        if self.path.is_dir():
            raise InputError(f"{self.path} is a folder: give the name of a file")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._form = self._kind(self._beside)
        except OSError as error:
            raise InputError(f"{self.path} cannot be written ({error.strerror}): give another place") from None
        return self

    def write(self, rows: Rows) -> None:
        """Raises InputError for a cell that the format cannot hold."""
        if self._form is None:
            raise ValueError("rows are written inside the context")
        if rows:
            try:
                self._form.write(rows)
            except InputError as error:
                raise InputError(*(f"{self.path}: {problem}" for problem in error.problems)) from None
            self.rows += len(rows)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._form is not None:
            self._form.close()
        if kind is None:
            self._beside.replace(self.path)
        elif self.rows:
            self.partial = self.path.with_name(f"{self.path.stem}.partial{self.path.suffix}")
            self._beside.replace(self.partial)
        else:
            self._beside.unlink(missing_ok=True)


class _Form(ABC):
    """How one format is written."""

    @abstractmethod
    def write(self, rows: Rows) -> None: ...

    @abstractmethod
    def close(self) -> None: ...


class _Text(_Form):
    def __init__(self, path: Path) -> None:
        self.file: IO[str] = path.open("w", encoding="utf-8", newline="")

    def close(self) -> None:
        self.file.close()


class _Csv(_Text):
    delimiter = ","

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.columns: list[str] = []

    def write(self, rows: Rows) -> None:
        begun, self.columns = bool(self.columns), self.columns or list(rows[0])
        if new := next((column for row in rows for column in row if column not in self.columns), None):
            raise InputError(f"the column {new!r} is not in the first row, and so has no place: write a .jsonl")
        lines = [[_cell(row.get(column)) for column in self.columns] for row in rows]
        self._write(lines if begun else [self.columns, *lines])

    def _write(self, lines: list[list[str]]) -> None:
        csv.writer(self.file, lineterminator="\n").writerows(lines)


class _Tsv(_Csv):
    """Quotes are literal, as GLUE has them."""

    def _write(self, lines: list[list[str]]) -> None:
        for line in lines:
            if wrong := [cell for cell in line if any(mark in cell for mark in "\t\n\r")]:
                raise InputError(f"the cell {wrong[0][:40]!r} has a tab or a line break in it, which a .tsv cannot hold: write a .csv or .jsonl")
            self.file.write("\t".join(line) + "\n")


class _JsonLines(_Text):
    def write(self, rows: Rows) -> None:
        self.file.writelines(json_line(row) + "\n" for row in rows)


class _Parquet(_Form):
    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer: Any = None
        path.touch()

    def write(self, rows: Rows) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            if self.writer is None:
                table = pa.Table.from_pylist(list(rows))
                # A column that is empty so far may hold texts later.
                fields = [field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in table.schema]
                self.writer = pq.ParquetWriter(self.path, pa.schema(fields))
            self.writer.write_table(pa.Table.from_pylist(list(rows), schema=self.writer.schema))
        except pa.ArrowException as error:
            raise InputError(f"the rows do not fit into columns of one type each ({str(error).splitlines()[0]}): write a .jsonl") from None

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


_KINDS: Mapping[str, type[_Csv | _JsonLines | _Parquet]] = {".csv": _Csv, ".tsv": _Tsv, ".jsonl": _JsonLines, ".parquet": _Parquet}


def _kind_of(path: Path) -> type[_Csv | _JsonLines | _Parquet]:
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"{path}: its ending names no kind of table: take one of {', '.join(_KINDS)}")
    return kind


def json_line(row: Mapping[str, Any] | Sequence[Any]) -> str:
    """A row, or a cell that is a list, as one line of JSON; what JSON does not know, such as dates, as text."""
    return json.dumps(row, ensure_ascii=False, default=str)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float | list | tuple | dict):
        return str(value)
    return value if isinstance(value, str) else json_line(value) if isinstance(value, list | tuple | dict) else repr(value)

"""A file of labelled rows, opened: its columns, and each row with the place where it stands."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from bertwright.data.cleaning import Tally
from bertwright.data.labelled.columns import is_usual, plain
from bertwright.data.places import Place
from bertwright.data.readers import lines, text_chunks
from bertwright.data.sources import CSV, JSON_LINES, PARQUET, TSV, Source
from bertwright.data.tables import cell_rows, json_rows, kind_of, parquet_batches
from bertwright.errors import InputError

LOOKED_AT = 1000  # rows that columns, header and kind are judged by
QUOTED = re.compile(r'"[^"]*(""[^"]*)+"')  # as programs write a cell with quotes in it
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


@dataclass(frozen=True)
class WrongCells:
    """What stands for a row of CSV or TSV with more or fewer cells than there are columns."""

    found: int
    expected: int


Row = Mapping[str, Any] | WrongCells


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows to be read once, in order. class_names: those of columns whose numbers a data set names. header: whether a line of CSV or TSV names the columns;
    None for other kinds. said: what was taken for granted."""

    name: str
    kind: str
    columns: tuple[str, ...]
    rows: Iterator[tuple[Place, Row]]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    header: bool | None = None
    said: tuple[str, ...] = ()

    def peek(self) -> tuple[list[Mapping[str, Any]], "Table"]:
        """The whole ones of the first rows, and the table with all of its rows still to be read."""
        seen = list(islice(self.rows, LOOKED_AT))
        again = Table(
            name=self.name,
            kind=self.kind,
            columns=self.columns,
            rows=chain(seen, self.rows),
            class_names=self.class_names,
            header=self.header,
            said=self.said,
        )
        return [row for _, row in seen if not isinstance(row, WrongCells)], again


Judge = Callable[[Sequence[str]], bool | None]


def open_table(source: Source, *, header: bool | None, named: Sequence[str] = (), judge: Judge | None = None) -> Table:
    """The rows of CSV, TSV, JSON lines, JSON, Parquet or a data set; of a file without a header line the columns are "0", "1" ...

    header: whether the first line names the columns; None: found out. named: columns the user speaks of, which tell a header line too. judge: what an earlier
    file tells of a first line, before anything else does.
    Raises InputError for an empty file, and naming the place for a damaged row.
    """
    if source.format in (CSV, TSV):
        table = _delimited(source, header, named, judge)
    elif source.format == JSON_LINES:
        table = records(source.name, "JSON lines", json_rows(source, Tally(), errors="refuse", cleaned=False))
    elif source.format == PARQUET:
        table = _parquet(source)
    else:
        raise InputError(f"{source.name}: is neither a table nor a data set: the kinds read are .csv, .tsv, .jsonl, .json, .parquet")
    return table


def _empty(name: str) -> InputError:
    return InputError(f"{name}: no rows in it: give a file with a row for each text")


def _delimited(source: Source, header: bool | None, named: Sequence[str], judge: Judge | None) -> Table:
    rows = ((line, cells) for line, cells in cell_rows(source, Tally(), errors="refuse", delimiter=_delimiter(source), cleaned=False) if cells)
    seen = list(islice(rows, LOOKED_AT))
    if not seen:
        raise _empty(source.name)
    first, others = seen[0][1], [cells for _, cells in seen[1:]]
    if header is None and judge is not None:
        header = judge(first)
    has_header, said = (header, ()) if header is not None else _find_header(source.name, first, others, named)
    width = len(first) if has_header else _usual_width([first, *others])
    columns = tuple(cell.strip() or str(number) for number, cell in enumerate(first)) if has_header else tuple(str(number) for number in range(width))
    if doubled := sorted({column for column in columns if columns.count(column) > 1}):
        mend = "name each differently, or pass --no_header if the first line is a row" if has_header else "name each differently"
        raise InputError(f"{source.name}: several columns are named {', '.join(map(repr, doubled))}: {mend}")
    if source.format == TSV and any(QUOTED.fullmatch(cell) for cells in others for cell in cells):
        said = (*said, f"{source.name}: quotes are part of the text in .tsv; name the file .csv to have them taken away, tabs stay what is between the cells")
    body = chain(seen[1:] if has_header else seen, rows)
    if has_header and not others:
        raise _empty(source.name)
    return Table(
        name=source.name, kind=source.format.upper(), columns=columns, rows=_named_cells(source.name, columns, body), header=has_header, said=tuple(said)
    )


def _named_cells(name: str, columns: tuple[str, ...], rows: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[Place, Row]]:
    width = len(columns)
    for line, cells in rows:
        yield Place(name, "line", line), dict(zip(columns, cells, strict=True)) if len(cells) == width else WrongCells(len(cells), width)


def _delimiter(source: Source) -> str | None:
    """What stands between the cells of a .csv: spreadsheets write a semicolon where the comma belongs to numbers, and some write tabs."""
    if source.format == TSV:
        return None
    line = next(lines(text_chunks(source, Tally(), errors="refuse", cleaned=False), Tally()), "")
    return None if "," in line else next((mark for mark in ";\t" if mark in line), None)


def _usual_width(rows: list[list[str]]) -> int:
    widths = [len(row) for row in rows]
    return max(set(widths), key=lambda width: (widths.count(width), width))


def _find_header(name: str, first: list[str], others: list[list[str]], named: Sequence[str]) -> tuple[bool, tuple[str, ...]]:
    """Whether the first line names columns, and what to say where that is not plain."""
    if any(column in first for column in named):
        return True, ()
    if any(column.isdecimal() for column in named):
        return False, ()
    columns = [[row[index] for row in others if index < len(row)] for index in range(len(first))]
    if any(is_usual(cell) and cell not in column for cell, column in zip(first, columns, strict=True)):
        return True, ()
    if len(first) == len({plain(cell) for cell in first}) and all(first) and _stands_out(first, columns):
        return True, (f"{name}: the first line is taken for the names of the columns ({', '.join(first)}): pass --no_header if it is a row",)
    return False, (f"{name}: no header line, so the columns are numbered from 0: pass --header if the first line names them",)


def _stands_out(first: list[str], columns: list[list[str]]) -> bool:
    """Whether a cell of the first line is no number above numbers, or none of the few words below it; one that is like the others below it settles it."""
    found = False
    for cell, column in zip(first, columns, strict=True):
        filled = [value for value in column if value.strip()]
        if not filled:
            continue
        if all(NUMBER.fullmatch(value) for value in filled):
            if NUMBER.fullmatch(cell):
                return False
            found = True
        elif len(set(filled)) * 3 <= len(filled):
            if cell in filled:
                return False
            found = True
    return found


def records(name: str, kind: str, rows: Iterator[tuple[Place, Any]]) -> Table:
    seen = list(islice(rows, LOOKED_AT))
    if not seen:
        raise _empty(name)
    columns = tuple(dict.fromkeys(str(key) for _, row in seen if isinstance(row, dict) for key in row))
    return Table(name=name, kind=kind, columns=columns, rows=_only_records(chain(seen, rows)))


def _only_records(rows: Iterable[tuple[Place, Any]]) -> Iterator[tuple[Place, Row]]:
    for place, row in rows:
        if not isinstance(row, dict):
            raise InputError(f'{place}: is {kind_of(row)}, not a record such as {{"text": "...", "label": "..."}}: mend the row')
        yield place, row


def _parquet(source: Source) -> Table:
    names: list[str] = []

    def every(schema: Any) -> list[str]:
        names.extend(schema.names)
        return names

    batches = parquet_batches(source, Tally(), columns=every)

    def rows() -> Iterator[tuple[Place, Row]]:
        number = 0
        for batch in batches:
            for row in batch.to_pylist():
                number += 1
                yield Place(source.name, "row", number), row

    found = rows()
    first = next(found, None)
    if first is None:
        raise _empty(source.name)
    return Table(name=source.name, kind="Parquet", columns=tuple(names), rows=chain([first], found))

"""A file of labelled rows, opened: its columns, and each row with the place where it stands."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

from bertwright.data.cleaning import Tally
from bertwright.data.labelled.columns import is_usual, plain
from bertwright.data.labelled.labels import number_of
from bertwright.data.labelled.separators import MARKS, separator_of
from bertwright.data.places import Place
from bertwright.data.sources import CSV, JSON_LINES, PARQUET, TSV, Source
from bertwright.data.tables import cell_rows, json_rows, kind_of, parquet_batches
from bertwright.errors import InputError

LOOKED_AT = 1000  # rows that columns, header and kind are judged by
QUOTED = re.compile(r'"[^"]*(""[^"]*)+"')  # as programs write a cell with quotes in it


@dataclass(frozen=True)
class WrongCells:
    """What stands for a row of CSV or TSV with more or fewer cells than there are columns."""

    found: int
    expected: int


Row = Mapping[str, Any] | WrongCells


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows to be read once, in order. class_names: those of columns whose numbers a data set names. header: whether a line of CSV or TSV names the columns;
    None for other kinds. separator: what stands between its cells. said: what was taken for granted."""

    name: str
    kind: str
    columns: tuple[str, ...]
    rows: Iterator[tuple[Place, Row]]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    header: bool | None = None
    separator: str | None = None
    said: tuple[str, ...] = ()

    def peek(self) -> tuple[list[Mapping[str, Any]], "Table"]:
        """The whole ones of the first rows, and the table with all of its rows still to be read."""
        seen = list(islice(self.rows, LOOKED_AT))
        again = replace(self, rows=chain(seen, self.rows))
        return [row for _, row in seen if not isinstance(row, WrongCells)], again


Judge = Callable[[Sequence[str]], bool | None]


def open_table(source: Source, *, header: bool | None, named: Sequence[str] = (), judge: Judge | None = None) -> Table:
    """The rows of CSV, TSV, JSON lines or Parquet; of a file without a header line the columns are "0", "1" ...

    header: whether the first line names the columns; None: found out. named: columns the user speaks of, which tell a header line too. judge: what an earlier
    file tells of a first line, before anything else does.
    Raises InputError for an empty file, one of another kind, and naming the place for a damaged row.
    """
    if source.format in (CSV, TSV):
        return _delimited(source, header, named, judge)
    if source.format == JSON_LINES:
        return records(source.name, "JSON lines", json_rows(source, Tally(), errors="refuse", cleaned=False))
    if source.format == PARQUET:
        return _parquet(source)
    raise InputError(f"{source.name}: is neither a table nor a data set: the kinds read are .csv, .tsv, .jsonl, .json, .parquet")


def _empty(name: str) -> InputError:
    return InputError(f"{name}: no rows in it: give a file with a row for each text")


def _delimited(source: Source, header: bool | None, named: Sequence[str], judge: Judge | None) -> Table:
    mark = separator_of(source)
    rows = _filled(cell_rows(source, Tally(), errors="refuse", delimiter=mark, cleaned=False))
    seen = list(islice(rows, LOOKED_AT))
    if not seen:
        raise _empty(source.name)
    first, others = seen[0][1], [cells for _, cells in seen[1:]]
    if len(first) == 1:
        _check_separator(source.name, first[0])
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
    if source.format == CSV and mark != ",":
        said = (*said, f"{source.name}: the cells are separated by {MARKS[mark]}")
    body = chain(seen[1:] if has_header else seen, rows)
    if has_header and not others:
        raise _empty(source.name)
    return Table(
        name=source.name,
        kind=source.format.upper(),
        columns=columns,
        rows=_named_cells(source.name, columns, body),
        header=has_header,
        separator=mark,
        said=tuple(said),
    )


def _filled(rows: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Rows without the blank lines between them; where there is one column a blank line is an empty cell, but for those at the end."""
    width, blank = 0, list[int]()
    for line, cells in rows:
        if not cells:
            blank.append(line)
            continue
        if width == 1:
            yield from ((number, [""]) for number in blank)
        width, blank = width or len(cells), []
        yield line, cells


def _check_separator(name: str, first: str) -> None:
    """Raises InputError where the only cell of the first line is several names with another mark between them."""
    for mark, said in (*MARKS.items(), ("，", "'，'")):
        parts = first.split(mark)
        if len(parts) > 1 and any(map(is_usual, parts)):
            ending = {",": ": name the file .csv", "\t": ": name the file .tsv"}.get(mark, ": write commas in their place, and name the file .csv")
            raise InputError(f"{name}: the first line looks like {len(parts)} columns with {said} between them, which this kind of file does not have{ending}")


def _named_cells(name: str, columns: tuple[str, ...], rows: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[Place, Row]]:
    width = len(columns)
    for line, cells in rows:
        yield Place(name, "line", line), dict(zip(columns, cells, strict=True)) if len(cells) == width else WrongCells(len(cells), width)


def _usual_width(rows: list[list[str]]) -> int:
    widths = [len(row) for row in rows]
    return max(set(widths), key=lambda width: (widths.count(width), width))


def _find_header(name: str, first: list[str], others: list[list[str]], named: Sequence[str]) -> tuple[bool, tuple[str, ...]]:
    """Whether the first line names columns, and what to say where that is not plain."""
    if any(column in first for column in named):
        return True, ()
    numbered = any(column.isdecimal() for column in named)
    columns = [[row[index] for row in others if index < len(row)] for index in range(len(first))]
    names = [cell for cell in first if cell.strip()]
    plainly = not all(map(is_usual, names))
    like_rows = any(cell in column and not is_usual(cell) for cell, column in zip(first, columns, strict=True) if cell.strip())
    if not like_rows and any(is_usual(cell, plainly=plainly) and cell not in column for cell, column in zip(first, columns, strict=True)):
        if numbered:
            return False, (f"{name}: the first line ({', '.join(names)}) is read as a row, since columns are named by number: pass --header if it names them",)
        return True, ()
    if numbered:
        return False, ()
    if len(names) == len({plain(cell) for cell in names}) and _stands_out(first, columns):
        return True, (f"{name}: the first line is taken for the names of the columns ({', '.join(names)}): pass --no_header if it is a row",)
    return False, (f"{name}: no header line, so the columns are numbered from 0: pass --header if the first line names them",)


def _stands_out(first: list[str], columns: list[list[str]]) -> bool:
    """Whether a cell of the first line is no number above numbers, or none of the few words below it; one that is like the others below it settles it."""
    found = False
    for cell, column in zip(first, columns, strict=True):
        filled = [value for value in column if value.strip()]
        if not filled or not cell.strip():  # spreadsheets and pandas leave the names of some columns out
            continue
        if all(number_of(value.strip()) is not None for value in filled):
            if number_of(cell.strip()) is not None:
                return False
            found = True
        elif len(set(filled)) * 3 <= len(filled):
            if cell in filled:
                return False
            found = True
    return found


def records(name: str, kind: str, rows: Iterator[tuple[Place, Any]]) -> Table:
    """Rows that name their cells themselves; the columns are those of the first ones. Raises InputError where there are none, and naming one of no names."""
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
    class_names: dict[str, tuple[str, ...]] = {}

    def every(schema: Any) -> list[str]:
        names.extend(schema.names)
        class_names.update(_class_names(schema.metadata or {}))
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
    return Table(name=source.name, kind="Parquet", columns=tuple(names), rows=chain([first], found), class_names=class_names)


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """The names of the classes by column that Hugging Face's `datasets` writes into a Parquet file; empty where there are none."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        found = {column: _names_in(feature) for column, feature in features.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {column: tuple(map(str, names)) for column, names in found.items() if names}


def _names_in(feature: Any) -> list[Any]:
    """The names of a ClassLabel, or of a list of them, in the several forms that versions of `datasets` write."""
    if isinstance(feature, list):
        return _names_in(feature[0]) if feature else []
    if not isinstance(feature, dict):
        return []
    return feature["names"] if feature.get("_type") == "ClassLabel" and feature.get("names") else _names_in(feature.get("feature"))

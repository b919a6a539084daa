"""Rows of JSON lines, JSON, CSV, TSV, Parquet and Hugging Face data sets: whole ones, or one text each, from one column."""

import csv
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertwright.data.cleaning import Tally, clean, decode, without_surrogates
from bertwright.data.places import Place
from bertwright.data.readers import lines, open_bytes, text_chunks
from bertwright.data.sources import CSV, DATASET, HUB_NAME, JSON_LINES, PARQUET, TSV, Source
from bertwright.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_ROW = 1 << 25  # characters: a row must be held whole to be read, so a longer one is refused
ROWS_AT_ONCE = 256

Rows = Iterator[tuple[Place, Any]]
Columns = Callable[["pa.Schema"], list[str]]


def row_texts(source: Source, tally: Tally, *, column: str, errors: str) -> Iterator[str]:
    """The text of each row, clean; blank ones are left out and counted.

    column: the name of the column, or its number from 0 for CSV and TSV without a header line.
    Raises InputError naming file and row for a missing column, a null, a cell that is no text, a damaged row, invalid bytes under errors="strict".
    """
    for where, value in _column(source, tally, column, errors):
        if not isinstance(value, str):
            raise InputError(f"{where}: column {column!r} holds {kind_of(value)}, not text: leave the row out, or pass another --text_column")
        text = without_surrogates(value, tally, errors=errors, where=where)
        if source.format not in (CSV, TSV):
            text = clean(text.replace("\r\n", "\n").replace("\r", "\n"), tally)
        if text.strip():
            yield text
        else:
            tally.blank_rows += 1


def kind_of(value: object) -> str:
    """What a value is, with its beginning, for a message."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, dict | list):
        return f"a {'record' if isinstance(value, dict) else 'list'} ({json.dumps(value, default=str)[:40]})"
    return f"a {type(value).__name__} ({str(value)[:40]})"


def _column(source: Source, tally: Tally, column: str, errors: str) -> Rows:
    """One column's cells. A row of JSON or of a data set that is no record is a text itself."""
    if source.format in (CSV, TSV):
        return _numbered_cells(source, cell_rows(source, tally, errors=errors), column)
    if source.format == PARQUET:
        return _parquet_cells(source, tally, column, errors)
    if source.format == DATASET:
        return _dataset_cells(source, column)
    return ((place, _cell(row, column, place)) for place, row in json_rows(source, tally, errors=errors))


def _cell(row: object, column: str, place: Place) -> object:
    if not isinstance(row, dict):
        return row
    if column not in row:
        raise _missing(column, list(row), place)
    return row[column]


def _missing(column: str, found: Iterable[object], place: object) -> InputError:
    names = ", ".join(str(name) for name in found) or "none"
    return InputError(f"{place}: no column {column!r}, found {names}: pass --text_column with one of these")


def _numbered_cells(source: Source, rows: Iterator[tuple[int, list[str]]], column: str) -> Rows:
    _, header = next(rows, (0, None))
    if header is None:
        return
    named = not column.isdecimal() or column in header
    if named and column not in header:
        raise _missing(column, header, source.name)
    index = header.index(column) if named else int(column)
    if not named:
        rows = chain([(1, header)], rows)
    for number, (_, row) in enumerate(rows, start=1):
        if not row:
            continue
        place = Place(source.name, "row", number)
        if index >= len(row):
            raise InputError(f"{place}: has {len(row)} cells, column {column!r} is number {index + 1}: mend the row")
        yield place, row[index]


def _parquet_cells(source: Source, tally: Tally, column: str, errors: str) -> Rows:
    import pyarrow as pa

    def chosen(schema: pa.Schema) -> list[str]:
        if column not in schema.names:
            raise _missing(column, schema.names, source.name)
        kind = schema.field(column).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind)):
            raise InputError(f"{source.name}: column {column!r} holds {kind}, not text: pass another --text_column")
        return [column]

    number = 0
    for batch in parquet_batches(source, tally, columns=chosen):
        for value in batch.column(0).cast(pa.large_string()).cast(pa.large_binary()).to_pylist():
            number += 1
            place = Place(source.name, "row", number)
            yield place, None if value is None else decode(value, tally, errors=errors, where=place)


def _dataset_cells(source: Source, column: str) -> Rows:
    with dataset_errors(source) as datasets:
        rows = load_dataset(datasets, source)
        if rows.column_names is not None and column not in rows.column_names:
            raise _missing(column, rows.column_names, source.name)
        for number, row in enumerate(rows, start=1):
            place = Place(source.name, "row", number)
            yield place, _cell(row, column, place)


def _whole_lines(source: Source, tally: Tally, errors: str, cleaned: bool) -> Iterator[str]:
    """Lines of a table file, which cannot be cut without changing what they say."""
    cut = Tally()
    for number, line in enumerate(lines(text_chunks(source, tally, errors=errors, cleaned=cleaned), cut, longest=LONGEST_ROW), start=1):
        if cut.long_texts_cut:
            raise InputError(f"{source.name}, line {number}: longer than {LONGEST_ROW:,} characters, which one row may have: cut it into rows")
        yield line


def json_rows(source: Source, tally: Tally, *, errors: str, cleaned: bool = True) -> Rows:
    """The values of a file of JSON lines, of a JSON array, or of JSON values one after the other. cleaned: without control and invisible characters.

    Raises InputError naming the line or row that is not JSON.
    """
    if source.format == JSON_LINES:
        yield from _json_lines(source, _whole_lines(source, tally, errors, cleaned))
        return
    for number, value in enumerate(_json_values(source, text_chunks(source, tally, errors=errors, cleaned=cleaned)), start=1):
        yield Place(source.name, "row", number), value


def _json_lines(source: Source, whole_lines: Iterator[str]) -> Rows:
    for number, line in enumerate(whole_lines, start=1):
        if not line.strip():
            continue
        place = Place(source.name, "line", number)
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{place}: is not JSON ({error}): mend the line, or name the file .txt if it is plain text") from None
        yield place, row


def _json_values(source: Source, chunks: Iterator[str]) -> Iterator[object]:
    """The items of a top-level array, or the values that stand one after the other; only one is held at a time."""
    decoder = json.JSONDecoder()
    buffer, place, opened, ended = "", 0, False, False
    number = 1
    while True:
        while place < len(buffer) and buffer[place] in " \t\n\r,":
            place += 1
        if not opened and number == 1 and buffer[place : place + 1] == "[":
            opened, place = True, place + 1
            continue
        if opened and buffer[place : place + 1] == "]":
            if buffer[place + 1 :].strip() or any(chunk.strip() for chunk in chunks):
                raise InputError(f"{source.name}: more follows after the end of the array: name the file .jsonl if it holds JSON lines")
            return
        problem: Exception | None = None
        try:
            value, end = decoder.raw_decode(buffer, place)
        except (json.JSONDecodeError, RecursionError) as error:
            problem, end = error, len(buffer)
        if problem is None and (ended or end < len(buffer)):
            yield value
            place, number = end, number + 1
            continue
        if ended:
            if not buffer[place:].strip() and not opened:
                return
            raise InputError(f"{source.name}, row {number}: is not JSON or is cut off ({problem}): mend the file")
        if isinstance(problem, RecursionError) or len(buffer) - place > LONGEST_ROW:
            raise InputError(f"{source.name}, row {number}: is not JSON, or is nested too deep or longer than {LONGEST_ROW:,} characters: mend or cut it")
        chunk = next(chunks, None)
        ended = chunk is None
        buffer, place = buffer[place:] + (chunk or ""), 0


def cell_rows(source: Source, tally: Tally, *, errors: str, delimiter: str | None = None, cleaned: bool = True) -> Iterator[tuple[int, list[str]]]:
    """(line, from 1, that a row begins on, its cells) of CSV or TSV, the header line as any other; a blank line has no cells.

    delimiter: a tab for .tsv, where quotes are literal as GLUE has them, else a comma. Raises InputError for a quote that is not closed.
    """
    text_lines = (line + "\n" for line in _whole_lines(source, tally, errors, cleaned))
    before = csv.field_size_limit(LONGEST_ROW)
    try:
        literal = source.format == TSV
        if literal:
            rows = csv.reader(text_lines, delimiter=delimiter or "\t", quoting=csv.QUOTE_NONE)
        else:
            rows = csv.reader(text_lines, delimiter=delimiter or ",", strict=True)
        line = 1
        for row in rows:
            yield line, row
            line = rows.line_num + 1
    except csv.Error as error:
        raise InputError(f"{source.name}: damaged row before line {rows.line_num + 1} ({error}): look for a quote that is not closed") from None
    finally:
        csv.field_size_limit(before)


def parquet_batches(source: Source, tally: Tally, *, columns: Columns) -> Iterator["pa.RecordBatch"]:
    """The rows of a Parquet file, some at a time, of those columns alone that are chosen from its schema. Raises InputError for a damaged file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _on_disk(source, tally) as path:
        try:
            file = pq.ParquetFile(path, memory_map=False, buffer_size=1 << 20, pre_buffer=False)
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=columns(file.schema_arrow), use_threads=False):
                yield batch
                tally.bytes_read += 0 if source.compression else source.size * batch.num_rows // max(file.metadata.num_rows, 1)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{source.name}: is not a whole Parquet file ({str(error).splitlines()[0]}): fetch or write it again") from None


@contextmanager
def _on_disk(source: Source, tally: Tally) -> Iterator[Path]:
    """The path of the file's own bytes: Parquet is read from its end, so a compressed one is unpacked beside the system's temporary files first."""
    if source.compression is None:
        yield source.path
        return
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file, open_bytes(source, tally) as stream:
        try:
            shutil.copyfileobj(stream, file, 1 << 20)
        except (EOFError, OSError, ValueError) as error:
            raise InputError(f"{source.name}: the {source.compression} archive is damaged or cut off ({error}): fetch it again") from error
        file.flush()
        yield Path(file.name)


@contextmanager
def dataset_errors(source: Source) -> Iterator[Any]:
    """The `datasets` library, whose errors become InputErrors that name the source."""
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"{source.name}: no such file; reading a Hugging Face data set, from a folder or from the hub, needs: pip install 'bertwright[hub]'"
        ) from None
    try:
        yield datasets
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        where = "cannot be read as a Hugging Face data set" if source.path.is_dir() else "no such file or folder, and no data set on the hub either"
        raise InputError(f"{source.name}: {where} ({str(error).splitlines()[0]}): look at the name") from error


def load_dataset(datasets: Any, source: Source) -> Any:
    """The rows of a saved folder (its `train` split where it has splits) or, streamed, of a data set on the hub: `OWNER/NAME[:CONFIG][@SPLIT]`."""
    if source.path.is_dir():
        found = datasets.load_from_disk(str(source.path))
        if not isinstance(found, dict):
            return found
        if "train" not in found:
            raise InputError(f"{source.name}: no split 'train', found {', '.join(found)}: give the folder of one split")
        return found["train"]
    match = HUB_NAME.fullmatch(source.name)
    assert match, source.name
    return datasets.load_dataset(match["name"], match["config"], split=match["split"] or "train", streaming=True)

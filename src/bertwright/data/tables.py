"""Rows of JSON lines, JSON, CSV, TSV, Parquet and Hugging Face data sets: one text each, from one column."""

import csv
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from bertwright.data.cleaning import Tally, clean, decode, without_surrogates
from bertwright.data.places import Place
from bertwright.data.readers import lines, open_bytes, text_chunks
from bertwright.data.sources import CSV, DATASET, HUB_NAME, JSON, JSON_LINES, PARQUET, TSV, Source
from bertwright.errors import InputError

LONGEST_ROW = 1 << 25  # characters: a row must be held whole to be read, so a longer one is refused
ROWS_AT_ONCE = 256


def row_texts(source: Source, tally: Tally, *, column: str, errors: str) -> Iterator[str]:
    """The text of each row, clean; blank ones are left out and counted.

    column: the name of the column, or its number from 0 for CSV and TSV without a header line.
    Raises InputError naming file and row for a missing column, a null, a cell that is no text, a damaged row, invalid bytes under errors="strict".
    """
    rows = READERS[source.format](source, tally, column, errors)
    for where, value in rows:
        if not isinstance(value, str):
            raise InputError(f"{where}: column {column!r} holds {_kind(value)}, not text: leave the row out, or pass another --text_column")
        text = without_surrogates(value, tally, errors=errors, where=where)
        if source.format not in (CSV, TSV):
            text = clean(text.replace("\r\n", "\n").replace("\r", "\n"), tally)
        if text.strip():
            yield text
        else:
            tally.blank_rows += 1


Rows = Iterator[tuple[Place, Any]]


def _kind(value: object) -> str:
    if value is None:
        return "nothing (null)"
    if isinstance(value, dict | list):
        return f"a {'record' if isinstance(value, dict) else 'list'} ({json.dumps(value, default=str)[:40]})"
    return f"a {type(value).__name__} ({str(value)[:40]})"


def _cell(row: object, column: str, place: Place) -> object:
    """A row's text: the row itself when it is a text, else its column."""
    if not isinstance(row, dict):
        return row
    if column not in row:
        raise _missing(column, list(row), place)
    return row[column]


def _missing(column: str, found: Iterable[object], place: object) -> InputError:
    names = ", ".join(str(name) for name in found) or "none"
    return InputError(f"{place}: no column {column!r}, found {names}: pass --text_column with one of these")


def _whole_lines(source: Source, tally: Tally, errors: str) -> Iterator[str]:
    """Lines of a table file, which cannot be cut without changing what they say."""
    cut = Tally()
    for number, line in enumerate(lines(text_chunks(source, tally, errors=errors), cut, longest=LONGEST_ROW), start=1):
        if cut.long_texts_cut:
            raise InputError(f"{source.name}, line {number}: longer than {LONGEST_ROW:,} characters, which one row may have: cut it into rows")
        yield line


def _json_lines(source: Source, tally: Tally, column: str, errors: str) -> Rows:
    for number, line in enumerate(_whole_lines(source, tally, errors), start=1):
        if not line.strip():
            continue
        place = Place(source.name, "line", number)
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{place}: is not JSON ({error}): mend the line, or name the file .txt if it is plain text") from None
        yield place, _cell(row, column, place)


def _json(source: Source, tally: Tally, column: str, errors: str) -> Rows:
    for number, row in enumerate(_json_values(source, text_chunks(source, tally, errors=errors)), start=1):
        place = Place(source.name, "row", number)
        yield place, _cell(row, column, place)


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


def _delimited(source: Source, tally: Tally, column: str, errors: str) -> Rows:
    text_lines = (line + "\n" for line in _whole_lines(source, tally, errors))
    before = csv.field_size_limit(LONGEST_ROW)
    try:
        # Quotes are literal in TSV, as GLUE has them.
        rows = csv.reader(text_lines, delimiter="\t", quoting=csv.QUOTE_NONE) if source.format == TSV else csv.reader(text_lines, strict=True)
        yield from _cells(source, rows, column)
    except csv.Error as error:
        raise InputError(f"{source.name}: damaged row before line {rows.line_num + 1} ({error}): look for a quote that is not closed") from None
    finally:
        csv.field_size_limit(before)


def _cells(source: Source, rows: Iterator[list[str]], column: str) -> Rows:
    header = next(rows, None)
    if header is None:
        return
    numbered = chain([header], rows) if column.isdecimal() and column not in header else rows
    if numbered is rows and column not in header:
        raise _missing(column, header, source.name)
    index = int(column) if numbered is not rows else header.index(column)
    for number, row in enumerate(numbered, start=1):
        place = Place(source.name, "row", number)
        if not row:
            continue
        if index >= len(row):
            raise InputError(f"{place}: has {len(row)} cells, column {column!r} is number {index + 1}: mend the row")
        yield place, row[index]


def _parquet(source: Source, tally: Tally, column: str, errors: str) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _on_disk(source, tally) as path:
        try:
            file = pq.ParquetFile(path, memory_map=False, buffer_size=1 << 20, pre_buffer=False)
            if column not in file.schema_arrow.names:
                raise _missing(column, file.schema_arrow.names, source.name)
            kind = file.schema_arrow.field(column).type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind)):
                raise InputError(f"{source.name}: column {column!r} holds {kind}, not text: pass another --text_column")
            number = 0
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=[column], use_threads=False):
                for value in batch.column(0).cast(pa.large_string()).cast(pa.large_binary()).to_pylist():
                    number += 1
                    place = Place(source.name, "row", number)
                    yield place, None if value is None else decode(value, tally, errors=errors, where=place)
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


def _dataset(source: Source, tally: Tally, column: str, errors: str) -> Rows:
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"{source.name}: no such file; reading a Hugging Face data set, from a folder or from the hub, needs: pip install 'bertwright[hub]'"
        ) from None
    try:
        rows = _load_dataset(datasets, source)
        if rows.column_names is not None and column not in rows.column_names:
            raise _missing(column, rows.column_names, source.name)
        for number, row in enumerate(rows, start=1):
            place = Place(source.name, "row", number)
            yield place, _cell(row, column, place)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        where = "cannot be read as a Hugging Face data set" if source.path.is_dir() else "no such file or folder, and no data set on the hub either"
        raise InputError(f"{source.name}: {where} ({str(error).splitlines()[0]}): look at the name") from error


def _load_dataset(datasets: Any, source: Source) -> Any:
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


READERS = {JSON_LINES: _json_lines, JSON: _json, CSV: _delimited, TSV: _delimited, PARQUET: _parquet, DATASET: _dataset}

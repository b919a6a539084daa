"""What a .json file holds: rows, or SQuAD's articles with their paragraphs and questions."""

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from bertwright.data.cleaning import Tally
from bertwright.data.labelled.table import Row, Table, records
from bertwright.data.places import Place
from bertwright.data.readers import text_chunks
from bertwright.data.sources import Source
from bertwright.data.tables import json_rows
from bertwright.errors import InputError

SQUAD_COLUMNS = ("id", "question", "context", "answers", "is_impossible")


def json_table(source: Source) -> Table:
    """The rows of an array, of values one after the other, of {"data": [...]}, or the questions of SQuAD (version 1 or 2)."""
    whole = _one_object(source)
    if whole is None:
        return records(source.name, "JSON", json_rows(source, Tally(), errors="refuse", cleaned=False))
    data = whole.get("data")
    if not isinstance(data, list):
        return records(source.name, "JSON", iter([(Place(source.name, "row", 1), whole)]))
    if data and isinstance(data[0], dict) and "paragraphs" in data[0]:
        return Table(name=source.name, kind="SQuAD questions", columns=_columns(data), rows=_questions(source, data))
    return records(source.name, "JSON", ((Place(source.name, "row", number), row) for number, row in enumerate(data, start=1)))


def _one_object(source: Source) -> Mapping[str, Any] | None:
    """The file's value if it is one object; None where there are several values, or an array, which are read one by one."""
    chunks = text_chunks(source, Tally(), errors="refuse", cleaned=False)
    head = ""
    for chunk in chunks:
        head += chunk
        if head.strip():
            break
    if not head.lstrip().startswith("{"):
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(head.lstrip())
        if head.lstrip()[end:].strip():
            return None
    except json.JSONDecodeError:
        pass  # longer than the first chunk, or damaged
    except RecursionError:
        return None
    try:
        value = json.loads("".join(chain([head], chunks)))
    except (json.JSONDecodeError, RecursionError):
        return None  # the reader of values one by one says where
    assert isinstance(value, dict)
    return value


def _columns(data: list[Any]) -> tuple[str, ...]:
    has_none = any("is_impossible" in question for article in data for paragraph in article.get("paragraphs", ()) for question in paragraph.get("qas", ()))
    return SQUAD_COLUMNS if has_none else SQUAD_COLUMNS[:-1]


def _questions(source: Source, data: list[Any]) -> Iterator[tuple[Place, Row]]:
    number = 0
    for article in data:
        try:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    number += 1
                    yield Place(source.name, "question", number), {**question, "context": paragraph["context"]}
        except (KeyError, TypeError) as error:
            raise InputError(f"{source.name}: after question {number:,} an article lacks {error}: SQuAD's have paragraphs, with context and qas") from None

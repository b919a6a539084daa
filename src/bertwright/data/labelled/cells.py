"""What a cell says beside its text: lists and records that were written as text, as pandas and JSON write them, and decimal commas."""

import ast
import json
import re
from collections.abc import Iterable
from typing import Any

from bertwright.data.places import Place
from bertwright.errors import InputError

NO_COMMAS = re.compile(r"""\[\s*(?:'[^']*'|"[^"]*")(?:\s+(?:'[^']*'|"[^"]*"))+\s*\]|\[\s*[\d.]+(?:\s+[\d.]+)+\s*\]""")
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


def parsed(value: Any, place: Place) -> Any:
    """The list or record that a text is in JSON or Python; any other value as it is. Raises InputError for a list without commas, as numpy prints it."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if (text[:1], text[-1:]) not in (("[", "]"), ("{", "}")):
        return value
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if NO_COMMAS.fullmatch(text):
        raise InputError(f"{place}: {text[:40]} is a list without commas, as numpy prints it: write lists as JSON (json.dumps), or the file as .jsonl")
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value
    return list(found) if isinstance(found, tuple) else found if isinstance(found, list | dict) else value


def has_decimal_commas(values: Iterable[Any], separator: str | None) -> bool:
    """Whether texts are numbers such as 0,5, in a file whose cells are not separated by commas; all of them must be numbers then."""
    texts = {value.strip() for value in values if isinstance(value, str) and value.strip()}
    return separator not in (None, ",") and any(map(DECIMAL_COMMA.fullmatch, texts)) and all(map(re.compile(r"[+-]?\d+(,\d+)?").fullmatch, texts))


def with_point(value: Any) -> Any:
    """0,5 as 0.5."""
    return value.strip().replace(",", ".") if isinstance(value, str) and DECIMAL_COMMA.fullmatch(value.strip()) else value

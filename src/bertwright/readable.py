"""Frozen data, numbers and texts, as a person reads them."""

import dataclasses
from typing import Any

WIDTH = 120
STEP = "  "
SHOWN = 60  # characters of a text that an error repeats


def metric(value: float) -> str:
    """A measured number: four decimals, or none from a thousand on."""
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.0f}"


def readable(value: Any) -> str:
    """Python that makes the value again, one field a line where it is long, without the fields that are at their default.

    value: an Architecture or any other dataclass; tuples and plain values inside it.
    """
    return "\n".join(_lines(value, first="", last="", indent=""))


def _lines(value: Any, *, first: str, last: str, indent: str) -> list[str]:
    """The lines of a value, `first` in front of it and `last` behind."""
    short = f"{indent}{first}{_short(value)}{last}"
    parts = _parts(value)
    if parts is None or len(short) <= WIDTH:
        return [short]
    opening, entries, closing = parts
    inner = [line for name, entry in entries for line in _lines(entry, first=name, last=",", indent=indent + STEP)]
    return [f"{indent}{first}{opening}", *inner, f"{indent}{closing}{last}"]


def _short(value: Any) -> str:
    parts = _parts(value)
    if parts is None:
        return repr(value)
    opening, entries, closing = parts
    comma = "," if isinstance(value, tuple) and len(entries) == 1 else ""
    return f"{opening}{', '.join(name + _short(entry) for name, entry in entries)}{comma}{closing}"


def _parts(value: Any) -> tuple[str, list[tuple[str, Any]], str] | None:
    """What opens a value that has parts, these with their names, and what closes it."""
    if dataclasses.is_dataclass(value):
        return f"{type(value).__name__}(", [(f"{field.name}=", getattr(value, field.name)) for field in _told(value)], ")"
    if isinstance(value, tuple):
        return "(", [("", entry) for entry in value], ")"
    return None


def _told(value: Any) -> list["dataclasses.Field[Any]"]:
    return [field for field in dataclasses.fields(value) if field.default is dataclasses.MISSING or getattr(value, field.name) != field.default]


def quote(text: str) -> str:
    """A text as an error repeats it: in quotes, its beginning where it is long."""
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "...")

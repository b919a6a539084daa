"""Measured numbers as Markdown; imports nothing heavy."""

import statistics
from collections.abc import Sequence


def markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; columns after the first are numbers and stand to the right."""
    rule = ["---", *["---:"] * (len(heading) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (heading, rule, *rows))


def spread(values: Sequence[float], form: str) -> str:
    """The median, and in brackets the lowest and the highest where there are several; nothing of nothing."""
    if not values:
        return ""
    middle = format(statistics.median(values), form)
    return middle if len(values) == 1 else f"{middle} ({format(min(values), form)} to {format(max(values), form)})"

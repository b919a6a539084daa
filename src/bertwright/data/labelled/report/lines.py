"""The data report as a person reads it on a terminal: aligned, wrapped, Chinese two columns wide."""

from collections.abc import Mapping
from typing import Any
from unicodedata import east_asian_width

MOST_LABELS = 20  # shown with their counts, the most frequent ones
LONGEST_LABEL = 28  # columns


def report_lines(report: Mapping[str, Any], *, width: int) -> list[str]:
    """A report, as `to_json` gives it, in lines of at most `width` columns."""
    parts = list(report["rows"])
    windows = report["task"] in ("tag", "answer")
    pairs = [
        ("rows", ", ".join(f"{part} {report['rows'][part]:,}" for part in parts)),
        (f"length in {report['unit']}", _lengths(report["words"]["splits"]["train"])),
        ("length in tokens", _lengths(report["tokens"]["splits"]["train"])),
        (
            f"longer than {report['max_length']} tokens",
            _by_part(report["truncated"], report["rows"]) + (" (read in windows)" if windows and any(report["truncated"].values()) else ""),
        ),
        ("exact duplicates", _by_part(report["duplicates"], report["rows"])),
        ("texts with two labels", f"{report['two_labels']:,}" if report["two_labels"] else "none"),
        ("also in training", _by_part({part: report["overlaps"][part] for part in parts[1:]}, report["rows"])),
    ]
    indent = max(_width(name) for name, _ in pairs) + 2
    lines = [line for name, value in pairs for line in _wrapped(name, value, indent, width)]
    lines[1:1] = _labels(report, width)
    for warning in report["warnings"]:
        lines += _wrapped("warning:", warning, len("warning: "), width)
    return lines


def _wrapped(name: str, value: str, indent: int, width: int) -> list[str]:
    """A name and its text, the text's further lines below its first."""
    first, *others = _wrap(value, max(width - indent, 20)) or [""]
    return [_padded(name, indent) + first, *(" " * indent + line for line in others)]


def _wrap(text: str, room: int) -> list[str]:
    """Lines of at most `room` columns, broken at spaces, and inside a word that is wider (a path, Chinese); textwrap counts characters, not columns."""
    found = [""]
    for word in text.split():
        if found[-1] and _width(found[-1]) + 1 + _width(word) <= room:
            found[-1] += " " + word
            continue
        if found[-1]:
            found.append("")
        for character in word:
            if _width(found[-1]) + _width(character) > room:
                found.append("")
            found[-1] += character
    return found


def _labels(report: Mapping[str, Any], width: int) -> list[str]:
    """A table of how often each label occurs in each split, the most frequent first; shares are of the rows, those of entities of all entities."""
    counts, train = report["label_counts"], report["label_counts"]["train"]
    of = {part: sum(each.values()) if report["task"] == "tag" else report["rows"][part] for part, each in counts.items()}
    if not train:
        return []
    order = sorted(dict.fromkeys(label for each in counts.values() for label in each), key=lambda label: -train.get(label, 0))
    cells = [["label", *counts]]
    for label in order[:MOST_LABELS]:
        cells.append([_shortened(label, min(LONGEST_LABEL, width // 3)), *(_share(each.get(label, 0), of[part]) for part, each in counts.items())])
    wide = [max(_width(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join([_padded(row[0], wide[0]), *(" " * (size - _width(cell)) + cell for cell, size in zip(row[1:], wide[1:], strict=True))]) for row in cells
    ]
    if len(order) > MOST_LABELS:
        lines.append(f"and {len(order) - MOST_LABELS:,} more labels")
    return ["  " + line for line in lines]


def _share(count: int, rows: int) -> str:
    return f"{count:,} {count / rows if rows else 0:6.1%}"


def _by_part(counts: Mapping[str, int], rows: Mapping[str, int]) -> str:
    return ", ".join(f"{part} {count:,} ({count / max(rows[part], 1):.1%})" for part, count in counts.items() if count) or "none"


def _lengths(quantiles: Mapping[str, float]) -> str:
    if not quantiles:
        return "no rows"
    return f"median {quantiles['median']:,.0f}, a twentieth above {quantiles['p95']:,.0f}, longest {quantiles['max']:,.0f}"


def _width(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _padded(text: str, size: int) -> str:
    return text + " " * max(size - _width(text), 0)


def _shortened(text: str, most: int) -> str:
    if _width(text) <= most:
        return text
    while _width(text) > most - 1:
        text = text[:-1]
    return text + "…"

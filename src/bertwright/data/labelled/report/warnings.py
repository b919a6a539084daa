"""Where a number of the data report becomes a warning."""

import re
from collections.abc import Mapping
from typing import Any

# Shares of a split's rows.
MUCH_TRUNCATION = 0.05
MANY_DUPLICATES = 0.01
ONE_LABEL = 0.9
FEW_OF_A_LABEL = 10  # rows: fewer say little about a label
FEW_TO_MEASURE = 100  # rows: the interval of an accuracy is then at least ten points wide
NAMED = 8
PARTS = {"train": "training", "validation": "validation", "test": "test"}


def report_warnings(report: Mapping[str, Any], *, quoting: bool) -> list[str]:
    """One line for each thing in a report's fields that would spoil a training or a measurement. quoting: with the beginnings of texts, and files' folders."""
    return [*_labels(report), *_same_texts(report, quoting=quoting), *_sizes(report), *_left_out(report)]


def _many(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"


def _names(labels: list[str] | tuple[str, ...]) -> str:
    return ", ".join(labels[:NAMED]) + (f" and {len(labels) - NAMED} more" if len(labels) > NAMED else "")


def _labels(report: Mapping[str, Any]) -> list[str]:
    found = []
    train, rows = report["label_counts"]["train"], report["rows"]["train"]
    for part, labels in report["one_split_only"].items():
        if not labels or report["task"] == "choice":  # which of the choices is right says nothing of what can be learnt
            continue
        if part == "train":
            found.append(f"only the training rows have {_names(labels)}: how well {'it is' if len(labels) == 1 else 'they are'} learnt is not measured")
        else:
            found.append(f"only the {PARTS[part]} rows have {_names(labels)}, which cannot be learnt: add rows of it to the training file")
    if report["task"] == "classify":
        rare = [label for label, count in train.items() if 0 < count < FEW_OF_A_LABEL]
        if rare and rows >= FEW_OF_A_LABEL * len(train):
            found.append(f"fewer than {FEW_OF_A_LABEL} training rows have {_names(rare)}: add some, or expect little of {'it' if len(rare) == 1 else 'them'}")
        if never := [label for label, count in train.items() if not count and label not in report["one_split_only"].get("validation", ())]:
            found.append(f"no training row has {_names(never)}: add some, or take the name away")
        label, most = max(train.items(), key=lambda item: item[1], default=("", 0))
        if rows and most / rows > ONE_LABEL:
            found.append(f"{most / rows:.0%} of the training rows have {label}: accuracy says little here; look at f1_macro, or pass --class_weights balanced")
    return found


def _same_texts(report: Mapping[str, Any], *, quoting: bool) -> list[str]:
    found = []
    if count := report["two_labels"]:
        first = report["conflicts"][0]
        places = [place if quoting else re.split(r"[/\\]", place)[-1] for place in first["places"][:2]]
        differ = (f'"{first["text"][:40]}" at ' if quoting else "that at ") + " and ".join(places)
        found.append(f"{_many(count, 'text stands', 'texts stand')} with different labels, such as {differ}: look which of them is right")
    if (copies := report["duplicates"]["train"]) > MANY_DUPLICATES * report["rows"]["train"]:
        found.append(f"{_many(copies, 'training row repeats', 'training rows repeat')} an earlier one word for word: take the copies out")
    for part in ("validation", "test"):
        if count := report["overlaps"].get(part):
            stand = "stands" if count == 1 else "stand"
            found.append(f"{count:,} of the {report['rows'][part]:,} {part} rows {stand} in the training rows too, so the result will look better than it is")
    return found


def _sizes(report: Mapping[str, Any]) -> list[str]:
    found = []
    cut, rows = report["truncated"]["train"], report["rows"]["train"]
    if cut > MUCH_TRUNCATION * rows and report["task"] not in ("tag", "answer"):
        found.append(f"{cut / rows:.0%} of the training rows lose their end at {report['max_length']} tokens: raise --max_seq_length")
    if (few := report["rows"]["validation"]) < FEW_TO_MEASURE:
        found.append(f"only {_many(few, 'validation row: its', 'validation rows: their')} metrics will be rough")
    return found


def _left_out(report: Mapping[str, Any]) -> list[str]:
    def line(part: str, wrong: str, count: int) -> str:
        return f"{_many(count, f'{PARTS[part]} row {wrong} was', f'{PARTS[part]} rows {wrong} were')} left out"

    return [line(part, wrong, count) for part, reasons in report["left_out"].items() for wrong, count in reasons.items()]

"""What a run was trained on: the data report, label frequencies and text lengths."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bertwright.reports.content import Bar, Bars, Block, Box, Boxes, Cell, Example, Examples, Folded, Line, Mark, Notes, Prose, Section, Table
from bertwright.reports.pictures import frequencies_png, lengths_png
from bertwright.reports.predicted import names_of
from bertwright.reports.reading import RunFiles, mapping
from bertwright.reports.wording import many, number, place, share, ticks, titled

Quantiles = Mapping[str, float]
# The numbers of a box plot, by the names of data.json: the ends of the whisker, the box, its line.
ENDS = ("p5", "p25", "median", "p75", "p95")
SPLITS = ("train", "validation", "test")
# Rows whose texts stand in another split too: by split, the names of data.json.
OVERLAPS = {"also in training": {"validation": "validation", "test": "test"}, "also in validation": {"test": "test_validation"}}
MANY_LABELS = 60  # bars shown at once; the others are folded


def data_sections(run: RunFiles, figures: Path) -> list[Section]:
    """The data report, or what the predictions alone tell where data.json is missing."""
    data = run.data
    counts = {name: dict(values) for name, values in mapping(data.get("label_counts")).items()} or _counted(run)
    sections = [Section("The data", _report(data))] if data else []
    if any(sum(values.values()) for values in counts.values()):
        sections.append(Section("Entity frequencies" if run.task == "tag" else "Label frequencies", _frequencies(counts, run, figures)))
    boxes = {name: numbers for name, numbers in mapping(mapping(data.get("tokens")).get("labels")).items() if _is_whole(numbers)}
    splits = {name: numbers for name, numbers in mapping(mapping(data.get("tokens")).get("splits")).items() if _is_whole(numbers)}
    unit = "tokens"
    if not boxes and not splits:
        boxes, unit = _measured(run), "words"
    if boxes or splits:
        sections.append(Section("Text lengths", _lengths(boxes, splits, unit=unit, limit=data.get("max_length"), figures=figures)))
    return sections


def _report(data: Mapping[str, Any]) -> list[Block]:
    warnings = [str(line) for line in data.get("warnings") or ()]
    blocks: list[Block] = [Notes(warnings, "warning")] if warnings else []
    rows = mapping(data.get("rows"))
    splits = [name for name in SPLITS if name in rows] or list(rows)
    lines: list[list[str | Cell]] = [["rows", *(f"{rows[name]:,}" for name in splits)]]
    files = mapping(data.get("names"))
    if files:
        lines.insert(0, ["from", *(place(files.get(name, "–")) for name in splits)])
    for key, title in (("words", str(data.get("unit") or "words")), ("tokens", "tokens")):
        found = mapping(mapping(data.get(key)).get("splits"))
        lines += [[f"{title}, median and longest", *(_two(found.get(name)) for name in splits)]] if found else []
    limit = data.get("max_length")
    truncated = f"longer than {limit} tokens" if limit else "truncated"
    for key, title in (("truncated", truncated), ("duplicates", "exact repetitions")):
        if found := mapping(data.get(key)):
            lines.append([title, *(_part(found.get(name), rows.get(name)) for name in splits)])
    overlaps = mapping(data.get("overlaps"))
    for title, keys in OVERLAPS.items():
        if not overlaps.keys().isdisjoint(keys.values()):
            lines.append([title, *(_part(overlaps.get(keys.get(name, "")), rows.get(name)) for name in splits)])
    if left := {name: sum(reasons.values()) for name, reasons in mapping(data.get("left_out")).items() if isinstance(reasons, Mapping)}:
        lines.append(["left out", *(f"{left.get(name, 0):,}" for name in splits)])
    if rows:
        blocks.append(Table(head=("", *splits), rows=lines, words=frozenset({0})))
    return blocks + _findings(data)


def _findings(data: Mapping[str, Any]) -> list[Block]:
    """What the warnings do not say."""
    alone = {label for labels in mapping(data.get("one_split_only")).values() for label in labels}
    absent = {name: [str(label) for label in labels if label not in alone] for name, labels in mapping(data.get("absent")).items()}
    lines = [f"{', '.join(labels)}: missing from {name}" for name, labels in absent.items() if labels]
    blocks: list[Block] = [Notes(lines)] if lines else []
    if conflicts := [_conflict(one) for one in data.get("conflicts") or () if isinstance(one, Mapping)]:
        blocks.append(Folded("Texts with different labels", [Examples(conflicts)]))
    return blocks


def _conflict(one: Mapping[str, Any]) -> Example:
    marks = [Mark(text=f"{label} ({place(where)})") for label, where in zip(one.get("labels") or (), one.get("places") or (), strict=False)]
    spaced = [mark for pair in zip(marks, [Mark(text="; ")] * len(marks), strict=True) for mark in pair][:-1]
    return Example(lines=[Line.plain("text", str(one.get("text", ""))), Line(name="labels", marks=spaced)])


def _frequencies(counts: Mapping[str, Mapping[str, int]], run: RunFiles, figures: Path) -> list[Block]:
    """Shares are of the rows, of which each may have several labels, or of the entities."""
    splits = [name for name in SPLITS if name in counts] or list(counts)
    labels = list(dict.fromkeys(label for name in splits for label in counts[name]))
    whole = {name: {label: int(counts[name].get(label, 0)) for label in labels} for name in splits}
    noun, rows = "entities" if run.task == "tag" else "rows", dict[str, Any]()
    if run.task != "tag":
        rows |= mapping(run.data.get("rows")) or {name: len(found) for name, found in run.predictions.items()}
    totals = {name: max(int(rows.get(name) or sum(values.values())), 1) for name, values in whole.items()}
    frequencies_png(figures / "label_frequencies.png", whole, totals=totals, noun=noun)
    most = max(values[label] / totals[name] for name, values in whole.items() for label in labels) or 1.0
    bars = [
        Bar(
            label=label,
            shares=[whole[name][label] / totals[name] / most for name in splits],
            texts=[f"{whole[name][label]:,} ({share(whole[name][label] / totals[name])})" for name in splits],
        )
        for label in labels
    ]
    first, total = whole[splits[0]], totals[splits[0]]
    ordered = sorted(first, key=lambda label: first[label])
    told = f"{many(len(labels), 'label')}. The most frequent is {ordered[-1]} with {share(first[ordered[-1]] / total)} of the {splits[0]} {noun}"
    told += f", {number(first[ordered[-1]] / first[ordered[0]], 2)} times the rarest." if first[ordered[0]] and len(ordered) > 1 else "."
    blocks: list[Block] = [Prose(told), Bars(title=f"{titled(noun)} by label", series=splits, bars=bars[:MANY_LABELS])]
    if more := bars[MANY_LABELS:]:
        blocks.append(Folded(many(len(more), "more label"), [Bars(title="", series=splits, bars=more)]))
    return blocks


def _lengths(boxes: Mapping[str, Quantiles], splits: Mapping[str, Quantiles], *, unit: str, limit: Any, figures: Path) -> list[Block]:
    everything = {**({f"all of {name}": numbers for name, numbers in splits.items()}), **boxes}
    keys = ("whislo", "q1", "med", "q3", "whishi")
    drawn = {label: dict(zip(keys, (numbers[end] for end in ENDS), strict=True)) for label, numbers in everything.items()}
    lengths_png(figures / "text_lengths.png", drawn, unit=unit)
    top = max(numbers["p95"] for numbers in everything.values()) * 1.04 or 1.0
    shown = [
        Box(
            label=label,
            **dict(zip(("low", "first", "middle", "third", "high"), (min(numbers[end] / top, 1.0) for end in ENDS), strict=True)),
            text=f"median {number(numbers['median'], 3)}, longest {number(numbers.get('max'), 4)}",
        )
        for label, numbers in everything.items()
    ]
    legend = "Box: the middle half of the texts, with the median; whiskers: 5% to 95%."
    told = f"Rows are cut at {limit:,} tokens." if isinstance(limit, int) and unit == "tokens" else ""
    return [*([Prose(told)] if told else []), Boxes(title=f"Length in {unit}", boxes=shown, ticks=ticks(0, top), legend=legend)]


def _counted(run: RunFiles) -> dict[str, dict[str, int]]:
    """Labels as often as the predictions have them, where no data report says it."""
    found: dict[str, dict[str, int]] = {}
    for split, rows in run.predictions.items():
        named = [label for row in rows for label in names_of(row.get("label"))] if run.task == "classify" else []
        if named:
            counts = Counter(named)
            found[split] = {label: counts[label] for label in dict.fromkeys((*run.labels, *sorted(counts)))}
    return found


def _measured(run: RunFiles) -> dict[str, Quantiles]:
    """Lengths in words by label, of the rows in predictions/."""
    by_label: dict[str, list[int]] = {}
    for rows in run.predictions.values():
        for row in rows:
            if isinstance(row.get("text"), str):
                length = len(row["text"].split()) + len(str(row.get("pair") or "").split())
                for label in names_of(row.get("label")) if run.task == "classify" else ["all texts"]:
                    by_label.setdefault(label, []).append(length)
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    return {label: {**dict(zip(ENDS, np.quantile(each, shares).tolist(), strict=True)), "max": float(max(each))} for label, each in sorted(by_label.items())}


def _is_whole(numbers: Any) -> bool:
    return isinstance(numbers, Mapping) and all(isinstance(numbers.get(end), int | float) for end in ENDS)


def _two(numbers: Any) -> str:
    return f"{number(numbers.get('median'), 3)}, {number(numbers.get('max'), 4)}" if isinstance(numbers, Mapping) and numbers else "–"


def _part(count: Any, rows: Any) -> str:
    if not isinstance(count, int):
        return "–"
    return f"{count:,} ({share(count / rows)})" if count and isinstance(rows, int) and rows else f"{count:,}"

"""The sections of tagging: entities type by type, and the hardest sentences with right and predicted entities marked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bertwright.errors import InputError
from bertwright.metrics.entities import Span, per_type, spans
from bertwright.reports.classified import facts_of, scores_table, some_examples
from bertwright.reports.content import Bar, Bars, Block, Example, Line, Mark, Prose, Section
from bertwright.reports.pictures import frequencies_png
from bertwright.reports.predicted import Row, hardest
from bertwright.reports.reading import RunFiles
from bertwright.tasks.words import joined

HARDEST, HARDEST_FOLDED = 8, 24
LONGEST = 80  # words of a sentence shown
TONES = ("right", "wrong", "missed")


def tagged_sections(run: RunFiles, split: str, figures: Path) -> list[Section]:
    """Entities by type and the hardest sentences; none where there are no sentences with right tags."""
    rows = [row for row in run.predictions.get(split, ()) if _is_whole(row)]
    if not rows:
        return []
    gold, said = [_right(row) for row in rows], [row["prediction"]["tags"] for row in rows]
    try:
        sections = [Section("Entity by entity", _types(gold, said, figures))]
        return [*sections, Section("Hardest sentences", _hardest(rows))]
    except InputError as error:
        return [Section("Entities", [Prose(f"The tags in predictions/{split}.jsonl cannot be counted: {error}.")])]


def _is_whole(row: Row) -> bool:
    tags, prediction = _right(row), row.get("prediction") or {}
    said, words = prediction.get("tags"), row.get("words")
    return isinstance(tags, list) and isinstance(said, list) and isinstance(words, list) and len(tags) == len(said) == len(words)


def _right(row: Row) -> Any:
    return row.get("tags", row.get("label"))


def _types(gold: Sequence[Sequence[str]], said: Sequence[Sequence[str]], figures: Path) -> list[Block]:
    scores = per_type(gold, said)
    if not scores:
        return [Prose("No sentence has an entity, and none was predicted.")]
    counts = {"right": {one.name: one.support for one in scores}, "predicted": {one.name: one.predicted for one in scores}}
    totals = {name: max(sum(values.values()), 1) for name, values in counts.items()}
    frequencies_png(figures / "entities.png", counts, totals=totals, noun="entities")
    most = max(1, *(max(one.support, one.predicted) for one in scores))
    bars = [
        Bar(label=one.name, shares=(one.support / most, one.predicted / most), texts=(f"{one.support:,}", f"{one.predicted:,}"))
        for one in sorted(scores, key=lambda one: -one.support)
    ]
    return [
        Prose("An entity is right when its type, its beginning and its end are."),
        scores_table(scores, name="type", counted="entities"),
        Bars(title="Entities in the right tags and in the predicted ones", series=("right", "predicted"), bars=bars),
    ]


def _hardest(rows: Sequence[Row]) -> list[Block]:
    found = hardest(rows, HARDEST + HARDEST_FOLDED) or [row for row in rows if _right(row) != row["prediction"]["tags"]][:HARDEST]
    shown = [tagged_example(row) for row in found]
    told = "The sentences with the highest loss, highest first: right entities are marked in the first line, predicted ones in the second."
    return [Prose(told), *some_examples(shown, HARDEST)]


def entities(row: Row) -> tuple[set[Span], set[Span]]:
    """The right entities of a sentence and the predicted ones: (type, first word, word after the last)."""
    return set(spans(_right(row) or [])), set(spans(row["prediction"].get("tags") or []))


def tagged_example(row: Row) -> Example:
    """A sentence twice: with its right entities marked, and with the predicted ones."""
    gold, said = entities(row)
    words = [str(word) for word in row["words"]]
    lines = [
        Line(name="right", marks=_marked(words, sorted(gold, key=_start), {span: "right" if span in said else "missed" for span in gold})),
        Line(name="predicted", marks=_marked(words, sorted(said, key=_start), {span: "right" if span in gold else "wrong" for span in said})),
    ]
    wrong = len(said - gold) + len(gold - said)
    return Example(lines=lines, badge="right" if not wrong else f"{len(gold - said)} missed, {len(said - gold)} wrong", good=not wrong, facts=facts_of(row))


def _start(span: Span) -> int:
    return span[1]


def _marked(words: Sequence[str], found: Sequence[Span], tones: Mapping[Span, str]) -> list[Mark]:
    """The words as text, stretches of it that are an entity marked with its type."""
    text, places = joined(words[:LONGEST])
    before, marks = 0, list[Mark]()
    for span in found:
        kind, first, last = span
        if first >= len(places):
            break
        start, end = places[first][0], places[min(last, len(places)) - 1][1]
        marks += [Mark(text=text[before:start]), Mark(text=text[start:end], tone=tones[span], note=kind, said=f"{kind}, {tones[span]}")]
        before = end
    return [*marks, Mark(text=text[before:] + (" …" if len(words) > LONGEST else ""))]

"""The sections of a classification: confusion matrix, classes one by one, calibration, hardest examples."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertwright.metrics.classification import Bin, ClassScores, confusion, per_class, reliability
from bertwright.reports.content import Block, Cell, Confusion, Drawing, Drawings, Example, Examples, Folded, Line, Mark, Notes, Prose, Section, Table
from bertwright.reports.drawing import COLOURS, MUTED, inline_svg, new_figure, save_png, styled
from bertwright.reports.pictures import confusion_png
from bertwright.reports.predicted import Labelled, Row, hardest, labelled, loss_of, names_of
from bertwright.reports.reading import RunFiles
from bertwright.reports.wording import many, number, place, share, shortened

HARDEST, HARDEST_FOLDED = 10, 40
SURE = 0.9  # a wrong prediction this sure makes one look at the label
LONGEST_TEXT = 1200  # characters of an example shown
CONFUSED = 12  # pairs of labels in the list of the most frequent confusions
SHOWN_PROBABILITIES = 4


def classified_sections(run: RunFiles, split: str, figures: Path) -> list[Section]:
    """All sections that the predictions of a split give; none where it has no labelled rows."""
    found = labelled(run.predictions.get(split, ()), run.labels)
    if found is None:
        return []
    strange: list[Block] = []
    if found.strange:
        told = f"{many(found.strange, 'row')} {'has' if found.strange == 1 else 'have'} a label that the model does not know: left out below"
        strange.append(Notes([told], "warning"))
    sections = [] if found.several else [Section("Confusion matrix", [*strange, *_confusion(found, figures)])]
    sections.append(Section("Label by label", [*(strange if found.several else []), *_classes(found)]))
    sections.append(Section("Calibration", _calibration(found, figures)))
    hard = hard_examples(found)
    return [*sections, Section("Hardest examples", hard)] if hard else sections


def _confusion(found: Labelled, figures: Path) -> list[Block]:
    counts = confusion(found.truth, found.predicted, len(found.labels))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    confusion_png(figures / "confusion_matrix.png", found.labels, counts, normalised=False)
    confusion_png(figures / "confusion_matrix_normalised.png", found.labels, counts, normalised=True)
    right = int(np.trace(counts))
    blocks: list[Block] = [
        Prose(f"{right:,} of {counts.sum():,} rows are right. Rows are right labels, columns predicted ones; colour and percentage are the share of the row."),
        Confusion(labels=found.labels, counts=counts.tolist(), shares=shares.tolist()),
    ]
    if pairs := _confused(found.labels, counts):
        blocks.append(
            Table(
                head=("right label", "predicted as", "rows", "share of the right label"),
                rows=pairs,
                words=frozenset({0, 1}),
                caption="Most frequent confusions",
            )
        )
    return blocks


def _confused(labels: Sequence[str], counts: NDArray[np.int64]) -> list[list[str | Cell]]:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSED]
    places = [divmod(int(place), len(labels)) for place in order]
    rows: list[list[str | Cell]] = []
    for right, predicted in places:
        if wrong[right, predicted]:
            part = wrong[right, predicted] / counts[right].sum()
            rows.append([labels[right], labels[predicted], f"{wrong[right, predicted]:,}", Cell(text=share(part), share=part)])
    return rows


def _classes(found: Labelled) -> list[Block]:
    scores = per_class(found.truth, found.predicted, found.labels)
    blocks: list[Block] = [scores_table(scores, name="label", counted="rows")]
    never = [one.name for one in scores if not one.predicted and one.support]
    if never:
        blocks.append(Prose(f"Never predicted: {', '.join(never[:20])}{' and others' if len(never) > 20 else ''}."))
    return blocks


def scores_table(scores: Sequence[ClassScores], *, name: str, counted: str) -> Table:
    """Classes one by one. name, counted: what a class is called, and what is counted of it."""
    rows: list[list[str | Cell]] = []
    for position, one in enumerate(scores, 1):
        parts = [Cell(text=f"{value:.3f}", share=value) for value in (one.f1, one.precision, one.recall)]
        rows.append([str(position), one.name, *parts, f"{one.support:,}", f"{one.predicted:,}"])
    return Table(head=("no.", name, "F1", "precision", "recall", counted, "predicted"), rows=rows, words=frozenset({1}))


def _calibration(found: Labelled, figures: Path) -> list[Block]:
    """Of rows with several labels every decision counts, as sure as it is of yes or no."""
    if found.several:
        sure = np.stack([1 - found.probabilities.ravel(), found.probabilities.ravel()], axis=1)
        bins = reliability(found.truth.ravel().astype(np.int64), sure)
    else:
        bins = reliability(found.truth, found.probabilities)
    total = sum(one.count for one in bins)
    error = sum(one.count * abs(one.accuracy - one.confidence) for one in bins) / total
    lean = sum(one.count * (one.confidence - one.accuracy) for one in bins) / total
    verdict = "too sure of itself" if lean > 0.02 else "less sure than it could be" if lean < -0.02 else "about as sure as it is right"
    told = f"On average the model is {verdict}: confidence and accuracy differ by {share(error)} (expected calibration error, {len(bins)} bins)."
    table = [[f"{share(one.low)} to {share(one.high)}", f"{one.count:,}", share(one.confidence), share(one.accuracy)] for one in bins if one.count]
    numbers = Table(head=("confidence", "rows", "mean confidence", "right"), rows=table, words=frozenset())
    return [Prose(told), Drawings([_reliability(bins, figures)]), Folded("The numbers", [numbers])]


def _reliability(bins: Sequence[Bin], figures: Path) -> Drawing:
    filled = [one for one in bins if one.count]
    widest = max(one.count for one in filled)
    with styled():
        figure, axes = new_figure(4.4, 4.0)
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle=(0, (4, 3)), linewidth=1)
        for one in filled:
            axes.bar((one.low + one.high) / 2, one.accuracy, 0.92 * (one.high - one.low), color=COLOURS["c1"], alpha=0.25 + 0.65 * one.count / widest)
        axes.plot([one.confidence for one in filled], [one.accuracy for one in filled], "o", color=COLOURS["c2"], markersize=4.5)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_xlabel("confidence of the predicted label")
        axes.set_ylabel("share that is right")
        svg = inline_svg(figure, name="calibration")
        axes.set_title("Reliability diagram")
        save_png(figure, figures / "calibration.png")
    keys = [("c1", "share right in each bin, stronger where there are more rows"), ("dots c2", "mean confidence of the bin"), ("dashed", "as sure as right")]
    alt = "; ".join(f"confidence {share(one.confidence)}: {share(one.accuracy)} right of {one.count:,}" for one in filled)
    return Drawing(title="Reliability diagram", svg=svg, alt=f"Reliability diagram. {alt}", keys=keys)


def hard_examples(found: Labelled) -> list[Block]:
    """The rows of the highest loss; empty where losses are missing."""
    right = {id(row): bool(value) for row, value in zip(found.rows, found.right, strict=True)}
    rows = hardest(found.rows, HARDEST + HARDEST_FOLDED)
    if not rows:
        return []
    shown = [text_example(row, found.labels, right=right[id(row)]) for row in rows]
    sure = sum(1 for row in rows if not right[id(row)] and _confidence(row) >= SURE)
    told = "The rows with the highest loss, highest first."
    if sure:
        told += f" {sure} of these {len(rows)} {'is' if sure == 1 else 'are'} wrong with a probability of {SURE:.0%} or more: look at their labels first."
    return [Prose(told), *some_examples(shown, HARDEST)]


def some_examples(shown: Sequence[Example], first: int) -> list[Block]:
    """The first ones in the open, the others folded."""
    more = shown[first:]
    return [Examples(shown[:first]), *([Folded(f"The next {len(more)}", [Examples(more)])] if more else [])]


def text_example(row: Row, labels: Sequence[str], *, right: bool) -> Example:
    """A text or pair with its right label, what was predicted, and the likeliest probabilities."""
    prediction = row["prediction"]
    given = names_of(row.get("label"))
    predicted = names_of(prediction.get("label", prediction.get("labels")))
    probabilities = sorted(prediction.get("probabilities", {}).items(), key=lambda pair: -pair[1])
    kept = [(name, value) for place, (name, value) in enumerate(probabilities) if place < SHOWN_PROBABILITIES or name in given]
    tones = {name: "right" if name in given else "wrong" if name in predicted else "" for name, _ in kept}
    badge = "right" if right else "likely label error" if _confidence(row) >= SURE else "wrong"
    lines = [
        *text_lines(row),
        Line(name="label", marks=[Mark(text=", ".join(given) or "none", tone="right")]),
        Line(name="predicted", marks=[Mark(text=", ".join(predicted) or "none", tone="right" if right else "wrong")]),
    ]
    return Example(lines=lines, badge=badge, good=right, facts=facts_of(row), bars=[(name, float(value), f"{value:.1%}", tones[name]) for name, value in kept])


def text_lines(row: Row) -> list[Line]:
    """The text of an example, or its two."""
    text = Line.plain("text", shortened(str(row.get("text", "")), LONGEST_TEXT))
    return [text] if row.get("pair") is None else [text, Line.plain("with", shortened(str(row["pair"]), LONGEST_TEXT))]


def facts_of(row: Row) -> list[str]:
    """Where an example stands and what its loss is."""
    loss = loss_of(row)
    facts = [f"loss {number(loss, 3)}"] if loss is not None else []
    where = row.get("place") or (f"row {row['row']}" if row.get("row") is not None else None)
    return [*facts, place(where)] if where else facts


def _confidence(row: Row) -> float:
    """How sure the model is of what it says; where a row may have several labels, of the decision that it is surest of against the row's own."""
    chances = {name: float(value) for name, value in row["prediction"].get("probabilities", {}).items()}
    if isinstance(row.get("label"), list):
        given = names_of(row["label"])
        return max((1 - value if name in given else value for name, value in chances.items()), default=0.0)
    return max(chances.values(), default=0.0)

"""The sections of tasks that give a number: regression, and embeddings of scored pairs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertwright.reports.classified import HARDEST, facts_of, text_lines
from bertwright.reports.content import Block, Drawing, Drawings, Example, Examples, Line, Prose, Section
from bertwright.reports.drawing import COLOURS, MUTED, inline_svg, new_figure, save_png, styled
from bertwright.reports.predicted import Row
from bertwright.reports.reading import RunFiles
from bertwright.reports.wording import number, shortened

DRAWN = 3000  # points of a scatter: more make the page heavy, not clearer


def valued_sections(run: RunFiles, split: str, figures: Path) -> list[Section]:
    """Right against predicted numbers, and the rows that are furthest off; of embeddings, whose cosines have another scale than the scores, by their ranks."""
    rows = [(row, pair) for row in run.predictions.get(split, ()) if (pair := _pair(row)) is not None]
    if not rows:
        return []
    right, predicted = np.array([pair for _, pair in rows]).T
    ranked = run.task == "embed"
    if ranked:
        told = "The cosine of each pair's vectors beside its right score. What counts is that they stand in the same order."
        off = _ranks(predicted) - _ranks(right)
        badges = [f"rank {place:.0%}, should be {wanted:.0%}" for place, wanted in zip(_ranks(predicted), _ranks(right), strict=True)]
    else:
        off = predicted - right
        lean = f"{number(abs(float(off.mean())), 3)} too {'high' if off.mean() > 0 else 'low'}"
        told = f"Predictions are off by {number(float(np.abs(off).mean()), 3)} on average; all in all they are {lean}."
        badges = [f"off by {number(abs(float(one)), 3)}" for one in off]
    order = np.argsort(-np.abs(off), kind="stable")[:HARDEST]
    shown = [_example(rows[place][0], rows[place][1], badge=badges[place]) for place in order]
    drawn = _scatter(right, predicted, figures, ranked=ranked)
    blocks: list[Block] = [Prose("The rows that are furthest off, furthest first."), Examples(shown)]
    return [Section("Right and predicted numbers", [Prose(told), Drawings([drawn])]), Section("Hardest examples", blocks)]


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The place of each value among all, from 0 for the lowest to 1 for the highest; equal ones share their middle."""
    ordered = np.sort(values)
    middles = (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") - 1) / 2
    return np.asarray(middles / max(len(values) - 1, 1), dtype=np.float64)


def _pair(row: Row) -> tuple[float, float] | None:
    """The right number and the predicted one; of an embedded pair its score and the cosine of its vectors."""
    prediction = row.get("prediction") or {}
    right = row.get("label", row.get("score"))
    predicted = prediction.get("value", prediction.get("similarity"))
    vectors = prediction.get("vectors")
    if predicted is None and isinstance(vectors, Sequence) and len(vectors) == 2:
        one, other = np.asarray(vectors[0], dtype=np.float64), np.asarray(vectors[1], dtype=np.float64)
        length = float(np.linalg.norm(one) * np.linalg.norm(other))
        predicted = float(one @ other) / length if length else None
    usable = all(isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value) for value in (right, predicted))
    return (float(right), float(predicted)) if usable and right is not None and predicted is not None else None


def _scatter(right: NDArray[np.float64], predicted: NDArray[np.float64], figures: Path, *, ranked: bool) -> Drawing:
    total, step = len(right), max(1, -(-len(right) // DRAWN))
    right, predicted = right[::step], predicted[::step]
    # Labels often stand on a few values: a little noise across shows how many points lie there.
    levels = np.unique(right)
    noise = 0.15 * float(np.diff(levels).min()) if 1 < len(levels) <= 50 else 0.0
    across = right + np.random.default_rng(0).uniform(-noise, noise, len(right))
    with styled():
        figure, axes = new_figure(4.4, 4.0)
        if not ranked:
            ends = [float(min(right.min(), predicted.min())), float(max(right.max(), predicted.max()))]
            axes.plot(ends, ends, color=MUTED, linestyle=(0, (4, 3)), linewidth=1)
        axes.plot(across, predicted, "o", color=COLOURS["c1"], markersize=3, alpha=0.35, markeredgewidth=0)
        axes.set_xlabel("right score" if ranked else "right")
        axes.set_ylabel("cosine" if ranked else "predicted")
        svg = inline_svg(figure, name="scatter")
        axes.set_title("Right and predicted numbers")
        save_png(figure, figures / "scatter.png")
    shown = f"{len(right):,} of {total:,} rows" if step > 1 else f"{total:,} rows"
    keys = [("dots c1", f"a row ({shown})"), *([] if ranked else [("dashed", "predicted as right")])]
    return Drawing(title="Right and predicted numbers", svg=svg, alt=f"Scatter of right and predicted numbers of {shown}", keys=keys)


def _example(row: Row, pair: tuple[float, float], *, badge: str) -> Example:
    texts = row.get("texts")
    lines = [Line.plain(f"text {place}", shortened(str(text), 600)) for place, text in enumerate(texts, 1)] if isinstance(texts, list) else text_lines(row)
    lines += [Line.plain("right", number(pair[0])), Line.plain("predicted", number(pair[1]))]
    return Example(lines=lines, badge=badge, facts=facts_of(row))

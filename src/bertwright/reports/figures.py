"""The loss curve of a run, as a PNG."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bertwright.errors import InputError

Record = Mapping[str, float]

TRAINING, VALIDATION, REFERENCE = "#4878a8", "#d1602b", "#777777"
SMOOTHING_WINDOW = 0.05  # share of the points that one smoothed value averages
HEADROOM = 1.06  # the axis ends this far above the highest value or reference line
DRAWN_POINTS = 4000  # more dots than a figure has pixels across are thinned out


def draw_run(run: Path, *, path: Path | None = None, title: str | None = None) -> Path:
    """Draws the losses of a run folder's metrics.jsonl into `path` (loss.png in that folder); returns the picture's path.

    Raises InputError when there are no metrics, or none with a loss.
    """
    source = run / "metrics.jsonl"
    if not source.exists():
        raise InputError(f"{run} has no metrics.jsonl: it is not a run folder, or nothing was trained in it yet")
    records = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    return draw_losses(records, path or run / "loss.png", title=title or run.name)


def draw_losses(records: Sequence[Record], path: Path, *, title: str) -> Path:
    """One panel for the masked-token loss, or the whole one of other objectives, and, where there is one, one for next-sentence loss; writes `path`.

    records: in any order, each with `step`; training ones hold `mlm_loss` (or `loss`) and `nsp_loss`, evaluations `eval_mlm_loss` (or `eval_loss`) and
    `eval_nsp_loss`, and with them `chance_loss` (ln of the vocabulary) and `unigram_entropy`, all in nats. Raises InputError when none holds a loss.
    """
    masked, held_out = _series(records, "mlm_loss") or _series(records, "loss"), _series(records, "eval_mlm_loss") or _series(records, "eval_loss")
    label = "masked-token loss (nats)" if any("mlm_loss" in record or "eval_mlm_loss" in record for record in records) else "loss (nats)"
    if not masked and not held_out:
        raise InputError(f"{path.parent} has no loss to draw yet: train some steps first")
    pairs, held_out_pairs = _series(records, "nsp_loss"), _series(records, "eval_nsp_loss")
    two = bool(pairs or held_out_pairs)
    figure = Figure(figsize=(8, 7 if two else 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2 if two else 1, 1, sharex=True, squeeze=False, height_ratios=[3, 2] if two else [1])[:, 0]
    references = {"chance": _last(records, "chance_loss"), "word frequencies alone": _last(records, "unigram_entropy")}
    _panel(panels[0], masked, held_out, references, label=label)
    if two:
        _panel(panels[1], pairs, held_out_pairs, {"chance": math.log(2)}, label="next-sentence loss (nats)")
    panels[0].set_title(title)
    panels[-1].set_xlabel("step")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, dpi=120)
    return path


def smooth(values: Sequence[float]) -> list[float]:
    """Means over a window of SMOOTHING_WINDOW of the values: narrower towards the start, where losses fall fast, and cut off at the end."""
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(values, dtype=np.float64))])
    places = np.arange(len(values))
    back = np.minimum(math.ceil(len(values) * SMOOTHING_WINDOW / 2), places)
    ahead = np.minimum(back, len(values) - 1 - places)
    means: list[float] = ((sums[places + ahead + 1] - sums[places - back]) / (ahead + back + 1)).tolist()
    return means


def _panel(
    axes: Axes, training: list[tuple[float, float]], validation: list[tuple[float, float]], references: Mapping[str, float | None], *, label: str
) -> None:
    steps, losses = [step for step, _ in training], [loss for _, loss in training]
    if training:
        thin = slice(None, None, math.ceil(len(steps) / DRAWN_POINTS))
        axes.plot(steps[thin], losses[thin], ".", color=TRAINING, alpha=0.25, markersize=4)
        axes.plot(steps, smooth(losses), color=TRAINING, linewidth=1.8, label="training, smoothed")
    if validation:
        axes.plot(*zip(*validation, strict=True), "o-", color=VALIDATION, markersize=4, linewidth=1.4, label="validation")
    shown = {name: value for name, value in references.items() if value is not None}
    ends = [series[-1][1] for series in (training, validation) if series]
    for name, value in shown.items():
        # On the side of the line where the curves do not end.
        above = min(ends, default=value) < value
        axes.axhline(value, color=REFERENCE, linestyle="--", linewidth=1)
        axes.annotate(
            f"{name} {value:.2f}",
            (0.995, value),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3 if above else -3),
            textcoords="offset points",
            ha="right",
            va="bottom" if above else "top",
            fontsize=9,
            color=REFERENCE,
        )
    highest = max([*losses, *shown.values(), *(loss for _, loss in validation)])
    lowest = min([*losses, *shown.values(), *(loss for _, loss in validation)])
    axes.set_ylim(lowest - 0.08 * (highest - lowest) - 0.01, highest + (HEADROOM - 1) * (highest - lowest) + 0.05)
    axes.set_ylabel(label)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _series(records: Sequence[Record], name: str) -> list[tuple[float, float]]:
    points = [(float(record["step"]), float(record[name])) for record in records if name in record and "step" in record]
    return sorted((step, value) for step, value in points if math.isfinite(value))


def _last(records: Sequence[Record], name: str) -> float | None:
    return next((float(record[name]) for record in reversed(records) if name in record), None)

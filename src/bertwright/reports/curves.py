"""Curves over the steps of a run, or of several runs together."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bertwright.reports.content import Drawing
from bertwright.reports.drawing import MUTED, colour, dashes, inline_svg, key_of, new_figure, save_png, styled
from bertwright.reports.figures import smooth
from bertwright.reports.lettering import lettering
from bertwright.reports.wording import named, number, titled

Points = Sequence[tuple[float, float]]
SIZE = (4.4, 2.9)  # inches: about 320 pixels, so that a panel fills a phone's width and its letters keep their size
NAME = 48  # characters of a run's name in a legend: those of a sweep say which values it had
DOTS = 1500  # more dots than that make a panel slow to show and no richer


@dataclass(frozen=True, kw_only=True)
class Curve:
    """points: (step, value); dotted: each value as a point under a smoothed line, for what jumps from step to step; plain: that line alone."""

    name: str
    points: Points
    number: int = 0
    dotted: bool = False
    plain: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel:
    """references: horizontal lines by name; best: the step of the best checkpoint."""

    name: str
    title: str
    curves: Sequence[Curve]
    references: Mapping[str, float] = field(default_factory=dict)
    best: float | None = None


def series(records: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """The finite values of a key by step, ascending."""
    usable = [record for record in records if _is_number(record.get("step")) and _is_number(record.get(key))]
    return sorted((float(record["step"]), float(record[key])) for record in usable)


def draw_panels(panels: Sequence[Panel], *, figures: Path) -> list[Drawing]:
    """Each panel that has points, as a drawing for the page and as NAME.png in `figures`."""
    drawn = [panel for panel in panels if any(curve.points for curve in panel.curves)]
    return [_draw(panel, figures / (re.sub(r"\W+", "_", panel.name) + ".png")) for panel in drawn]


def _draw(panel: Panel, path: Path) -> Drawing:
    curves = [curve for curve in panel.curves if curve.points]
    shown = {name: value for name, value in panel.references.items() if math.isfinite(value)}
    with styled():
        figure, axes = new_figure(*SIZE)
        for curve in curves:
            _curve(axes, curve)
        for name, value in shown.items():
            axes.axhline(value, color=MUTED, linestyle=(0, (4, 3)), linewidth=1, label=f"{name} {number(value, 3)}")
        if panel.best is not None:
            axes.axvline(panel.best, color=MUTED, linestyle=":", linewidth=1.2, label=f"best, step {panel.best:,.0f}")
        _frame(axes, [*(_range(curve) for curve in curves), *((value, value) for value in shown.values())])
        svg = inline_svg(figure, name=panel.name)
        axes.set_title(panel.title)
        handles, labels = axes.get_legend_handles_labels()
        if len(labels) > 1:
            letters = lettering(labels, noun="run", longest=NAME)
            wide = max(map(len, letters.labels)) > NAME // 2
            columns = 1 if wide else 2
            figure.set_size_inches(SIZE[0] * 1.3, SIZE[1] * 1.3 + 0.17 * math.ceil(len(labels) / columns))
            figure.legend(handles, letters.labels, loc="outside lower center", ncols=columns, prop={"family": letters.fonts, "size": 8})
        save_png(figure, path)
    return Drawing(title=panel.title, svg=svg, alt=_alt(panel.title, curves), keys=_keys(curves, shown, panel.best))


def _frame(axes: Axes, ranges: Sequence[tuple[float, float]]) -> None:
    """The axes' limits and ticks, for values in these ranges."""
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 0.1
    axes.set_ylim(low - margin, high + margin)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(_short))
    axes.yaxis.set_major_formatter(FuncFormatter(_short))
    axes.set_xlabel("step")


def _curve(axes: Axes, curve: Curve) -> None:
    steps, values = [step for step, _ in curve.points], [value for _, value in curve.points]
    if not curve.dotted or len(values) < 10:
        dots = "o" if len(values) < 60 else None
        axes.plot(steps, values, dashes(curve.number), marker=dots, color=colour(curve.number), markersize=3.5, linewidth=1.6, label=curve.name)
        return
    thin = slice(None, None, math.ceil(len(steps) / DOTS))
    if not curve.plain:
        axes.plot(steps[thin], values[thin], ".", color=colour(curve.number), alpha=0.3, markersize=2.5)
    axes.plot(steps[thin], smooth(values)[thin], dashes(curve.number), color=colour(curve.number), linewidth=1.8, label=curve.name)


def _range(curve: Curve) -> tuple[float, float]:
    """Lowest and highest value to show: single jumps far above the rest, such as of a gradient norm, may leave the panel."""
    values = sorted(value for _, value in curve.points)
    if not curve.dotted or len(values) < 50:
        return values[0], values[-1]
    low, high = values[len(values) // 200], values[-1 - len(values) // 200]
    smoothed = smooth([value for _, value in curve.points])
    return (min(smoothed), max(smoothed)) if curve.plain else (min(low, *smoothed), max(high, *smoothed))


def _keys(curves: Sequence[Curve], references: Mapping[str, float], best: float | None) -> list[tuple[str, str]]:
    keys = [(key_of(curve.number), f"{curve.name}, smoothed" if curve.dotted and len(curve.points) >= 10 else curve.name) for curve in curves]
    keys += [("dashed", f"{name} {number(value, 3)}") for name, value in references.items()]
    return keys + ([("dotted", f"best checkpoint, step {best:,.0f}")] if best is not None else [])


def _alt(title: str, curves: Sequence[Curve]) -> str:
    told = [f"{curve.name} from {number(curve.points[0][1], 3)} to {number(curve.points[-1][1], 3)}" for curve in curves[:6]]
    return f"{title} by step: {'; '.join(told)}"


def _short(value: float, _: int) -> str:
    """A tick: 120000 as 120k."""
    for limit, unit, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e5, 1e3, "k")):
        if abs(value) >= limit:
            return f"{value / unit:g}{letter}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def metric_panels(records: Sequence[Mapping[str, Any]], *, first: str | None, best: float | None, most: int = 6) -> list[Panel]:
    """A panel for each metric that evaluations measured, `first` in front; losses have their own panels."""
    keys = dict.fromkeys(key for record in records if record.get("kind") == "evaluate" for key, value in record.items() if _is_number(value))
    metrics = [key for key in keys if key.startswith("eval_") and not key.endswith("_loss")]
    wanted = [f"eval_{first}", "eval_accuracy", "eval_f1_macro", "eval_mcc", "eval_spearman", "eval_pearson", "eval_f1", "eval_calibration_error"]
    order = [key for key in wanted if key in metrics] + [key for key in metrics if key not in wanted]
    order = list(dict.fromkeys(order))[:most]
    return [Panel(name=key, title=titled(named(key)), curves=[Curve(name="validation", points=series(records, key), number=1)], best=best) for key in order]

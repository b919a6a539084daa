"""From a matplotlib figure to a PNG beside the page, and to an inline SVG whose colours follow the page's."""

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's colours (2008, "Color universal design"), the lighter ones darkened until thin lines of them read on white. The page's style sheet has the
# same names with colours for a dark ground.
COLOURS = {"c1": "#0072b2", "c2": "#d55e00", "c3": "#00795a", "c4": "#a8437f", "c5": "#8f6400", "c6": "#5b5f66"}
INK, MUTED, GRID = "#1c2127", "#5d6670", "#d8dde3"
VARIABLES = {colour: f"var(--{name})" for name, colour in {**COLOURS, "ink": INK, "muted": MUTED, "line": GRID}.items()}

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.titlesize": 11,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "axes.formatter.useoffset": False,
    "legend.frameon": False,
}


def colour(number: int) -> str:
    """The colour of a series, from 0; after the last it begins again."""
    return list(COLOURS.values())[number % len(COLOURS)]


def dashes(number: int) -> str:
    """How its line is drawn: after the last colour dashed, then dotted."""
    return ("-", "--", ":")[number // len(COLOURS) % 3]


def key_of(number: int) -> str:
    """Its line in the style sheet's words."""
    second = ("", " second", " third")[number // len(COLOURS) % 3]
    return f"line {list(COLOURS)[number % len(COLOURS)]}{second}"


@contextmanager
def styled() -> Iterator[None]:
    """Within it figures are made in this style: matplotlib looks its settings up while a figure is made, and again while it is written."""
    # It would tell on standard error that a font of one weight has no other.
    chatty = logging.getLogger("matplotlib.font_manager")
    level = chatty.level
    chatty.setLevel(logging.ERROR)
    try:
        with matplotlib.rc_context(STYLE):
            yield
    finally:
        chatty.setLevel(level)


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure, in inches, and its one pair of axes; use it within `styled`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def new_panels(width: float, height: float, *, columns: int) -> tuple[Figure, list[Axes]]:
    """A figure, in inches, and so many pairs of axes side by side; use it within `styled`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, columns))


def bare_figure(width: float, height: float) -> Figure:
    """A figure, in inches, whose axes are to be placed by hand; use it within `styled`."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Writes a picture on a white ground."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def inline_svg(figure: Figure, *, name: str) -> str:
    """The figure as an <svg> without fixed size or ground, its colours the style sheet's. name: makes the ids in it differ from those of other figures."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    # matplotlib names its groups figure_1, axes_1 and so on in every figure, and a page's ids must differ.
    svg = re.sub(r'<g id="[A-Za-z][\w.]*_\d+">', "<g>", svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--font)", svg)
    for plain, variable in VARIABLES.items():
        svg = svg.replace(plain, variable)
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1).strip()

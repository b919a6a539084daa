"""PNGs of what the page itself shows in HTML: label frequencies, text lengths, confusion matrices, attributions and attention."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bertwright.reports.drawing import COLOURS, INK, MUTED, bare_figure, colour, new_figure, save_png, styled
from bertwright.reports.lettering import Lettering, lettering

ROW = 0.26  # inches of a labelled row
NUMBERED = "numbers as in the tables of report.html: no font here has the letters of these labels"
CROWDED = 20  # more labels than that leave no room for numbers in a confusion matrix


def frequencies_png(path: Path, counts: Mapping[str, Mapping[str, int]], *, totals: Mapping[str, int], noun: str = "rows") -> None:
    """counts: by split, then label, all splits with the same labels; totals: what they are shares of. Horizontal bars."""
    labels = list(next(iter(counts.values())))
    letters = lettering(labels)
    with styled():
        figure, axes = new_figure(6.4, 1.3 + max(ROW, 0.13 * len(counts)) * len(labels))
        thickness = 0.8 / len(counts)
        for number, (split, values) in enumerate(counts.items()):
            total = totals[split]
            places = np.arange(len(labels)) + (number - (len(counts) - 1) / 2) * thickness
            bars = axes.barh(places, [values[label] / total for label in labels], thickness * 0.9, color=colour(number), label=f"{split} ({total:,})")
            if len(counts) == 1 and len(labels) <= CROWDED:
                axes.bar_label(bars, [f"{values[label]:,}" for label in labels], padding=3, fontsize=8, color=MUTED)
        _name_rows(letters, axes, len(labels))
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_xlabel(f"share of {noun}" + (f"\n{NUMBERED}" if letters.numbered else ""))
        axes.set_title("How frequent each label is")
        if len(counts) > 1:
            axes.legend(fontsize=8)
        save_png(figure, path)


def lengths_png(path: Path, boxes: Mapping[str, Mapping[str, float]], *, unit: str, by: str = ", by label") -> None:
    """boxes: by label the numbers of a box plot: whislo, q1, med, q3, whishi."""
    letters = lettering(list(boxes))
    with styled():
        figure, axes = new_figure(6.4, 1.3 + ROW * 1.2 * len(boxes))
        drawn = [{**numbers, "fliers": []} for numbers in boxes.values()]
        axes.bxp(
            drawn,
            positions=range(len(boxes)),
            orientation="horizontal",
            widths=0.6,
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": COLOURS["c1"] + "55", "edgecolor": COLOURS["c1"]},
            medianprops={"color": COLOURS["c2"], "linewidth": 1.8},
            whiskerprops={"color": COLOURS["c1"]},
            capprops={"color": COLOURS["c1"]},
        )
        _name_rows(letters, axes, len(boxes))
        axes.grid(axis="y", visible=False)
        axes.set_xlim(left=0)
        axes.set_xlabel(unit + (f"\n{NUMBERED}" if letters.numbered else ""))
        axes.set_title(f"Length in {unit}{by}")
        save_png(figure, path)


def confusion_png(path: Path, labels: Sequence[str], counts: NDArray[np.int64], *, normalised: bool) -> None:
    """counts: [right label, predicted label]. normalised: each row over its sum."""
    letters, size = lettering(labels), len(labels)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = max(3.2, 0.55 * size) if size <= CROWDED else max(6.0, 0.2 * size)
    with styled():
        figure, axes = new_figure(side + 1.8, side + 1.2)
        axes.imshow(shares if normalised else counts, cmap="Blues", vmin=0, vmax=1 if normalised else max(int(counts.max()), 1))
        axes.grid(visible=False)
        axes.set_xticks(range(size), letters.labels, rotation=90, family=letters.fonts, fontsize=9 if size <= CROWDED else 6)
        axes.set_yticks(range(size), letters.labels, family=letters.fonts, fontsize=9 if size <= CROWDED else 6)
        highest = 1 if normalised else max(int(counts.max()), 1)
        for row in range(size if size <= CROWDED else 0):
            for column in range(size):
                value = shares[row, column] if normalised else counts[row, column]
                text = f"{value:.0%}" if normalised else f"{value:,}"
                axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if value > 0.6 * highest else INK)
        axes.set_xlabel("predicted" + (f"\n{NUMBERED}" if letters.numbered else ""))
        axes.set_ylabel("right label")
        axes.set_title("Confusion, share of each right label" if normalised else "Confusion, rows counted")
        save_png(figure, path)


def attribution_png(path: Path, tokens: Sequence[str], scores: Sequence[float], *, title: str) -> None:
    """A bar for each token: what it added to the score."""
    letters, heading = lettering(tokens, noun="token"), lettering([title], noun="label")
    with styled():
        figure, axes = new_figure(5.6, 1.2 + 0.2 * len(tokens))
        axes.barh(range(len(tokens)), scores, color=[COLOURS["c1"] if score >= 0 else COLOURS["c2"] for score in scores])
        axes.axvline(0, color=MUTED, linewidth=0.8)
        _name_rows(letters, axes, len(tokens))
        axes.tick_params(axis="y", labelsize=8)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("added to the logit, against the text with its words hidden")
        axes.set_title(heading.labels[0], family=heading.fonts)
        save_png(figure, path)


def attention_png(path: Path, tokens: Sequence[str], maps: Mapping[str, NDArray[np.float32]]) -> None:
    """maps: by title, [length, length], each row the token that looks. Tokens are named at the left and below alone: they are the same everywhere."""
    letters, length = lettering(tokens, noun="token"), len(tokens)
    columns = min(len(maps), 3)
    rows = -(-len(maps) // columns)
    side, names, head, gap = max(1.8, 0.12 * length), 0.075 * max(map(len, letters.labels)) + 0.2, 0.35, 0.2
    width, height = names + columns * (side + gap), names + rows * (side + head)
    with styled():
        figure = bare_figure(width, height)
        for place, (title, weights) in enumerate(maps.items()):
            row, column = divmod(place, columns)
            # Places are worked out here: matplotlib's own layout measures every name twice, and takes longer than all the rest.
            corner = (names + column * (side + gap), names + (rows - 1 - row) * (side + head))
            axes = figure.add_axes((corner[0] / width, corner[1] / height, side / width, side / height))
            axes.imshow(weights, cmap="cividis", vmin=0)
            axes.grid(visible=False)
            axes.set_title(title, fontsize=9)
            below = place + columns >= len(maps)
            axes.set_xticks(range(length) if below else [], letters.labels if below else [], rotation=90, fontsize=6, family=letters.fonts)
            axes.set_yticks(range(length) if not column else [], letters.labels if not column else [], fontsize=6, family=letters.fonts)
        save_png(figure, path)


def _name_rows(letters: Lettering, axes: Axes, count: int) -> None:
    """Labels of horizontal rows, the first one on top."""
    axes.set_yticks(range(count), letters.labels, family=letters.fonts)
    axes.set_ylim(count - 0.4, -0.6)

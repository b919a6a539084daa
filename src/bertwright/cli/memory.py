"""`bertwright memory`: what a training or a prediction will hold, before anything is allocated."""

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertwright.cli.options import Flag
from bertwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from bertwright.training.memory import Forecast

MB, GB = 10**6, 10**9


def memory(
    *,
    model: str,
    objective: str | None = None,
    micro_batch_size: int = 32,
    max_seq_length: int = 128,
    bf16: Flag = False,
    optimizer: Literal["muon", "adamw"] = "muon",
    gradient_checkpointing: Flag = False,
    vocab_size: int | None = None,
    card: str | None = None,
    plot: Path | None = None,
    json: Flag = False,
) -> None:
    """Show what a pass will hold in memory: parameters, gradients, optimizer, activations by part, and how it grows with length, rows and precision.

    The code that trains runs on tensors without memory, and what it would hold is counted: this takes seconds and next to no memory for any size.

    Args:
        model: a preset, such as bert-base, or a config.json.
        objective: what it is trained for, `predict` for a pass without training; by default the first that the model can learn.
        micro_batch_size: rows of a pass.
        max_seq_length: tokens a row.
        bf16: compute in bfloat16.
        optimizer: muon or adamw.
        gradient_checkpointing: keep each block's input alone and compute the rest again.
        vocab_size: entries of the vocabulary; by default those of the family's released models.
        card: a GPU, such as h100, a100-40 or 24GB: how many rows fit; without one, a CPU is meant.
        plot: a PNG to draw the growth into.
        json: one JSON object on standard output.
    """
    if plot is not None and plot.suffix.lower() != ".png":
        raise InputError(f"plot {plot}: give a name that ends with .png")
    from bertwright.training.memory import forecast

    found = forecast(
        model,
        objective=objective,
        rows=micro_batch_size,
        length=max_seq_length,
        bf16=bf16,
        optimizer=optimizer,
        gradient_checkpointing=gradient_checkpointing,
        vocab_size=vocab_size,
        card=card,
    )
    if plot is not None:
        _draw(found, plot)
    if json:
        print(json_format.dumps(found.as_json()))
    else:
        _show(found)


def _show(found: "Forecast") -> None:
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    console.print(found.title)
    console.print(", ".join(f"{size / MB:,.0f} MB {name}" for name, size in found.kinds().items()))
    by_rows = _growth([f"{rows:,} rows" for rows in found.rows], found.growth)
    by_length = _growth([f"{length:,} tokens" for length in found.lengths], found.by_length)
    for table in (_parts(found), by_rows, by_length):
        console.print()
        console.print(table)
    if found.card is not None:
        console.print()
        console.print(found.fits)


def _parts(found: "Forecast") -> "Table":
    table = _table("held at the fullest moment", "MB", "share")
    total = found.total
    for name, size in found.parts().items():
        table.add_row(name, f"{size / MB:,.0f}", f"{size / total:.1%}")
    table.add_row("all", f"{total / MB:,.0f}", f"{1:.0%}", style="bold")
    return table


def _growth(columns: "Sequence[str]", by_name: "Mapping[str, Sequence[int]]") -> "Table":
    table = _table("MB in all", *columns)
    for name, sizes in by_name.items():
        table.add_row(name, *(f"{size / MB:,.0f}" for size in sizes))
    return table


def _table(*headings: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    return table


def _draw(found: "Forecast", path: Path) -> None:
    from bertwright.reports.drawing import colour, dashes, new_panels, save_png, styled

    with styled():
        figure, panels = new_panels(11, 4.5, columns=2)
        shown = ((found.rows, found.growth, "rows of a pass"), (found.lengths, found.by_length, "tokens a row"))
        for axes, (places, growth, label) in zip(panels, shown, strict=True):
            for number, (name, sizes) in enumerate(growth.items()):
                axes.plot(places, [size / GB for size in sizes], dashes(number), color=colour(number), label=name, marker="o", markersize=3)
            axes.set(xlabel=label, ylabel="GB", ylim=(0, None))
            axes.legend(fontsize=8)
        figure.suptitle(found.title)
        save_png(figure, path)

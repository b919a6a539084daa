"""What a training did to other texts than its own: the losses of each, before and now."""

from collections.abc import Sequence

from bertwright.reports.content import Block, Cell, Table
from bertwright.reports.curves import Curve, Panel, series
from bertwright.reports.reading import RunFiles
from bertwright.training.texts import name_of


def measured_texts(run: RunFiles) -> dict[str, list[tuple[float, float]]]:
    """The held-out loss of each text by step, the run's own first; empty where the run measured no other."""
    given = run.config.get("also_evaluate") or ()
    names = [name_of(str(folder)) for folder in ([given] if isinstance(given, str) else given)]
    others = {name: points for name in names if (points := series(run.records, f"eval_{name}_loss"))}
    return {"its own text": series(run.records, "eval_loss"), **others} if others else {}


def forgetting_panels(run: RunFiles) -> list[Panel]:
    """One panel with a curve for each text; none where there is one text."""
    texts = measured_texts(run)
    curves = [Curve(name=name, points=points, number=place + 1) for place, (name, points) in enumerate(texts.items())]
    return [Panel(name="texts_loss", title="Loss on held-out text, its own and others (nats)", curves=curves)] if curves else []


def forgetting_table(run: RunFiles) -> Sequence[Block]:
    """Each text's loss at the first evaluation and at the last; nothing where there is one text."""
    rows: list[list[str | Cell]] = []
    for name, points in measured_texts(run).items():
        if points:
            (first, before), (last, now) = points[0], points[-1]
            rows.append([name, f"{before:.3f} (step {first:,.0f})", f"{now:.3f} (step {last:,.0f})", f"{now - before:+.3f}"])
    caption = "A loss that rises on another text is what is forgotten of it."
    return [Table(head=("held-out text", "loss before", "loss now", "change"), rows=rows, caption=caption)] if rows else []

"""The section of text generation: sources, targets and what was written."""

from bertwright.reports.classified import facts_of
from bertwright.reports.content import Block, Example, Examples, Line, Mark, Prose, Section
from bertwright.reports.predicted import Row, hardest
from bertwright.reports.reading import RunFiles
from bertwright.reports.wording import shortened

SHOWN, LONGEST = 6, 900


def written_sections(run: RunFiles, split: str) -> list[Section]:
    """The first texts, as a fair sample, and those of the highest loss; none where nothing was written."""
    rows = [row for row in run.predictions.get(split, ()) if row.get("source") is not None]
    if not rows:
        return []
    blocks: list[Block] = [Prose(f"The first {min(SHOWN, len(rows))} rows, as they come."), Examples([_example(row) for row in rows[:SHOWN]])]
    sections = [Section("What it writes", blocks)]
    hard = hardest(rows, SHOWN)
    return [*sections, Section("Hardest targets", [Prose("The rows with the highest loss."), Examples([_example(row) for row in hard])])] if hard else sections


def _example(row: Row) -> Example:
    target, written = row.get("label", row.get("target")), str((row.get("prediction") or {}).get("text", ""))
    good = target is not None and written.strip() == str(target).strip()
    lines = [
        Line.plain("source", shortened(str(row["source"]), LONGEST)),
        *([] if target is None else [Line(name="target", marks=[Mark(text=shortened(str(target), LONGEST), tone="right")])]),
        Line(name="written", marks=[Mark(text=shortened(written, LONGEST) or "nothing", tone="right" if good else "")]),
    ]
    return Example(lines=lines, badge="as the target" if good else "", good=good, facts=facts_of(row))

"""The page of a fine-tuning, in the order in which one asks: how good, on what, how learnt, where wrong, why, at what cost, how to use."""

from pathlib import Path

from bertwright.reports.account import cost_section, headline, settings_sections, trouble, use_section
from bertwright.reports.answered import answered_sections, chosen_sections
from bertwright.reports.classified import classified_sections
from bertwright.reports.content import Drawings, Section
from bertwright.reports.curves import Curve, Panel, draw_panels, metric_panels, series
from bertwright.reports.dataset import data_sections
from bertwright.reports.explained import explained_section
from bertwright.reports.pretrained import rate_panels
from bertwright.reports.reading import RunFiles
from bertwright.reports.tagged import tagged_sections
from bertwright.reports.valued import valued_sections
from bertwright.reports.written import written_sections


def finetuned_sections(run: RunFiles, figures: Path, *, examples: int) -> list[Section]:
    """All sections of a fine-tuning run; what a file would tell that is missing is left out, and said in the first."""
    sections = [Section("Result", [*trouble(run), *headline(run)]), *data_sections(run, figures)]
    if curves := draw_panels(_panels(run), figures=figures):
        sections.append(Section("Curves", [Drawings(curves)]))
    split = next((name for name in run.splits if run.predictions.get(name)), None)
    if split is not None:
        sections += [_of_split(section, split) for section in _by_task(run, split, figures)]
        sections += explained_section(run, split, figures, examples=examples)
    return [*sections, *cost_section(run, figures), *settings_sections(run), use_section(run)]


def _by_task(run: RunFiles, split: str, figures: Path) -> list[Section]:
    if run.task == "tag":
        return tagged_sections(run, split, figures)
    if run.task in ("regress", "embed"):
        return valued_sections(run, split, figures)
    if run.task == "answer":
        return answered_sections(run, split)
    if run.task == "choice":
        return chosen_sections(run, split)
    return written_sections(run, split) if run.task == "generate" else classified_sections(run, split, figures)


def _of_split(section: Section, split: str) -> Section:
    return Section(f"{section.title}, {split}", section.blocks)


def _panels(run: RunFiles) -> list[Panel]:
    best = run.part("training").get("best_step")
    loss = [
        Curve(name="training", points=series(run.trained, "loss"), number=0, dotted=True),
        Curve(name="validation", points=series(run.records, "eval_loss"), number=1),
    ]
    panels = [Panel(name="loss", title="Loss", curves=loss, best=best), *metric_panels(run.records, first=run.metric, best=best, most=4)]
    return [*panels, *rate_panels(run)]

"""One self-contained HTML file of a run, or of several side by side, with its figures as PNG beside it."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bertwright import __version__
from bertwright.checkpoints.files import write_text_atomic
from bertwright.errors import BertwrightError, InputError
from bertwright.reports.compared import compared_sections, swept_sections
from bertwright.reports.content import Page
from bertwright.reports.finetuned import finetuned_sections
from bertwright.reports.prepared import prepared_sections
from bertwright.reports.pretrained import pretrained_sections
from bertwright.reports.reading import RunFiles, read_run
from bertwright.reports.wording import TASKS
from bertwright.training.events import Event, Observer

EXAMPLES = 6  # examples explained, unless told


def write_report(run: Path, *, out: Path | None = None, examples: int = EXAMPLES) -> Path:
    """Writes the report of a run folder, a folder that `prepare` wrote, or a sweep; returns the page's path.

    out: by default report.html in the folder; the figures go into `figures` beside it. examples: how many are explained by attribution and attention, which
    loads the checkpoint and takes a few seconds each; 0 for none. Raises InputError for a folder that is none of them, BertwrightError when the system
    refuses to write.
    """
    path = run / "report.html" if out is None else out
    found = read_run(run)
    figures = path.parent / "figures"
    if found.kind == "finetune":
        sections = finetuned_sections(found, figures, examples=examples)
    elif found.kind == "pretrain":
        sections = pretrained_sections(found, figures)
    else:
        sections = prepared_sections(found, figures) if found.kind == "prepare" else swept_sections(found, figures)
    page = Page(title=found.name, subtitle=_subtitle(found), sections=sections)
    write_text_atomic(path, render(page))
    return path


def write_report_if_possible(run: Path, *, tell: Observer) -> Path | None:
    """As `write_report` at the end of a training, which does not fail for its report's sake: what keeps it from being written is told."""
    try:
        return write_report(run)
    except BertwrightError as error:
        tell(Event("note", 0, {"text": f"no report was written: {error}"}))
        return None


def write_comparison(runs: Sequence[Path], *, out: Path) -> Path:
    """Writes one page that lays runs side by side; the figures go into NAME_figures beside it. Raises as `write_report`, naming every folder that is none."""
    found, problems = list[RunFiles](), list[str]()
    for run in runs:
        try:
            found.append(read_run(run))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*problems)
    sections = compared_sections(found, out.parent / f"{out.stem}_figures", where=out.parent)
    write_text_atomic(out, render(Page(title=f"{len(found)} runs side by side", subtitle=", ".join(run.name for run in found), sections=sections)))
    return out


def render(page: Page) -> str:
    """The HTML of a page; it refers to nothing outside itself, and every text in it is escaped."""
    return _environment().get_template("page.html").render(page=page, version=__version__)


@cache
def _environment() -> Environment:
    loader = PackageLoader("bertwright.reports")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["drawn"] = Markup  # only for what this project's own code drew
    environment.filters["percent"] = lambda share: f"{100 * min(max(share, 0.0), 1.0):.2f}%"
    return environment


def _subtitle(run: RunFiles) -> str:
    if run.kind == "prepare":
        return "a text, prepared"
    if run.kind == "sweep":
        keys = run.sweep.get("keys") or {}
        return "several runs: " + "; ".join(f"{key} {', '.join(map(str, values))}" for key, values in keys.items())
    begun = run.config.get("checkpoint") or run.config.get("init_from") or run.config.get("model")
    if run.kind == "pretrain":
        return f"pre-training{f' of {_short(begun)}' if begun else ''}"
    what = TASKS.get(run.task or "", "fine-tuning")
    data = run.config.get("glue") or run.config.get("train")
    return f"{what}{f' of {Path(str(data)).name}' if data else ''}{f', from {_short(begun)}' if begun else ''}"


def _short(checkpoint: object) -> str:
    """The last two parts of a path, as long as a name on the hub."""
    return "/".join(Path(str(checkpoint)).parts[-2:])

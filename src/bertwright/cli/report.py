"""`bertwright report`: one HTML page of a run, or of several side by side."""

from pathlib import Path

from bertwright.errors import InputError

EXAMPLES = 6


def report(runs: list[Path], /, *, out: Path | None = None, examples: int = EXAMPLES) -> None:
    """Write a page that shows a run: results, data, curves, errors, what they rest on, cost, settings. It opens offline.

    Of several runs on one data set it lays results, curves and differences of the settings side by side.

    Args:
        runs: a folder that finetune, pretrain or prepare wrote, or one with several runs of a command; or several run folders.
        out: the page; by default report.html in the folder, with its figures as PNG in figures/ beside it. Needed for several runs.
        examples: how many examples to explain by attribution and attention; 0 leaves the checkpoint alone.
    """
    problems = []
    if examples < 0:
        problems.append(f"examples is {examples}: it must be at least 0")
    if len(runs) > 1 and out is None:
        problems.append(f"{len(runs)} runs side by side need a page to be written to: give --out FILE.html")
    if out is not None and (out.is_dir() or out.suffix.lower() not in (".html", ".htm")):
        problems.append(f"--out {out} is no page: give the name of an .html file")
    if problems:
        raise InputError(*problems)
    from bertwright.reports.page import write_comparison, write_report

    written = write_report(runs[0], out=out, examples=examples) if len(runs) == 1 else write_comparison(runs, out=out or Path("report.html"))
    print(written)

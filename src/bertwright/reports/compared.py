"""Several runs side by side: of one command (a sweep), or of any on one data set."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bertwright.errors import InputError
from bertwright.reports.content import Block, Box, Boxes, Cell, Drawings, Notes, Prose, Section, Table
from bertwright.reports.curves import Curve, Panel, draw_panels, series
from bertwright.reports.drawing import key_of
from bertwright.reports.reading import SPLITS, RunFiles, read_run
from bertwright.reports.wording import bounds, flattened, interval, named, number, seconds, setting, size, ticks, titled
from bertwright.training.judging import LOWER_IS_BETTER

# Differences that say nothing of what was trained.
NOT_TOLD = ("out", "dry_run", "resume_from_checkpoint", "verify", "tensorboard", "logging_steps")
# Settings that say what was trained and measured on.
OF_THE_DATA = ("train", "validation", "test", "glue", "task")
MOST_CURVES = 12


def compared_sections(runs: Sequence[RunFiles], figures: Path, *, where: Path) -> list[Section]:
    """Metrics with intervals, curves together and differences of the settings. where: the folder of the page, for links.

    Raises InputError where runs of several kinds, or of prepare, are given.
    """
    kinds = {run.kind for run in runs}
    if len(kinds) > 1 or not kinds <= {"finetune", "pretrain"}:
        told = ", ".join(f"{run.path} is of {run.kind}" for run in runs)
        raise InputError(f"runs of one kind can be laid side by side, of finetune or of pretrain: {told}")
    names = _names(runs)
    warnings = _unlike(runs, names)
    blocks: list[Block] = [Notes(warnings, "warning")] if warnings else []
    blocks += _measured(runs, names, where) if kinds == {"finetune"} else _pretrained(runs, names, where)
    sections = [Section("Results", blocks)]
    if curves := draw_panels(_panels(runs, names), figures=figures):
        more = [Prose(f"The curves of the first {MOST_CURVES} runs.")] if len(runs) > MOST_CURVES else []
        shared = [(key_of(number), name) for number, name in enumerate(names[:MOST_CURVES])]
        sections.append(Section("Curves", [*more, Drawings([replace(curve, keys=()) for curve in curves], keys=shared)]))
    sections.append(Section("Differences in the settings", _differences(runs, names)))
    return [*sections, *_costs(runs, names)]


def swept_sections(run: RunFiles, figures: Path) -> list[Section]:
    """The summary of several seeds or values, then their runs side by side."""
    sweep = run.sweep
    metric = str(sweep.get("metric") or "")
    blocks: list[Block] = [_summary(sweep, metric)]
    if spread := _spread(sweep, metric):
        blocks.insert(0, spread)
    found, gone = list[RunFiles](), list[str]()
    for one in sweep.get("runs") or ():
        folder = run.path / str(one.get("folder") or one.get("name"))
        folder = folder if folder.is_dir() else Path(str(one.get("folder")))
        try:
            found.append(read_run(folder))
        except InputError as error:
            gone += error.problems
    if gone:
        blocks.append(Notes(gone, "warning"))
    return [Section("Summary", blocks), *(compared_sections(found, figures, where=run.path) if found else [])]


def _summary(sweep: Mapping[str, Any], metric: str) -> Table:
    summary = [one for one in sweep.get("summary") or () if isinstance(one, Mapping)]
    keys = list(dict.fromkeys(key for one in summary for key in one.get("values") or {}))
    splits = [name for name in SPLITS if any(name in (one.get("metrics") or {}) for one in summary)]
    names = list(dict.fromkeys(name for one in summary for split in splits for name in (one["metrics"].get(split) or {})))
    names = [name for name in names if name == metric] + [name for name in names if name != metric and name != "loss"][:3]
    head = [*(keys or ["setting"]), "runs", *(f"{named(name)}, {split}" for split in splits for name in names)]
    rows: list[list[str | Cell]] = []
    for one in summary:
        values = one.get("values") or {}
        cells = [one["metrics"].get(split, {}).get(name) or {} for split in splits for name in names]
        runs = max((int(cell.get("n") or 0) for cell in cells), default=0)
        rows.append([*([setting(values.get(key)) for key in keys] or ["all runs"]), f"{runs}", *(_spread_text(cell) for cell in cells)])
    return Table(head=head, rows=rows, words=frozenset(range(max(len(keys), 1))), caption="Mean and standard deviation over the runs of each setting")


def _spread_text(cell: Mapping[str, Any]) -> str:
    if cell.get("mean") is None:
        return "–"
    return number(cell["mean"], 4) + (f" ± {number(cell['std'], 3)}" if cell.get("std") is not None and int(cell.get("n") or 0) > 1 else "")


def _spread(sweep: Mapping[str, Any], metric: str) -> Boxes | None:
    """The main metric of each setting: its mean, one standard deviation to either side."""
    rows: list[tuple[str, float, float]] = []
    for one in sweep.get("summary") or ():
        for split in SPLITS:
            cell = (one.get("metrics") or {}).get(split, {}).get(metric)
            if cell and cell.get("mean") is not None:
                label = ", ".join(f"{key} {setting(value)}" for key, value in (one.get("values") or {}).items()) or "all runs"
                rows.append((f"{label}, {split}", float(cell["mean"]), float(cell.get("std") or 0.0)))
    if not rows:
        return None
    ranges = [(label, mean - std, mean, mean + std, _spread_text({"mean": mean, "std": std, "n": 2})) for label, mean, std in rows]
    return _ranges(f"{titled(named(metric))}: mean and standard deviation", ranges)


def _ranges(title: str, rows: Sequence[tuple[str, float, float, float, str]]) -> Boxes:
    """Ranges on an axis that fits them: label, low, value, high, text."""
    low, high = min(row[1] for row in rows), max(row[3] for row in rows)
    room = 0.08 * (high - low) or max(abs(high), 1e-6) * 0.05
    low, high = low - room, high + room

    def at(value: float) -> float:
        return (value - low) / (high - low)

    boxes = []
    for label, first, value, last, text in rows:
        boxes.append(Box(label=label, low=at(first), first=at(first), middle=at(value), third=at(last), high=at(last), text=text))
    return Boxes(title=title, boxes=boxes, ticks=ticks(low, high))


def _names(runs: Sequence[RunFiles]) -> list[str]:
    """A short name for each run: its folder's, with as many of the folders above as tell it from the others."""
    parts = [run.path.resolve().parts for run in runs]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{'/'.join(part[-1:])} ({place})" for place, part in enumerate(parts, 1)]


def _unlike(runs: Sequence[RunFiles], names: Sequence[str]) -> list[str]:
    """A line for each thing by which the runs cannot be compared."""
    lines = []
    tasks = {name: run.task for name, run in zip(names, runs, strict=True)}
    if len(set(tasks.values())) > 1:
        lines.append("the runs have different tasks: " + ", ".join(f"{name} {task}" for name, task in tasks.items()))
    for split in SPLITS:
        rows = {name: run.measured(split).get("rows") for name, run in zip(names, runs, strict=True) if run.measured(split)}
        if len(set(rows.values())) > 1:
            told = ", ".join(f"{name} {number(count)}" for name, count in rows.items())
            lines.append(f"the {split} rows are not the same, so their numbers do not compare: {told}")
    for key in OF_THE_DATA:
        values = {str(run.config[key]) for run in runs if run.config.get(key) is not None}
        if len(values) > 1:
            lines.append(f"the runs have different {key}: {', '.join(sorted(values))}")
    return lines


def _measured(runs: Sequence[RunFiles], names: Sequence[str], where: Path) -> list[Block]:
    splits = [split for split in SPLITS if any(run.measured(split) for run in runs)]
    if not splits:
        return [Prose("None of the runs has results.json.")]
    metric = next((run.metric for run in runs if run.metric), None)
    blocks: list[Block] = []
    for split in splits:
        rows = []
        for run, name in zip(runs, names, strict=True):
            value = run.numbers(split, "metrics").get(metric or "")
            if isinstance(value, int | float):
                ends = bounds(run.numbers(split, "intervals").get(metric or ""))
                low, high = ends or (float(value), float(value))
                rows.append((name, low, float(value), high, number(value, 4) + (f", {interval(ends)}" if ends else "")))
        if rows and metric:
            blocks.append(_ranges(f"{titled(named(metric))}, {split}, with 95% intervals", rows))
        known = list(dict.fromkeys(name for run in runs for name in run.numbers(split, "metrics")))
        known = [name for name in known if name == metric] + [name for name in known if name != metric]
        table: list[list[str | Cell]] = []
        for run, name in zip(runs, names, strict=True):
            values = run.numbers(split, "metrics")
            table.append([_link(run, name, where), *(Cell(text=number(values.get(key)), strong=_is_best(runs, split, key, values.get(key))) for key in known)])
        blocks.append(Table(head=("run", *map(named, known)), rows=table, caption=f"{split}; the best of each column is bold"))
    return blocks


def _is_best(runs: Sequence[RunFiles], split: str, key: str, value: Any) -> bool:
    known = [other for run in runs if isinstance(other := run.numbers(split, "metrics").get(key), int | float)]
    return len(known) > 1 and value is not None and value == (min(known) if key in LOWER_IS_BETTER else max(known))


def _pretrained(runs: Sequence[RunFiles], names: Sequence[str], where: Path) -> list[Block]:
    ends = [run.last("evaluate") for run in runs]
    keys = list(dict.fromkeys(key for end in ends for key in end if key.startswith("eval_")))
    rows: list[list[str | Cell]] = []
    for run, name, end in zip(runs, names, ends, strict=True):
        rows.append([_link(run, name, where), *(number(end.get(key)) for key in keys)])
    return [Table(head=("run", *map(named, keys)), rows=rows, caption="Last evaluation")] if keys else [Prose("None of the runs was evaluated.")]


def _link(run: RunFiles, name: str, where: Path) -> Cell:
    try:
        href = (run.path.resolve() / "report.html").relative_to(where.resolve()).as_posix()
    except ValueError:
        href = None
    return Cell(text=name, href=href if href and (run.path / "report.html").exists() else None)


def _panels(runs: Sequence[RunFiles], names: Sequence[str]) -> list[Panel]:
    shown = list(zip(runs, names, strict=True))[:MOST_CURVES]

    def curves(key: str, *, dotted: bool = False) -> list[Curve]:
        return [Curve(name=name, points=series(run.records, key), number=number, dotted=dotted, plain=dotted) for number, (run, name) in enumerate(shown)]

    metrics = dict.fromkeys(key for run, _ in shown for record in run.records if record.get("kind") == "evaluate" for key in record)
    metric = next((run.metric for run, _ in shown if run.metric), None)
    wanted = [key for key in (f"eval_{metric}", "eval_loss", "eval_mlm_loss", "eval_mlm_accuracy", "eval_accuracy", "eval_f1_macro") if key in metrics]
    panels = [Panel(name=f"runs_{key}", title=f"{titled(named(key))}, held out", curves=curves(key)) for key in dict.fromkeys(wanted)]
    if len(metrics.keys() & {"eval_loss", "eval_mlm_loss"}) == 2:
        panels = [panel for panel in panels if panel.name != "runs_eval_loss"]
    trained = Panel(name="runs_loss", title="Training loss, smoothed", curves=curves("loss", dotted=True))
    return [*panels, trained, Panel(name="runs_learning_rate", title="Learning rate", curves=curves("learning_rate"))]


def _differences(runs: Sequence[RunFiles], names: Sequence[str]) -> list[Block]:
    flat = [flattened(run.config) for run in runs]
    keys = [key for key in dict.fromkeys(key for one in flat for key in one) if key not in NOT_TOLD and len({setting(one.get(key)) for one in flat}) > 1]
    if not keys:
        return [Prose("Their settings are the same.")]
    rows = [[key, *(setting(one.get(key)) for one in flat)] for key in keys]
    return [Table(head=("key", *names), rows=rows, words=frozenset(range(len(names) + 1)))]


def _costs(runs: Sequence[RunFiles], names: Sequence[str]) -> list[Section]:
    rows = []
    for run, name in zip(runs, names, strict=True):
        training = run.part("training")
        last = run.last("train")
        speed = training.get("tokens_per_second")
        took = training.get("seconds", last.get("seconds"))
        steps = number(training.get("steps", last.get("step")))
        rows.append([name, seconds(took), steps, f"{speed:,.0f}" if speed else "–", size(training.get("peak_memory_bytes"))])
    return [Section("Time and memory", [Table(head=("run", "time", "steps", "tokens a second", "peak memory"), rows=rows)])]

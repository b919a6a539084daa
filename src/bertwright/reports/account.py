"""The sections that every training has: its numbers at the head, what it cost, its settings, its surroundings, and how to use it."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertwright.reports.content import Block, Box, Boxes, Cell, Code, Drawings, Folded, Notes, Prose, Section, Table, Tile, Tiles
from bertwright.reports.curves import Curve, Panel, draw_panels, series
from bertwright.reports.reading import RunFiles
from bertwright.reports.wording import TASKS, bounds, flattened, interval, many, named, number, seconds, setting, size, ticks, titled
from bertwright.training.card import served
from bertwright.training.judging import LOWER_IS_BETTER

# What a shell is given to predict; tabs part what has several parts.
ASKED = {
    "fill": "'some text with a [MASK] in it'",
    "answer": r"$'a question?\ta text that answers it'",
    "choice": r"$'a text\tone choice\tanother'",
}
ASKED_ELSE = "'some text'"
# What a pre-training's model is for where it fills no masks, as `served` knows it, by objective.
USES = {"rtd": "encode", "contrastive": "embed", **dict.fromkeys(("clm", "span_corruption", "prefix_lm", "denoising"), "generate")}


def headline(run: RunFiles) -> list[Block]:
    """The main numbers with their intervals, beside the answer that reads nothing."""
    tiles, shown, blocks = list[Tile](), list[str](), list[Block]()
    for split in run.splits:
        metrics = run.numbers(split, "metrics")
        wanted = [name for name in dict.fromkeys((run.metric or "", *_second(metrics))) if name in metrics][: 2 if len(run.splits) > 1 else 3]
        for name in wanted:
            ends, baseline = interval(run.numbers(split, "intervals").get(name)), run.numbers(split, "baseline").get(name)
            notes = [f"95%: {ends}"] if ends else []
            notes += [f"without reading: {number(baseline, 3)}"] if baseline is not None else []
            tiles.append(Tile(name=f"{titled(named(name))}, {split}", value=number(metrics[name], 4), notes=notes))
        shown += [split] if metrics else []
    if not shown:
        last = run.last("evaluate")
        tiles = [Tile(name=f"{titled(named(key))}, last evaluation", value=number(value)) for key, value in last.items() if key.startswith("eval_")][:4]
    if tiles:
        blocks.append(Tiles(tiles))
    if shown:
        blocks += [*_intervals(run, shown[0]), Folded("All metrics", [_metrics(run, shown)])]
    return blocks or [Prose("Nothing was measured yet.")]


def _second(metrics: Mapping[str, Any]) -> list[str]:
    return [name for name in ("accuracy", "f1_macro", "f1", "mcc", "spearman", "pearson", "exact_match", *metrics) if name != "loss"]


def _intervals(run: RunFiles, split: str) -> list[Block]:
    """The metrics of a split of which more is better and 1 the best, on one axis with interval and baseline; none where there are no intervals."""
    rows: list[tuple[str, float, tuple[float, float], float | None]] = []
    for name, value in run.numbers(split, "metrics").items():
        ends, baseline = bounds(run.numbers(split, "intervals").get(name)), run.numbers(split, "baseline").get(name)
        if name not in LOWER_IS_BETTER and ends is not None and isinstance(value, int | float) and ends[0] >= -1 and ends[1] <= 1:
            rows.append((titled(named(name)), float(value), ends, float(baseline) if isinstance(baseline, int | float) else None))
    if not rows:
        return []
    lowest = min([0.0, *(ends[0] for _, _, ends, _ in rows)])
    boxes = []
    for label, value, ends, baseline in rows:
        first, middle, last = ((one - lowest) / (1 - lowest) for one in (ends[0], value, ends[1]))
        mark = (baseline - lowest) / (1 - lowest) if baseline is not None and lowest <= baseline <= 1 else None
        boxes.append(Box(label=label, low=first, first=first, middle=middle, third=last, high=last, text=number(value, 3), mark=mark))
    legend = "Bar: 95% interval over resampled rows; line: the value; diamond: what the answer that reads nothing reaches."
    return [Boxes(title=f"Metrics with their intervals, {split}", boxes=boxes, ticks=ticks(lowest, 1.0), legend=legend)]


def _metrics(run: RunFiles, splits: list[str]) -> Block:
    names = list(dict.fromkeys(name for split in splits for name in run.numbers(split, "metrics")))
    head = ["metric", *(part for split in splits for part in (split, "95%", "without reading"))]
    rows: list[list[str | Cell]] = []
    for name in names:
        row: list[str | Cell] = [Cell(text=named(name), strong=name == run.metric)]
        for split in splits:
            value, ends, baseline = (run.numbers(split, part).get(name) for part in ("metrics", "intervals", "baseline"))
            row += [number(value), interval(ends) or "–", number(baseline, 3)]
        rows.append(row)
    rows.append(["rows", *(part for split in splits for part in (number(run.measured(split).get("rows")), "", ""))])
    return Table(head=head, rows=rows)


def cost_section(run: RunFiles, figures: Path) -> list[Section]:
    """Throughput, memory, time."""
    training, model = run.part("training"), run.part("model")
    last = run.last("train")
    took, tokens = training.get("seconds", last.get("seconds")), training.get("tokens", last.get("tokens"))
    speed = training.get("tokens_per_second") or (tokens / took if took and tokens else None)
    tiles = [
        Tile(name="time", value=seconds(took), notes=[f"{many(int(training.get('steps', last.get('step', 0))), 'step')}"]) if took is not None else None,
        Tile(name="tokens a second", value=f"{speed:,.0f}", notes=[f"{tokens:,.0f} tokens read" if tokens else ""]) if speed else None,
        Tile(name="peak memory", value=size(training["peak_memory_bytes"])) if training.get("peak_memory_bytes") else None,
        Tile(name="parameters", value=_millions(model["parameters"]), notes=[_shape(model)]) if model.get("parameters") else None,
        Tile(name="best checkpoint", value=f"step {training['best_step']:,}", notes=[_epoch(training)]) if training.get("best_step") is not None else None,
    ]
    panels = [
        Panel(name="throughput", title="Tokens a second", curves=[Curve(name="tokens a second", points=series(run.trained, "tokens_per_second"), dotted=True)])
    ]
    drawings = draw_panels(panels, figures=figures)
    blocks: list[Block] = [Tiles([tile for tile in tiles if tile is not None])] if any(tiles) else []
    return [Section("Time and memory", [*blocks, *([Drawings(drawings)] if drawings else [])])] if blocks or drawings else []


def settings_sections(run: RunFiles) -> list[Section]:
    """Config and environment."""
    found = []
    if run.config:
        rows = [[key, setting(value)] for key, value in flattened(run.config).items()]
        given = [row for row in rows if row[1] != "–"]
        blocks: list[Block] = [Table(head=("key", "value"), rows=given, words=frozenset({0, 1}))]
        if unset := [row[0] for row in rows if row[1] == "–"]:
            blocks.append(Folded("Not set", [Prose(", ".join(unset))]))
        found.append(Section("Settings", [Folded("Every key", blocks)]))
    if environment := run.part("environment"):
        rows = [[key, setting(value)] for key, value in flattened(environment).items()]
        found.append(Section("Environment", [Table(head=("what", "which"), rows=rows, words=frozenset({0, 1}))]))
    return found


def use_section(run: RunFiles) -> Section:
    """How to load the model: this project, transformers or sentence-transformers, the command line."""
    name, task = str(run.path), run.task if run.task in TASKS else _pretrained_for(run)
    several = task == "classify" and any(isinstance(row.get("label"), list) for rows in run.predictions.values() for row in rows)
    use = served(task, several=several)
    blocks: list[Block] = [Code(use.our_code(name), "Python")]
    if "CLASS" not in use.theirs:  # which the checkpoint alone knows
        blocks.append(Code(use.their_code(f"{name}/checkpoints/{_best(run)}", name=""), use.package.replace("_", "-")))
    folder = shlex.quote(name)
    line = f"bertwright finetune {folder} labelled.csv --out runs/b" if task == "encode" else f"bertwright predict {folder} {ASKED.get(task, ASKED_ELSE)}"
    blocks.append(Code(f"{line}\nbertwright summary {folder}", "Command line"))
    return Section("How to load it", blocks)


def _pretrained_for(run: RunFiles) -> str:
    objective, last = run.config.get("objective"), run.last("train")
    if objective == "distill" and last and "mlm_loss" not in last:  # from relations or hidden states alone, which needs no head
        return "encode"
    return USES.get(str(objective), "fill")


def trouble(run: RunFiles) -> list[Block]:
    """What could not be read, and which files are missing."""
    missing = []
    if run.kind == "finetune":
        there = {"results.json": run.results, "data.json": run.data, "metrics.jsonl": run.records, "predictions/": run.predictions}
        missing = [f"{name} is missing: what it would tell is left out here" for name, content in there.items() if not content]
    lines = [*run.notes, *missing]
    return [Notes(lines, "warning")] if lines else []


def _best(run: RunFiles) -> str:
    for pointer in ("best", "latest"):
        file = run.path / pointer
        if file.is_file() and (name := file.read_text(encoding="utf-8", errors="replace").strip()):
            return name
    return "step-000000"


def _millions(count: float) -> str:
    return f"{count / 1e6:,.1f} M" if count >= 1e6 else f"{count:,.0f}"


def _shape(model: Mapping[str, Any]) -> str:
    parts = [
        str(model.get("family") or ""),
        f"{model['layers']} layers" if model.get("layers") else "",
        f"{model['hidden_size']} wide" if model.get("hidden_size") else "",
    ]
    return ", ".join(filter(None, parts))


def _epoch(training: Mapping[str, Any]) -> str:
    return f"epoch {number(training['best_epoch'], 3)}" if training.get("best_epoch") is not None else ""

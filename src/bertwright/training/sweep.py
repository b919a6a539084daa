"""Several runs of one training, each in a folder of its own, compared at the end; imports no torch."""

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bertwright.checkpoints.files import write_text_atomic
from bertwright.errors import InputError
from bertwright.readable import metric
from bertwright.training.events import Event, Observer
from bertwright.training.finetune_config import FinetuneResult
from bertwright.training.grid import combinations
from bertwright.training.judging import LOWER_IS_BETTER
from bertwright.training.out_folder import refuse_other_folders

Metrics = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Run:
    """One run of a sweep: its name, its folder's name in the sweep's, the values that it was given, its metrics by split and name."""

    name: str
    folder: str
    values: Mapping[str, Any]
    metrics: Metrics


@dataclass(frozen=True)
class Summary:
    """Runs that differ in their seed alone. metrics: by split and name, {"mean", "std" (of the sample; 0 of one run), "n"}."""

    values: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class Comparison:
    """What a sweep found. keys: the values of each; metric: that the runs are judged by; runs in the order of their values."""

    out: Path
    keys: Mapping[str, Sequence[Any]]
    metric: str | None
    runs: Sequence[Run]

    @property
    def summary(self) -> list[Summary]:
        """Mean and spread over the seeds, for each combination of the other values."""
        groups: dict[str, list[Run]] = {}
        for run in self.runs:
            groups.setdefault(_name(_without_seed(run.values)), []).append(run)
        return [Summary(_without_seed(runs[0].values), _spread([run.metrics for run in runs])) for runs in groups.values()]

    def to_json(self) -> dict[str, Any]:
        """As sweep.json holds it."""
        keys = {key: list(values) for key, values in self.keys.items()}
        return {"keys": keys, "metric": self.metric, "runs": [asdict(run) for run in self.runs], "summary": [asdict(part) for part in self.summary]}

    def lines(self) -> list[str]:
        """One table for a terminal: a line for each combination of values, with mean and spread over its seeds; the best on validation is marked."""
        summary, best = self.summary, self.best()
        columns = [(split, name) for split in ("validation", "test") for name in self._shown(split)]
        several = any(part.metrics[split][name]["n"] > 1 for part in summary for split, name in columns if name in part.metrics.get(split, {}))
        rows = [["", "runs", *(f"{split} {name}" for split, name in columns)]]
        for part in summary:
            cells = [_cell(part.metrics.get(split, {}).get(name), several=several) for split, name in columns]
            runs = max((values["n"] for split in part.metrics.values() for values in split.values()), default=0)
            rows.append(["*" if part == best and len(summary) > 1 else "", _name(part.values) or ("1 seed" if runs == 1 else f"{runs:g} seeds"), *cells])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join([*(cell.ljust(width) for cell, width in zip(row[:2], widths, strict=False)), *map(str.rjust, row[2:], widths[2:])]) for row in rows]
        notes = ["+- is the standard deviation over the seeds"] if several else []
        notes += [f"* the best on validation, by {self.metric}"] if best is not None and len(summary) > 1 else []
        return [line.rstrip() for line in [*table, *notes]]

    def best(self) -> Summary | None:
        """The combination with the best mean of the metric on validation."""
        judged = [part for part in self.summary if self.metric in part.metrics.get("validation", {})]
        choose = min if self.metric in LOWER_IS_BETTER else max
        return choose(judged, key=lambda part: part.metrics["validation"][self.metric or ""]["mean"], default=None)

    def _shown(self, split: str) -> list[str]:
        """Names of the metrics of a split: the one that runs are judged by, and the next few."""
        names = list(dict.fromkeys(name for part in self.summary for name in part.metrics.get(split, {})))
        return sorted(names, key=lambda name: name != self.metric)[: 3 if split == "validation" else 2]


def sweep(
    train_one: Callable[[Path, dict[str, Any]], FinetuneResult],
    *,
    out: str | Path,
    grid: Mapping[str, Sequence[Any]],
    observers: Sequence[Observer] = (),
    leads: bool = True,
) -> Comparison:
    """Trains once for each combination of the grid's values, in OUT/<key=value,...>, and compares what came out: in OUT/sweep.json, written after each run.

    train_one: (folder, values) -> its result. It goes on with what is in the folder, gives back what a finished run reached, and refuses one of another recipe;
    so those that have their results.json come first, before anything is trained. leads: whether this process writes and speaks.
    Raises InputError where the folder is no sweep's; and what `train_one` raises, after which the same sweep goes on.
    """
    if not grid:
        raise ValueError("a sweep needs a key with several values, or seeds")
    out = Path(out)
    refuse_other_folders(out)
    if (out / "checkpoints").exists():
        raise InputError(f"{out} holds a single run: take another --out for several")
    chosen = combinations(grid)
    before = [(out / _name(values) / "results.json").exists() for values in chosen]
    runs: dict[int, Run] = {}
    comparison = Comparison(out, dict(grid), None, ())
    for place in sorted(range(len(chosen)), key=lambda place: not before[place]):
        name = _name(chosen[place])
        text = f"run {place + 1} of {len(chosen)}: {name.replace(',', ', ')}" + (" (finished before)" if before[place] else "")
        for observer in observers if leads else ():
            observer(Event("note", 0, {"text": text}))
        result = train_one(out / name, chosen[place])
        runs[place] = Run(name, name, chosen[place], result.metrics)
        comparison = Comparison(out, dict(grid), result.details.get("metric"), tuple(runs[done] for done in sorted(runs)))
        if leads:
            write_text_atomic(out / "sweep.json", json.dumps(comparison.to_json(), indent=2, ensure_ascii=False) + "\n")
    return comparison


def _name(values: Mapping[str, Any]) -> str:
    """A folder's name for a combination of values; a value's own slashes and commas would part it."""
    return ",".join(f"{key}={str(value).translate({47: '_', 92: '_', 44: '_'})}" for key, value in values.items())


def _without_seed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "seed"}


def _spread(found: Sequence[Metrics]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean and deviation of each metric over the runs where it is a number."""
    spread: dict[str, dict[str, dict[str, float]]] = {}
    for split in dict.fromkeys(split for metrics in found for split in metrics):
        for name in dict.fromkeys(name for metrics in found for name in metrics.get(split, {})):
            values = [value for metrics in found if (value := metrics.get(split, {}).get(name)) is not None and math.isfinite(value)]
            if not values:
                continue
            deviation = statistics.stdev(values) if len(values) > 1 else 0.0
            spread.setdefault(split, {})[name] = {"mean": statistics.fmean(values), "std": deviation, "n": len(values)}
    return spread


def _cell(values: Mapping[str, float] | None, *, several: bool) -> str:
    if values is None:
        return "-"
    return metric(values["mean"]) + (f" +- {metric(values['std'])}" if several else "")

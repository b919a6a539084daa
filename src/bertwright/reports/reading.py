"""What lies in a run folder, read for a report: every file may be missing, and a damaged one is said, not fatal."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from bertwright.errors import InputError

Kind = Literal["finetune", "pretrain", "prepare", "sweep"]
# The splits in the order in which a report shows them: what nobody chose anything by comes first.
SPLITS = ("test", "validation")


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """The content of a folder. Mappings and lists are empty where a file is missing; notes: one line for each that is damaged.

    records: metrics.jsonl; data: data.json; predictions: by split, one object an example; samples: samples.jsonl, filled masks; corpus, shards: of a folder
    that `prepare` wrote; sweep: of several runs.
    """

    path: Path
    kind: Kind
    config: Mapping[str, Any] = field(default_factory=dict)
    records: tuple[Mapping[str, Any], ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    predictions: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    samples: tuple[Mapping[str, Any], ...] = ()
    corpus: Mapping[str, Any] = field(default_factory=dict)
    shards: Mapping[str, Any] = field(default_factory=dict)
    sweep: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The folder's name; of a run in a sweep, whose name says its values alone ("seed=0"), with the sweep's in front."""
        path = self.path.resolve()
        return f"{path.parent.name}/{path.name}" if "=" in path.name else path.name

    @property
    def task(self) -> str | None:
        """The task of a fine-tuning, where a file says it."""
        task = self.results.get("task") or self.config.get("task") or self.data.get("task")
        return None if task is None else str(task)

    @property
    def metric(self) -> str | None:
        """The metric that the best checkpoint was chosen by."""
        metric = self.results.get("metric") or self.config.get("metric")
        return None if metric is None else str(metric)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of their ids; those met in the predictions where no file names them."""
        if named := self.results.get("labels"):
            return tuple(map(str, named))
        met: dict[str, None] = {}
        for rows in self.predictions.values():
            for row in rows:
                met |= dict.fromkeys(row.get("prediction", {}).get("probabilities") or ())
        return tuple(met)

    @property
    def splits(self) -> list[str]:
        """The splits that were measured."""
        found = {**self.predictions, **mapping(self.results.get("splits"))}
        return [*(name for name in SPLITS if name in found), *(name for name in found if name not in SPLITS)]

    def measured(self, split: str) -> Mapping[str, Any]:
        """results.json on a split: rows, metrics, intervals, baseline; empty where it is missing."""
        return mapping(mapping(self.results.get("splits")).get(split))

    def numbers(self, split: str, part: str) -> Mapping[str, Any]:
        """The metrics of a split, their intervals or their baseline, by metric; empty where they are missing."""
        return mapping(self.measured(split).get(part))

    @property
    def trained(self) -> list[Mapping[str, Any]]:
        """The records of training steps."""
        return [record for record in self.records if record.get("kind", "train") == "train"]

    def last(self, kind: str) -> Mapping[str, Any]:
        """The last record of a kind, "train" or "evaluate"; empty where there is none."""
        return next((record for record in reversed(self.records) if record.get("kind") == kind), {})

    def part(self, name: str) -> Mapping[str, Any]:
        """An object of results.json, such as "training"; empty where it is missing."""
        return mapping(self.results.get(name))


def read_run(path: Path) -> RunFiles:
    """Reads a folder that finetune, pretrain, prepare or a sweep wrote. Raises InputError where it is none of them, naming what it holds instead."""
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise InputError(f"{path} {what}: give a folder that finetune, pretrain or prepare wrote")
    reader = _Reader(path)
    config, results, sweep = reader.config(), reader.json("results.json"), reader.json("sweep.json")
    records = reader.lines("metrics.jsonl")
    if not records and not results and not sweep and not (path / "shards.json").exists() and not (path / "predictions").is_dir():
        held = ", ".join(sorted(entry.name for entry in path.iterdir())[:5]) or "nothing"
        lacks = "nothing was trained in it yet" if config else f"it holds {held}"
        raise InputError(
            f"{path} has neither metrics.jsonl nor results.json, shards.json or sweep.json ({lacks}): give a folder that training or prepare wrote"
        )
    return RunFiles(
        path=path,
        kind=_kind(path, config, results, sweep),
        config=config,
        records=records,
        data=reader.json("data.json"),
        results=results,
        predictions={file.stem: reader.lines(f"predictions/{file.name}") for file in sorted((path / "predictions").glob("*.jsonl"))},
        samples=reader.lines("samples.jsonl"),
        corpus=reader.json("corpus.json"),
        shards=reader.json("shards.json"),
        sweep=sweep,
        notes=tuple(reader.notes),
    )


def _kind(path: Path, config: Mapping[str, Any], results: Mapping[str, Any], sweep: Mapping[str, Any]) -> Kind:
    if sweep:
        return "sweep"
    if (path / "shards.json").exists():
        return "prepare"
    return "finetune" if results or (path / "predictions").is_dir() or "train" in config or "task" in config else "pretrain"


def mapping(value: Any) -> Mapping[str, Any]:
    """A value that must be an object of JSON; empty where it is anything else."""
    return value if isinstance(value, Mapping) else {}


class _Reader:
    """Reads the files of a folder and notes what is wrong with each."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder, list[str]()

    def _text(self, name: str) -> str | None:
        try:
            return (self.folder / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            self.notes.append(f"{name} cannot be read ({error.strerror}), and what it says is missing here")
            return None

    def json(self, name: str) -> Mapping[str, Any]:
        text = self._text(name)
        if text is None:
            return {}
        try:
            found = json.loads(text)
        except ValueError as error:
            self.notes.append(f"{name} is no JSON ({error}), and what it says is missing here")
            return {}
        return mapping(found)

    def lines(self, name: str) -> tuple[Mapping[str, Any], ...]:
        """The objects of a file of JSON lines; those that cannot be read are counted."""
        found: list[Mapping[str, Any]] = []
        lost = 0
        for line in (self._text(name) or "").split("\n"):  # texts may hold the other marks that end a line for Python
            try:
                value = json.loads(line) if line.strip() else None
            except ValueError:
                value = 0
            if isinstance(value, Mapping):
                found.append(value)
            else:
                lost += value is not None
        if lost:
            self.notes.append(f"{lost} of the lines of {name} could not be read, and are missing here")
        return tuple(found)

    def config(self) -> Mapping[str, Any]:
        text = self._text("config.yaml")
        try:
            return mapping(yaml.safe_load(text or ""))
        except yaml.YAMLError as error:
            self.notes.append(f"config.yaml is no YAML ({str(error).splitlines()[0]}), and what it says is missing here")
            return {}

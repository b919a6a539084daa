"""A cool-down: a training goes on from one of its checkpoints, in a run of its own, while the learning rate falls from where it was to nothing."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bertwright.checkpoints.resolve import find_checkpoint
from bertwright.errors import InputError
from bertwright.training.config import PretrainConfig
from bertwright.training.schedule import Budget, Progress, Schedule
from bertwright.training.settings import BUDGETS, FREE_ON_RESUME, OF_THE_HARDWARE
from bertwright.training.state import read_progress

# Stages and ramps are over when a cool-down begins, and its weights are those of the checkpoint.
OVER = ("stages", "batch_size_ramp")
BEGUN = ("start", "extend_positions")
# What a cool-down may have its own: how long it lasts, and how it is watched.
OWN = {
    *BUDGETS,
    *FREE_ON_RESUME,
    *OF_THE_HARDWARE,
    *OVER,
    *BEGUN,
    "cooldown_from",
    "eval_steps",
    "eval_samples",
    "init_from",
}


@dataclass(frozen=True)
class Cooling:
    """checkpoint: what it goes on from; progress: how far that was; before: the config of its run."""

    checkpoint: Path
    progress: Progress
    before: PretrainConfig

    def budget(self, own: Budget) -> Budget:
        """The budget of the cool-down, counted on from the checkpoint."""
        return dataclasses.replace(own, start=self.progress.used(own.unit), seconds_before=self.progress.seconds)

    def schedule(self, whole: Budget) -> Schedule:
        """Down from the rate that the run had at the checkpoint; whole: the run's budget. Raises InputError where it had fallen to nothing."""
        before = self.before
        peak = Schedule(before.lr_scheduler_type, before.warmup_steps, before.decay_steps).factor(self.progress, whole)
        if peak <= 0:
            raise InputError(
                f"cooldown_from {self.checkpoint}: the learning rate had fallen to 0 there: take an earlier checkpoint, or begin anew from it with --init_from"
            )
        return Schedule("cooldown", peak=peak)


def as_before(config: PretrainConfig) -> tuple[PretrainConfig, Cooling | None]:
    """The config of a cool-down with all that its run had; any other as it is.

    Raises InputError where `cooldown_from` is no checkpoint of a pre-training, and with one line for each key that is given and was another.
    """
    if config.cooldown_from is None:
        return config, None
    folder = find_checkpoint(config.cooldown_from).folder
    before = _config_of(folder)
    usual, problems, kept = PretrainConfig(), list[str](), dict[str, Any]()
    for field in dataclasses.fields(PretrainConfig):
        key = field.name
        if key in OWN:
            continue
        value, given = getattr(before, key), getattr(config, key)
        kept[key] = value
        if given not in (getattr(usual, key), value):
            problems.append(f"{key} is {given} and was {value} in the run of {folder.name}: a cool-down goes on as its run did, leave it out")
    problems += [f"{key} is given with cooldown_from: it is over when a cool-down begins, leave it out" for key in OVER if getattr(config, key)]
    problems += [f"{key} is given with cooldown_from: a cool-down has the checkpoint's own weights, leave it out" for key in BEGUN if getattr(config, key)]
    if config.init_from not in (None, config.cooldown_from):
        problems.append(f"init_from is {config.init_from!r} and cooldown_from is {config.cooldown_from!r}: weights come from one of them, take one away")
    if problems:
        raise InputError(*problems)
    kept |= {"init_from": config.cooldown_from, "micro_batch_size": config.micro_batch_size or before.micro_batch_size}
    return dataclasses.replace(config, **kept), Cooling(folder, read_progress(folder), before)


def _config_of(folder: Path) -> PretrainConfig:
    path, names = folder.parent.parent / "config.yaml", {field.name for field in dataclasses.fields(PretrainConfig)}
    try:
        saved = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        saved = None
    if not isinstance(saved, dict) or "objective" not in saved:
        raise InputError(
            f"cooldown_from {folder}: it lies in no run of pretrain (no config.yaml that says how it was trained): give runs/NAME/checkpoints/STEP"
        )
    if saved.get("cooldown_from"):
        raise InputError(f"cooldown_from {folder}: it is of a cool-down itself: give a checkpoint of the run that it began from, {saved['cooldown_from']}")
    known: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in saved.items() if key in names}
    return PretrainConfig(**known)

"""What a run carries from step to step, and how it gets into a checkpoint and out again."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bertwright.architecture import Architecture
from bertwright.checkpoints.huggingface import empty_model, load_model, save_model
from bertwright.checkpoints.weights import read_tensors, write_tensors
from bertwright.errors import CheckpointError
from bertwright.families import Config, family_of
from bertwright.models import Model
from bertwright.text.tokenizer import Tokenizer
from bertwright.training.schedule import Progress
from bertwright.training.step import Updater

MASTERS = "masters.safetensors"  # the weights that are trained on, where model.safetensors has their average


@dataclass(frozen=True)
class TrainState:
    """Progress, the best evaluation so far, and the last one.

    best: what the run's judge said of it, lower is better; best_step: when it was (0: there was none); evaluations_since_best: how many came after it.
    """

    progress: Progress = field(default_factory=Progress)
    best: float = float("inf")
    best_step: int = 0
    evaluations_since_best: int = 0
    metrics: dict[str, float] = field(default_factory=dict)

    def judged(self, metrics: dict[str, float], value: float) -> tuple["TrainState", bool]:
        """The state after an evaluation of which the judge said `value`, and whether it is the best so far."""
        if value < self.best:
            return dataclasses.replace(self, metrics=metrics, best=value, best_step=self.progress.step, evaluations_since_best=0), True
        return dataclasses.replace(self, metrics=metrics, evaluations_since_best=self.evaluations_since_best + 1), False

    def to_json(self, updater: Updater) -> dict[str, Any]:
        """With the loss scale, which is not the state's own."""
        best = None if self.best == float("inf") else self.best
        return {**dataclasses.asdict(self), "best": best, "loss_scale": [updater.scale, updater.good_steps]}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "TrainState":
        """What `to_json` gave; also before it knew of more than the lowest loss."""
        best = saved.get("best", saved.get("best_loss"))
        since = {name: saved.get(name, 0) for name in ("best_step", "evaluations_since_best")}
        return cls(Progress(**saved["progress"]), best=float("inf") if best is None else best, metrics=saved["metrics"], **since)


@dataclass(frozen=True)
class CheckpointWriter:
    """Writes a run's checkpoints.

    kept: the model's config.json, whose keys stay; data: what identifies the text; card: the model card's text, from Hugging Face's class and the state;
    beside: writes what else belongs in the folder; max_length: tokens a text that the tokenizer's files tell of, None for the model's positions.
    """

    model: Model
    updater: Updater
    tokenizer: Tokenizer
    kept: Config
    data: dict[str, Any]
    card: Callable[[str, TrainState], str]
    beside: Callable[[Path], None] = lambda folder: None
    max_length: int | None = None

    def write(self, folder: Path, state: TrainState) -> None:
        """Fills a folder: a complete Hugging Face checkpoint in float32 with its card, and beside it what a resume needs."""
        family = family_of(self.kept)
        name = family.class_for(self.model.head_kinds)
        whole = empty_model(self.model.architecture, self.model.head_kinds)
        with self.updater.averaged():
            whole.load_state_dict(self.updater.parameters.state(), assign=True)
            save_model(whole, folder, config=self.kept, architecture_class=name)
        _for_model(self.tokenizer, self.model.architecture).save(folder, max_length=self.max_length or self.model.architecture.max_length)
        (folder / "README.md").write_text(self.card(name, state), encoding="utf-8")
        self.beside(folder)
        training = folder / "training"
        training.mkdir()
        write_tensors(training / "optimizer.safetensors", self.updater.optimizers.state())
        if self.updater.average is not None:  # model.safetensors has the average
            write_tensors(training / MASTERS, self.updater.average.masters())
        (training / "state.json").write_text(json.dumps({**state.to_json(self.updater), "data": self.data}, indent=2) + "\n", encoding="utf-8")


def _for_model(tokenizer: Tokenizer, architecture: Architecture) -> Tokenizer:
    """The tokenizer as its files should tell transformers: without type ids where the model cannot tell two texts apart by them."""
    if architecture.last.segments > 1:
        return tokenizer
    kept = {**tokenizer.origin.kept, "model_input_names": ["input_ids", "attention_mask"]}
    return dataclasses.replace(tokenizer, origin=dataclasses.replace(tokenizer.origin, kept=kept))


def read_checkpoint(folder: Path, updater: Updater) -> TrainState:
    """Puts a checkpoint's weights and optimizer back, in place. Raises CheckpointError when it is not one of a training."""
    saved, optimizer = _read_state(folder), read_tensors(folder / "training" / "optimizer.safetensors")
    weights = load_model(folder).model.state_dict()
    updater.parameters.load(weights)
    if updater.average is not None:
        updater.average.load(read_tensors(folder / "training" / MASTERS))
    updater.optimizers.load(optimizer)
    updater.scale, updater.good_steps = saved["loss_scale"]
    return TrainState.from_json(saved)


def read_data(folder: Path) -> dict[str, Any]:
    """What identifies the text that a checkpoint was trained on. Raises CheckpointError when it is not one of a training."""
    return dict(_read_state(folder)["data"])


def _read_state(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "training" / "state.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} cannot be resumed from ({error}): give a checkpoint that training wrote") from None

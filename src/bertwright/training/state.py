"""What a run carries from step to step, and how it gets into a checkpoint and out again."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from bertwright.architecture import Architecture
from bertwright.checkpoints.huggingface import empty_model, load_model, save_model
from bertwright.checkpoints.weights import read_tensors, write_tensors
from bertwright.errors import CheckpointError
from bertwright.families import Config, family_of
from bertwright.models import Model
from bertwright.objectives.together import Together
from bertwright.text.tokenizer import Tokenizer
from bertwright.training.schedule import Progress
from bertwright.training.step import Updater

MASTERS = "masters.safetensors"  # the weights that are trained on, where model.safetensors has their average
BESIDE = "beside.safetensors"  # what is trained along with the model, and is no part of it


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
        training = folder / "training"
        with self.updater.averaged():
            self._write_models(folder, training, name)
        _for_model(self.tokenizer, self.model.architecture).save(folder, max_length=self.max_length or self.model.architecture.max_length)
        (folder / "README.md").write_text(self.card(name, state), encoding="utf-8")
        self.beside(folder)
        write_tensors(training / "optimizer.safetensors", self.updater.optimizers.state())
        if self.updater.average is not None:  # model.safetensors has the average
            write_tensors(training / MASTERS, self.updater.average.masters())
        (training / "state.json").write_text(json.dumps({**state.to_json(self.updater), "data": self.data}, indent=2) + "\n", encoding="utf-8")

    def _write_models(self, folder: Path, training: Path, architecture_class: str) -> None:
        """The model; each one that is trained along in a folder of its name, which any program can load; and what of these a resume needs."""
        whole, state = self.updater.model, self.updater.parameters.state()
        training.mkdir(parents=True)
        if not isinstance(whole, Together):
            _save(self.model, state, folder, config=self.kept, architecture_class=architecture_class)
            return
        for name, own in whole.finished(state).items():
            if not name:
                _save(self.model, own, folder, config=self.kept, architecture_class=architecture_class)
                continue
            _save(whole.of(name), own, folder / name, config=self.kept, architecture_class=family_of(self.kept).class_for(whole.of(name).head_kinds))
            _for_model(self.tokenizer, whole.of(name).architecture).save(folder / name, max_length=self.max_length or self.model.architecture.max_length)
        if kept := whole.kept():
            write_tensors(training / BESIDE, {name: state[name] for name in kept})


def _save(model: Model, state: Mapping[str, Tensor], folder: Path, *, config: Config, architecture_class: str) -> None:
    whole = empty_model(model.architecture, model.head_kinds)
    whole.load_state_dict(state, assign=True)
    save_model(whole, folder, config=config, architecture_class=architecture_class)


def _for_model(tokenizer: Tokenizer, architecture: Architecture) -> Tokenizer:
    """The tokenizer as its files should tell transformers: without type ids where the model cannot tell two texts apart by them."""
    if architecture.last.segments > 1:
        return tokenizer
    kept = {**tokenizer.origin.kept, "model_input_names": ["input_ids", "attention_mask"]}
    return dataclasses.replace(tokenizer, origin=dataclasses.replace(tokenizer.origin, kept=kept))


def read_checkpoint(folder: Path, updater: Updater) -> TrainState:
    """Puts a checkpoint's weights and optimizer back, in place. Raises CheckpointError when it is not one of a training."""
    saved, optimizer = _read_state(folder), read_tensors(folder / "training" / "optimizer.safetensors")
    weights: dict[str, Tensor] = load_model(folder).model.state_dict()
    whole = updater.model
    if isinstance(whole, Together):
        beside = read_tensors(folder / "training" / BESIDE) if whole.kept() else {}
        # What is not trained was read from where it lies, and what two share has one name here: those tensors stay.
        weights = updater.parameters.state() | {f"model.{name}": tensor for name, tensor in weights.items()} | beside
    updater.parameters.load(weights)
    if updater.average is not None:
        updater.average.load(read_tensors(folder / "training" / MASTERS))
    updater.optimizers.load(optimizer)
    updater.scale, updater.good_steps = saved["loss_scale"]
    return TrainState.from_json(saved)


def read_progress(folder: Path) -> Progress:
    """How far a checkpoint's training was. Raises CheckpointError when it is not one of a training."""
    return TrainState.from_json(_read_state(folder)).progress


def read_data(folder: Path) -> dict[str, Any]:
    """What identifies the text that a checkpoint was trained on. Raises CheckpointError when it is not one of a training."""
    return dict(_read_state(folder)["data"])


def _read_state(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "training" / "state.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} cannot be resumed from ({error}): give a checkpoint that training wrote") from None

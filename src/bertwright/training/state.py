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


@dataclass(frozen=True)
class TrainState:
    """Progress, the lowest held-out loss so far, and the last evaluation."""

    progress: Progress = field(default_factory=Progress)
    best_loss: float = float("inf")
    metrics: dict[str, float] = field(default_factory=dict)

    def to_json(self, updater: Updater) -> dict[str, Any]:
        """With the loss scale, which is not the state's own."""
        best = None if self.best_loss == float("inf") else self.best_loss
        return {"progress": dataclasses.asdict(self.progress), "best_loss": best, "metrics": self.metrics, "loss_scale": [updater.scale, updater.good_steps]}


@dataclass(frozen=True)
class CheckpointWriter:
    """Writes a run's checkpoints.

    kept: the model's config.json, whose keys stay; data: what identifies the text; card: the model card's text, from Hugging Face's class and the state;
    beside: writes what else belongs in the folder.
    """

    model: Model
    updater: Updater
    tokenizer: Tokenizer
    kept: Config
    data: dict[str, Any]
    card: Callable[[str, TrainState], str]
    beside: Callable[[Path], None] = lambda folder: None

    def write(self, folder: Path, state: TrainState) -> None:
        """Fills a folder: a complete Hugging Face checkpoint in float32 with its card, and beside it what a resume needs."""
        family = family_of(self.kept)
        name = family.class_for(self.model.head_kinds)
        whole = empty_model(self.model.architecture, self.model.head_kinds)
        whole.load_state_dict(self.updater.parameters.state(), assign=True)
        save_model(whole, folder, config=self.kept, architecture_class=name)
        _for_model(self.tokenizer, self.model.architecture).save(folder, max_length=self.model.architecture.max_length)
        (folder / "README.md").write_text(self.card(name, state), encoding="utf-8")
        self.beside(folder)
        training = folder / "training"
        training.mkdir()
        write_tensors(training / "optimizer.safetensors", self.updater.optimizers.state())
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
    updater.optimizers.load(optimizer)
    updater.scale, updater.good_steps = saved["loss_scale"]
    best = float("inf") if saved["best_loss"] is None else saved["best_loss"]
    return TrainState(Progress(**saved["progress"]), best, saved["metrics"])


def read_data(folder: Path) -> dict[str, Any]:
    """What identifies the text that a checkpoint was trained on. Raises CheckpointError when it is not one of a training."""
    return dict(_read_state(folder)["data"])


def _read_state(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "training" / "state.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} cannot be resumed from ({error}): give a checkpoint that training wrote") from None

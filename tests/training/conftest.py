"""A training of a tiny model in a run folder, with whatever a loop and an updater can be given, to be stopped and gone on with."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from bertwright.checkpoints.run_folder import RunFolder
from bertwright.data.samples import Vocabulary
from bertwright.data.shards import TokenShards
from bertwright.data.stream import Stream
from bertwright.families.bert import BERT
from bertwright.models import Model
from bertwright.objectives.mlm import MaskedLanguageModel
from bertwright.text.tokenizer import Tokenizer
from bertwright.training.config import PretrainConfig
from bertwright.training.devices import Device
from bertwright.training.events import Event, Watchers
from bertwright.training.loop import Loop
from bertwright.training.schedule import Budget
from bertwright.training.signals import Signals
from bertwright.training.state import CheckpointWriter, TrainState, read_checkpoint
from bertwright.training.step import Updater

CONFIG = PretrainConfig(optimizer="adamw", learning_rate=1e-2, batch_size=4, micro_batch_size=3, seed=3, eval_steps=2)
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 32}


class Stopped(Exception):
    """What ends a TinyRun right after the checkpoint that it was told of."""


class TinyRun:
    """Trains a BERT of two layers with dropout, evaluated every two steps, from the folder's newest checkpoint if it has one."""

    def __init__(self, shards: TokenShards, vocabulary: Vocabulary, tokenizer: Tokenizer, folder: Path) -> None:
        self.shards, self.vocabulary, self.tokenizer, self.folder = shards, vocabulary, tokenizer, folder
        self.told: list[Event] = []
        self.updater: Updater

    def train(
        self,
        *,
        evaluate: Callable[["TinyRun"], dict[str, float]] = lambda run: {},
        steps: int = 8,
        stop_at: int = 0,
        dtype: torch.dtype = torch.float32,
        extras: Mapping[str, Any] | None = None,
        **loop: Any,
    ) -> TrainState:
        """extras: for the updater; the rest for the loop. Raises Stopped after the checkpoint of step `stop_at`."""
        torch.manual_seed(0)
        kept = {"model_type": "bert", "vocab_size": self.vocabulary.size, "pad_token_id": 0, **SIZES}
        objective = MaskedLanguageModel(self.vocabulary)
        model = Model(BERT.architecture(kept).with_dropout(0.1), ("mlm",)).train()
        device = Device(torch.device("cpu"), dtype)
        self.updater = Updater.of(model, objective, CONFIG, device, **(extras or {}))
        writer = CheckpointWriter(model, self.updater, self.tokenizer, kept, {}, lambda name, state: "")
        with RunFolder.open(self.folder, write=True) as run:

            def save(state: TrainState, best: bool) -> None:
                run.save(state.progress.step, partial(writer.write, state=state), best=best, keep=None)
                if state.progress.step == stop_at:
                    raise Stopped

            newest = run.newest()
            state = TrainState() if newest is None else read_checkpoint(newest, self.updater)
            made = Loop(
                updater=self.updater,
                stream=Stream(objective.source(self.shards.train, self.vocabulary, length=24, seed=3), seed=3),
                config=replace(CONFIG, save_steps=stop_at or None),
                budget=Budget("steps", steps),
                device=device,
                signals=Signals(),
                evaluations=1,
                evaluate=lambda: evaluate(self),
                save=save,
                tell=Watchers([self.told.append]),
                **loop,
            )
            state = state if made.finished(state) else made.run(state)
        return replace(state, progress=replace(state.progress, seconds=0.0))

    def updates(self) -> int:
        """How many updates the weights have seen, by the optimizer's own count."""
        return int(next(iter(self.updater.optimizers.adamw.state.values()))["step"])

    def tensors(self, step: int, name: str = "model.safetensors") -> dict[str, Tensor]:
        """Of a checkpoint's file."""
        return load_file(RunFolder(self.folder).checkpoint(step) / name)


@pytest.fixture
def tiny_run(tmp_path: Path, shards: TokenShards, vocabulary: Vocabulary, tokenizer: Tokenizer) -> Callable[[str], TinyRun]:
    """(name) -> a TinyRun in the folder of that name."""
    return lambda name: TinyRun(shards, vocabulary, tokenizer, tmp_path / name)


@pytest.fixture
def differences(tiny_run: Callable[[str], TinyRun]) -> Callable[..., list[str]]:
    """(stop_at, file names, **training) -> in which tensors a run stopped there and gone on with ends otherwise than one that was not; also "state"."""

    def compare(stop_at: int, names: tuple[str, ...], **training: Any) -> list[str]:
        straight, stopped = tiny_run("straight"), tiny_run("stopped")
        expected = straight.train(**training)
        with pytest.raises(Stopped):
            stopped.train(**training, stop_at=stop_at)
        found = [] if stopped.train(**training) == expected else ["state"]
        for name in names:
            one, other = (run.tensors(expected.progress.step, name) for run in (straight, stopped))
            found += [f"{name}: {key}" for key in sorted({*one, *other}) if key not in one or key not in other or not torch.equal(one[key], other[key])]
        return found

    return compare

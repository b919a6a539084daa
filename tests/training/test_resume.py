"""Stopped at any moment and started again, a run ends with the same bits; what must not be overwritten or mixed is refused."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bertwright.checkpoints import files as checkpoint_files
from bertwright.checkpoints.run_folder import RunFolder
from bertwright.data.shards import TokenShards
from bertwright.errors import BertwrightError, CheckpointError, InputError, Interrupted
from bertwright.training.config import PretrainConfig, PretrainResult
from bertwright.training.events import Event
from bertwright.training.pretrain import pretrain

STEPS = 9


@pytest.fixture(scope="module")
def config(tiny_config_json: Callable[..., str]) -> PretrainConfig:
    """Dropout on, accumulation on, more than one epoch: all that a resume could get wrong."""
    return PretrainConfig(
        model=tiny_config_json(),
        max_steps=STEPS,
        batch_size=8,
        micro_batch_size=3,
        max_seq_length=24,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        bf16=False,
        eval_steps=4,
        save_steps=3,
        logging_steps=1,
        save_total_limit=9,
    )


def rows(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def losses(run: Path) -> list[tuple[float, ...]]:
    keys = ("step", "loss", "mlm_loss", "nsp_loss", "learning_rate", "grad_norm", "samples", "tokens")
    return [tuple(row[key] for key in keys if key in row) for row in rows(run) if row["kind"] == "train"]


def assert_same_end(first: Path, second: Path) -> None:
    assert losses(first) == losses(second)
    for name in ("model.safetensors", "training/optimizer.safetensors"):
        one, other = (load_file(run / "checkpoints" / f"step-{STEPS:06d}" / name) for run in (first, second))
        assert one.keys() == other.keys()
        for key in one:
            assert torch.equal(one[key], other[key]), f"{name}: {key} differs"


def kill_at(step: int, number: int = signal.SIGTERM) -> Callable[[Event], None]:
    def observer(event: Event) -> None:
        if event.kind == "train" and event.step == step:
            os.kill(os.getpid(), number)

    return observer


class Crash(Exception):
    pass


def crash_at(step: int, kind: str = "train") -> Callable[[Event], None]:
    def observer(event: Event) -> None:
        if event.kind == kind and event.step == step:
            raise Crash

    return observer


CHOICES = [
    {"objective": "mlm+nsp", "optimizer": "muon"},
    {"objective": "mlm", "optimizer": "adamw"},
    {"objective": "mlm+nsp", "optimizer": "adamw", "bf16": True},
    {"objective": "mlm", "optimizer": "muon", "bf16": True},
]


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(map(str, choice.values())))
def test_a_stopped_run_ends_with_the_bits_of_one_that_was_not(tmp_path: Path, shards: TokenShards, config: PretrainConfig, choice: dict[str, object]) -> None:
    config = dataclasses.replace(config, **choice)
    pretrain(shards.folder, out=tmp_path / "straight", config=config)
    with pytest.raises(Interrupted) as stopped:
        pretrain(shards.folder, out=tmp_path / "stopped", config=config, observers=(kill_at(2),))
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    with pytest.raises(Crash):  # at step 5, two steps after the checkpoint of step 3
        pretrain(shards.folder, out=tmp_path / "stopped", config=config, observers=(crash_at(5),))
    assert RunFolder(tmp_path / "stopped").newest() == tmp_path / "stopped" / "checkpoints" / "step-000004"
    pretrain(shards.folder, out=tmp_path / "stopped", config=config)
    assert_same_end(tmp_path / "straight", tmp_path / "stopped")
    steps = [(row["step"], row["kind"]) for row in rows(tmp_path / "stopped")]
    assert len(steps) == len(set(steps)), "a step stands in metrics.jsonl twice"

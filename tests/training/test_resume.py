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
from bertwright.training import devices
from bertwright.training.config import PretrainConfig
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
    {"objective": "mlm+sop", "optimizer": "muon"},
    {"objective": "mlm", "mask_unit": "span", "mlm_probability_end": 0.05, "optimizer": "adamw"},
]


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(map(str, choice.values())))
def test_a_stopped_run_ends_with_the_bits_of_one_that_was_not(
    tmp_path: Path, shards: TokenShards, config: PretrainConfig, choice: dict[str, object], tiny_config_json: Callable[..., str]
) -> None:
    config = dataclasses.replace(config, model=tiny_config_json(str(choice["objective"])), **choice)
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


def test_sigint_ends_with_130_and_a_checkpoint(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="saved") as stopped:
        pretrain(shards.folder, out=tmp_path / "run", config=config, observers=(kill_at(1, signal.SIGINT),))
    assert stopped.value.exit_code == 130
    # The signal comes while step 1 is told of, when its end has been decided on.
    assert RunFolder(tmp_path / "run").newest() == tmp_path / "run" / "checkpoints" / "step-000002"
    assert signal.getsignal(signal.SIGINT) is before


PROGRAM = """
import dataclasses, os, signal, sys, time
import torch
from bertwright.training.config import PretrainConfig
from bertwright.training.pretrain import pretrain

torch.set_num_threads({threads})
def observer(event):
    print(event.kind, event.step, flush=True)
    {action}
config = PretrainConfig(**{config!r})
pretrain({shards!r}, out={out!r}, config=config, observers=(observer,))
"""


def program(shards: TokenShards, out: Path, config: PretrainConfig, *, action: str = "pass") -> list[str]:
    settings = dataclasses.asdict(config)
    return [sys.executable, "-c", PROGRAM.format(threads=torch.get_num_threads(), action=action, config=settings, shards=str(shards.folder), out=str(out))]


def test_the_second_signal_ends_at_once(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    twice = "if event.kind == 'train' and event.step == 2: os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)"
    ended = subprocess.run(program(shards, tmp_path / "run", config, action=twice), capture_output=True, text=True, check=False)
    assert ended.returncode == 143
    assert RunFolder(tmp_path / "run").newest() is None, "an end at once saves nothing"


def test_killed_at_random_moments_a_run_ends_with_the_same_bits(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    pretrain(shards.folder, out=tmp_path / "straight", config=config)
    for event, delay in (("train 2", 0.003), ("save 4", 0.0), ("train 7", 0.01)):
        process = subprocess.Popen(program(shards, tmp_path / "killed", config), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == event:
                break
        time.sleep(delay)
        process.kill()
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
    pretrain(shards.folder, out=tmp_path / "killed", config=config)
    assert_same_end(tmp_path / "straight", tmp_path / "killed")


def test_a_changed_config_is_refused_with_every_changed_key(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    short = dataclasses.replace(config, max_steps=2)
    pretrain(shards.folder, out=tmp_path / "run", config=short)
    before = (tmp_path / "run" / "config.yaml").read_bytes()
    with pytest.raises(InputError) as refused:
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(short, learning_rate=1e-5, seed=3, save_total_limit=1, logging_steps=5))
    assert len(refused.value.problems) == 2, refused.value.problems
    assert any("learning_rate was 0.0" in line and "1e-05" in line for line in refused.value.problems)
    assert any("seed was 0 and is now 3" in line for line in refused.value.problems)
    assert (tmp_path / "run" / "config.yaml").read_bytes() == before


def test_other_text_is_refused(
    tmp_path: Path, shards: TokenShards, config: PretrainConfig, write_token_shards: Callable[..., TokenShards], documents: Callable[..., list[list[list[int]]]]
) -> None:
    pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, max_steps=1))
    other = write_token_shards(tmp_path / "other", train=documents(9, seed=7), validation=documents(3, seed=8))
    with pytest.raises(InputError, match="train_tokens was"):
        pretrain(other.folder, out=tmp_path / "run", config=dataclasses.replace(config, max_steps=1))


def test_a_finished_run_started_again_says_so_and_changes_nothing(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    short = dataclasses.replace(config, max_steps=3)
    first = pretrain(shards.folder, out=tmp_path / "run", config=short)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file() and path.name not in ("log.txt", ".lock")}
    notes: list[str] = []
    again = pretrain(shards.folder, out=tmp_path / "run", config=short, observers=(lambda event: notes.append(str(event.values.get("text"))),))
    assert any("already finished (step 3)" in note for note in notes)
    assert again == first
    assert {path: path.read_bytes() for path in before} == before


def test_never_refuses_a_folder_that_holds_a_run(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    never = dataclasses.replace(config, max_steps=1, resume_from_checkpoint="never")
    pretrain(shards.folder, out=tmp_path / "run", config=never)
    with pytest.raises(InputError, match="resume_from_checkpoint is never: take another --out"):
        pretrain(shards.folder, out=tmp_path / "run", config=never)


def test_an_older_checkpoint_of_the_run_can_be_gone_on_from(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    pretrain(shards.folder, out=tmp_path / "run", config=config)
    older = tmp_path / "run" / "checkpoints" / "step-000003"
    weights = load_file(tmp_path / "run" / "checkpoints" / f"step-{STEPS:06d}" / "model.safetensors")
    expected = losses(tmp_path / "run")
    steps: list[int] = []
    observer = lambda event: steps.append(event.step) if event.kind == "train" else None  # noqa: E731  # one line reads better here
    pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, resume_from_checkpoint=str(older)), observers=(observer,))
    assert steps == list(range(4, STEPS + 1))
    assert losses(tmp_path / "run") == expected
    again = load_file(tmp_path / "run" / "checkpoints" / f"step-{STEPS:06d}" / "model.safetensors")
    assert all(torch.equal(tensor, again[name]) for name, tensor in weights.items())


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    first = pretrain(shards.folder, out=tmp_path / "first", config=dataclasses.replace(config, max_steps=1))
    with pytest.raises(InputError, match=r"no checkpoint of .*second.*--init_from"):
        pretrain(shards.folder, out=tmp_path / "second", config=dataclasses.replace(config, resume_from_checkpoint=str(first.checkpoint)))


def test_a_damaged_checkpoint_is_left_aside_or_refused_by_its_hash(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    pretrain(shards.folder, out=tmp_path / "straight", config=config)
    pretrain(shards.folder, out=tmp_path / "damaged", config=config)
    newest = tmp_path / "damaged" / "checkpoints" / f"step-{STEPS:06d}"
    weights = newest / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model.safetensors differs"):
        pretrain(shards.folder, out=tmp_path / "damaged", config=dataclasses.replace(config, resume_from_checkpoint=str(newest)))
    notes: list[str] = []
    pretrain(shards.folder, out=tmp_path / "damaged", config=config, observers=(lambda event: notes.append(str(event.values.get("text"))),))
    assert any("is left aside" in note for note in notes)
    assert_same_end(tmp_path / "straight", tmp_path / "damaged")


def test_a_run_that_is_being_written_is_refused(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    refused: list[str] = []

    def meanwhile(event: Event) -> None:
        if event.kind == "train" and event.step == 1:
            with pytest.raises(InputError, match="is being written by another process") as error:
                pretrain(shards.folder, out=tmp_path / "run", config=config)
            refused.append(str(error.value))

    pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, max_steps=2), observers=(meanwhile,))
    assert len(refused) == 1
    assert str(os.getpid()) in refused[0]


def test_a_full_disk_while_saving_leaves_the_previous_checkpoint(
    tmp_path: Path, shards: TokenShards, config: PretrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrain(shards.folder, out=tmp_path / "straight", config=config)
    sync = checkpoint_files.sync

    def full(path: Path) -> None:
        if path.name == "optimizer.safetensors" and "step-000006" in str(path):
            raise OSError(28, "No space left on device")
        sync(path)

    monkeypatch.setattr(checkpoint_files, "sync", full)
    with pytest.raises(BertwrightError, match="No space left on device") as failed:
        pretrain(shards.folder, out=tmp_path / "full", config=config)
    assert failed.value.exit_code == 1
    monkeypatch.undo()
    run = RunFolder(tmp_path / "full")
    assert run.resume_point() == (tmp_path / "full" / "checkpoints" / "step-000004", [])
    pretrain(shards.folder, out=tmp_path / "full", config=config)
    assert_same_end(tmp_path / "straight", tmp_path / "full")


def test_old_checkpoints_go_and_the_best_stays(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    result = pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, save_steps=1, eval_steps=3, save_total_limit=2, max_steps=7))
    left = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert len(left) <= 3
    assert "step-000007" in left
    assert result.checkpoint.name in left
    assert (tmp_path / "run" / "latest").read_text().strip() == "step-000007"
    evaluated = {row["step"]: row["eval_loss"] for row in rows(tmp_path / "run") if row["kind"] == "evaluate"}
    assert result.checkpoint.name == f"step-{min(evaluated, key=evaluated.__getitem__):06d}"


def test_a_run_goes_on_on_other_hardware_and_says_what_changed(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    config = dataclasses.replace(config, max_steps=3, micro_batch_size=None)
    with pytest.raises(Interrupted):
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, bf16=True), observers=(kill_at(1),))
    notes: list[str] = []
    written = tmp_path / "run" / "config.yaml"
    written.write_text(written.read_text().replace("bf16: true", "bf16: false").replace("micro_batch_size: ", "micro_batch_size: 9"))
    with pytest.raises(InputError, match="bf16 was False and is now True"):
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, bf16=True))
    # As on a machine whose bf16 the first one lacked.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "has_fast_bf16", lambda device: True)
        free = dataclasses.replace(config, bf16=None)
        result = pretrain(shards.folder, out=tmp_path / "run", config=free, observers=(lambda event: notes.append(str(event.values.get("text"))),))
    assert any("bf16 was False and is now True, as this hardware has it" in note for note in notes)
    assert result.checkpoint.name == "step-000003"


def test_a_config_json_that_changed_since_is_named(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, max_steps=1))
    shape = Path(config.model)
    shape.write_text(shape.read_text().replace('"hidden_size": 16', '"hidden_size": 24'))
    with pytest.raises(InputError, match=r"model .* is no longer what step-000001 holds"):
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, max_steps=1))

"""A cool-down goes on as its run did, bit for bit, until the rate falls; it resumes as any run does, and changes nothing in the run it came from."""

import dataclasses
import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bertwright.data.shards import TokenShards
from bertwright.errors import BertwrightError, InputError
from bertwright.training import loop
from bertwright.training.config import PretrainConfig
from bertwright.training.events import Event
from bertwright.training.pretrain import pretrain


@pytest.fixture
def config(tiny_config_json: Callable[..., str]) -> PretrainConfig:
    base = PretrainConfig(model=tiny_config_json(), objective="mlm", max_steps=8, batch_size=8, micro_batch_size=3, max_seq_length=24, bf16=False)
    return dataclasses.replace(base, lr_scheduler_type="constant", hidden_dropout_prob=0.1, save_steps=4, save_total_limit=9, logging_steps=1, eval_steps=4)


def rows(run: Path, kind: str = "train") -> dict[int, dict[str, Any]]:
    return {row["step"]: row for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if row["kind"] == kind}


@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.9}, {"objective": "mlm+nsp", "optimizer": "adamw", "learning_rate": 1e-3}])
def test_it_goes_on_from_the_checkpoint_and_falls_to_nothing(changes: dict[str, Any], tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    config = dataclasses.replace(config, **changes)
    pretrain(shards.folder, out=tmp_path / "run", config=config)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file() and path.name != "log.txt"}
    cool = PretrainConfig(cooldown_from=str(tmp_path / "run" / "checkpoints" / "step-000004"), max_steps=4, logging_steps=1, bf16=False)
    pretrain(shards.folder, out=tmp_path / "cool", config=cool)
    straight, cooled = rows(tmp_path / "run"), rows(tmp_path / "cool")
    assert list(cooled) == [5, 6, 7, 8]
    for step in (5, 6):  # the first step has the whole rate still, and its effect is seen in the second
        assert (cooled[step]["loss"], cooled[step]["samples"]) == (straight[step]["loss"], straight[step]["samples"])
    assert cooled[8]["loss"] != straight[8]["loss"]
    rates = [row["learning_rate"] for row in cooled.values()]
    peak = straight[4]["learning_rate"]
    assert rates == pytest.approx([peak * (1 - (step / 4) ** 0.5) for step in range(4)])
    assert min(rows(tmp_path / "cool", "evaluate")) == 4
    assert {path: path.read_bytes() for path in before} == before


def test_a_stopped_cool_down_ends_with_the_same_bits(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    pretrain(shards.folder, out=tmp_path / "run", config=config)
    cool = PretrainConfig(cooldown_from=str(tmp_path / "run" / "checkpoints" / "step-000004"), max_steps=4, logging_steps=1, save_steps=1, bf16=False)

    def crash(event: Event) -> None:
        if event.kind == "train" and event.step == 7:
            raise KeyboardInterrupt

    pretrain(shards.folder, out=tmp_path / "straight", config=cool)
    with pytest.raises(KeyboardInterrupt):
        pretrain(shards.folder, out=tmp_path / "stopped", config=cool, observers=(crash,))
    pretrain(shards.folder, out=tmp_path / "stopped", config=cool)
    one, other = (load_file(tmp_path / name / "checkpoints" / "step-000008" / "model.safetensors") for name in ("straight", "stopped"))
    assert [key for key in one if not torch.equal(one[key], other[key])] == []
    assert list(rows(tmp_path / "stopped")) == [5, 6, 7, 8]


def test_what_moves_with_the_progress_of_the_run_goes_on_as_there(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    config = dataclasses.replace(config, mlm_probability=0.5, mlm_probability_end=0.1)
    pretrain(shards.folder, out=tmp_path / "run", config=config)
    cool = PretrainConfig(cooldown_from=str(tmp_path / "run" / "checkpoints" / "step-000004"), max_steps=2, logging_steps=1, bf16=False)
    pretrain(shards.folder, out=tmp_path / "cool", config=cool)
    straight, cooled = rows(tmp_path / "run"), rows(tmp_path / "cool")
    assert [cooled[step]["loss"] for step in (5, 6)] == [straight[step]["loss"] for step in (5, 6)]


def test_the_time_left_is_that_of_the_cool_down(tmp_path: Path, shards: TokenShards, config: PretrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(loop, "time", SimpleNamespace(monotonic=count(step=1000).__next__))
        pretrain(shards.folder, out=tmp_path / "run", config=config)
    cool = PretrainConfig(cooldown_from=str(tmp_path / "run" / "checkpoints" / "step-000004"), max_steps=4, logging_steps=1, bf16=False)
    with monkeypatch.context() as patched:
        patched.setattr(loop, "time", SimpleNamespace(monotonic=count().__next__))
        pretrain(shards.folder, out=tmp_path / "cool", config=cool)
    assert rows(tmp_path / "run")[4]["seconds"] > 4000
    assert all(row["seconds_left"] < 1000 for row in rows(tmp_path / "cool").values())


def test_what_cannot_be_cooled_down_is_named(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, lr_scheduler_type="linear", max_steps=4))
    checkpoint = tmp_path / "run" / "checkpoints" / "step-000004"

    def lines(**changes: Any) -> tuple[str, ...]:
        with pytest.raises(BertwrightError) as refused:
            pretrain(shards.folder, out=tmp_path / "cool", config=dataclasses.replace(PretrainConfig(max_steps=2, bf16=False), **changes))
        assert not (tmp_path / "cool").exists()
        return refused.value.problems if isinstance(refused.value, InputError) else (str(refused.value),)

    assert "the learning rate had fallen to 0 there" in lines(cooldown_from=str(checkpoint))[0]
    found = lines(cooldown_from=str(checkpoint), learning_rate=5.0, seed=9, stages=("16:1",), extend_positions=128, start="random")
    assert len(found) == 5
    assert "learning_rate is 5.0 and was 0.0" in found[0]
    assert "seed is 9 and was 0" in found[1]
    assert "stages is given with cooldown_from" in found[2]
    assert [line.split(" is ")[0] for line in found[3:]] == ["start", "extend_positions"]
    assert "says how it was trained" in lines(cooldown_from=str(_copied(checkpoint, tmp_path / "alone")))[0]
    assert "does not exist" in lines(cooldown_from="./nowhere")[0]


def _copied(checkpoint: Path, folder: Path) -> Path:
    (folder / "a").mkdir(parents=True)
    for path in checkpoint.iterdir():
        if path.is_file():
            (folder / "a" / path.name).write_bytes(path.read_bytes())
    return folder / "a"

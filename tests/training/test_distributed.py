"""Two processes under torchrun train as one does, write once, and save when they are stopped."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bertwright.checkpoints.run_folder import RunFolder
from bertwright.data.shards import TokenShards
from bertwright.objectives import OBJECTIVES
from bertwright.training.config import PretrainConfig
from bertwright.training.pretrain import pretrain

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")

PROGRAM = """
import sys
from bertwright.errors import BertwrightError
from bertwright.objectives import OBJECTIVES
from bertwright.training.config import PretrainConfig
from bertwright.training.pretrain import pretrain

if __name__ == "__main__":
    try:
        for out, settings in {runs!r}.items():
            pretrain({shards!r}, out=out, config=PretrainConfig(**settings))
    except BertwrightError as error:
        sys.exit(error.exit_code)
"""


@pytest.fixture(scope="module")
def config(tiny_config_json: Callable[..., str]) -> PretrainConfig:
    return PretrainConfig(
        model=tiny_config_json(), max_steps=5, batch_size=12, micro_batch_size=4, max_seq_length=24, bf16=False, eval_steps=3, save_steps=3, logging_steps=1
    )


def torchrun(folder: Path, shards: TokenShards, configs: dict[str, PretrainConfig]) -> subprocess.Popen[str]:
    """Starts two processes that train one config after the other; the run folders are `folder`/name."""
    folder.mkdir()
    program = folder / "program.py"
    runs = {str(folder / name): dataclasses.asdict(config) for name, config in configs.items()}
    program.write_text(PROGRAM.format(shards=str(shards.folder), runs=runs), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_addr", "127.0.0.1", "--master_port", str(port), str(program)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def rows(run: Path, kind: str) -> list[dict[str, float]]:
    return [row for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if row["kind"] == kind]


def test_two_processes_give_the_losses_of_one(tmp_path: Path, shards: TokenShards, config: PretrainConfig, tiny_config_json: Callable[..., str]) -> None:
    configs = {objective: dataclasses.replace(config, objective=objective) for objective in OBJECTIVES}
    # Shared blocks, an output of its own with a bias that nobody reads, a gate and windows.
    others = {name: dataclasses.replace(config, model=f"{name}-tiny", objective="mlm", max_steps=3) for name in ("albert", "roberta", "modernbert")}
    untied = dataclasses.replace(config, model=tiny_config_json(tie_word_embeddings=False), objective="mlm", max_steps=3)
    configs |= {**others, "untied": untied}
    process = torchrun(tmp_path / "two", shards, configs)
    for objective, chosen in configs.items():
        pretrain(shards.folder, out=tmp_path / "one" / objective, config=chosen)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    for name, chosen in configs.items():
        assert_same(tmp_path / "one" / name, tmp_path / "two" / name, chosen.objective, steps=chosen.max_steps or 0)


def assert_same(one: Path, two: Path, objective: str, *, steps: int) -> None:
    assert [row["step"] for row in rows(two, "train")] == list(range(1, steps + 1)), "both processes wrote, or none"
    for first, second in zip(rows(one, "train"), rows(two, "train"), strict=True):
        terms = [key for key in first if key.endswith("loss")]
        assert len(terms) == 1 + len(objective.split("+"))
        assert {key: second[key] for key in terms} == pytest.approx({key: first[key] for key in terms}, abs=1e-5)
        assert (first["samples"], first["tokens"]) == (second["samples"], second["tokens"])
        assert second["grad_norm"] == pytest.approx(first["grad_norm"], rel=1e-3)
    for first, second in zip(rows(one, "evaluate"), rows(two, "evaluate"), strict=True):
        assert second["eval_loss"] == pytest.approx(first["eval_loss"], abs=1e-5)
    weights = [load_file(run / "checkpoints" / f"step-{steps:06d}" / "model.safetensors") for run in (one, two)]
    for name, tensor in weights[0].items():
        # Adam moves even what has a gradient of rounding noise alone, such as the biases of keys, by whole steps.
        torch.testing.assert_close(weights[1][name], tensor, rtol=0.0, atol=2e-3, msg=name)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_under_torchrun_a_run_saves(number: int, tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    config = dataclasses.replace(config, max_steps=100_000, save_steps=100_000, eval_steps=100_000, bf16=None)
    process = torchrun(tmp_path / "two", shards, {"run": config})
    run = tmp_path / "two" / "run"
    deadline = time.monotonic() + 120
    while not (run / "metrics.jsonl").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0, said
    newest = RunFolder(run).newest()
    assert newest is not None, said
    step = int(newest.name.removeprefix("step-"))
    assert step < 100_000
    assert rows(run, "train")[-1]["step"] in (step, step - 1, step + 1)

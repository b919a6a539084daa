"""`bertwright finetune` from the command line: lists of values, one voice under torchrun, Ctrl-C."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bertwright import api
from bertwright.__main__ import main
from bertwright.checkpoints.run_folder import RunFolder
from bertwright.cli.config_file import ConfigFile
from bertwright.cli.finetune import closing_lines
from bertwright.training.finetune_config import FinetuneResult

WORDS = {"good": ("bar", "ban", "ber"), "bad": ("kar", "kan", "ker")}
ROWS = "text,label\n" + "".join(f"{first} {second},{label}\n" for label, row in WORDS.items() for first in row for second in row)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "train.csv").write_text(ROWS, encoding="utf-8")
    return tmp_path / "train.csv"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options that the command hands on, in place of a training."""
    found: list[dict[str, Any]] = []

    def train_on(checkpoint: str, train: str, *, out: Path, **options: Any) -> FinetuneResult:
        found.append(options)
        return FinetuneResult(out, out, {})

    monkeypatch.setattr(api, "finetune", train_on)
    return found


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["bertwright", "finetune", "start", "train.csv", "--out", "run", *map(str, words)])
    return main()


@pytest.mark.parametrize("words", [("--learning_rate", "1e-5"), ("--learning_rate=1e-5",), ("--learning-rate", "1e-5"), ("--learning-rate=1e-5",)])
@pytest.mark.parametrize("key", ["learning_rate", "learning-rate"])
def test_one_value_on_the_command_line_beats_the_files_list(
    words: tuple[str, ...], key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, Any]]
) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({key: [1e-3, 2e-3], "weight_decay": [0.1, 0.2], "num_train_epochs": [1, 2]}))
    assert call(monkeypatch, "--config", tmp_path / "config.yaml", *words, "--max_steps", 3) == 0
    assert (asked[0]["learning_rate"], asked[0]["weight_decay"], asked[0]["max_steps"], asked[0]["num_train_epochs"]) == (1e-5, [0.1, 0.2], 3, None)


def test_a_switch_turned_off_on_the_command_line_beats_the_files_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, Any]]) -> None:
    (tmp_path / "config.yaml").write_text("gradient_checkpointing: [true, false]\n")
    assert call(monkeypatch, "--config", tmp_path / "config.yaml", "--no_gradient_checkpointing") == 0
    assert asked[0]["gradient_checkpointing"] is False


def test_what_to_type_next_fits_the_task(tmp_path: Path) -> None:
    for task, asked in (("classify", "'some text'"), ("answer", "--table more.jsonl")):
        assert f"  bertwright predict {tmp_path} {asked}" in closing_lines(FinetuneResult(tmp_path, tmp_path, {}, details={"task": task}))


def test_a_list_on_the_command_line_beats_the_files_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, Any]]) -> None:
    (tmp_path / "config.yaml").write_text("learning_rate: 1e-3\nmax_minutes: 5\n")
    assert call(monkeypatch, "--config", tmp_path / "config.yaml", "--learning_rate", "1e-5,2e-5", "--max_steps", "3,4") == 0
    assert (asked[0]["learning_rate"], asked[0]["max_steps"], asked[0]["max_minutes"]) == (["1e-5", "2e-5"], ["3", "4"], None)


def test_a_files_section_goes_before_its_other_keys(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: [1, 2]\nbatch-size: [4, 8]\nfinetune: {seed: 3, weight_decay: [0.1, 0.2]}\n")
    file = ConfigFile(tmp_path / "config.yaml", commands=["finetune"])
    assert file.take_lists("finetune", given=()) == {"batch_size": [4, 8], "weight_decay": [0.1, 0.2]}
    assert file._section(("finetune",)) == {"seed": 3}


def test_a_process_that_does_not_lead_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], asked: list[dict[str, Any]]) -> None:
    monkeypatch.setenv("RANK", "1")
    assert call(monkeypatch, "--dry_run") == 0
    assert len(asked) == 1
    assert "observers" not in asked[0]
    assert capsys.readouterr() == ("", "")


def begun(words: list[object]) -> "subprocess.Popen[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", *map(str, words)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_speak_and_write_once(tmp_path: Path, data: Path, start: Callable[[str], Path]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher: list[object] = ["torch.distributed.run", "--nproc_per_node", 2, "--master_addr", "127.0.0.1", "--master_port", port, "-m"]
    keys = ["--max_steps", 2, "--batch_size", 4, "--no_bf16", "--seeds", 2, "--validation_fraction", 0.25]
    process = begun([*launcher, "bertwright", "finetune", start("bert"), data, "--out", tmp_path / "out", *keys])
    said, wrong = process.communicate(timeout=120)
    assert process.returncode == 0, wrong
    assert [said.count(f"run {number} of 2: seed={number - 1}") for number in (1, 2)] == [1, 1]
    assert said.count(f"runs         {tmp_path / 'out'}") == 1
    assert [run["name"] for run in json.loads((tmp_path / "out" / "sweep.json").read_text())["runs"]] == ["seed=0", "seed=1"]


def test_ctrl_c_saves_and_the_same_command_goes_on(tmp_path: Path, data: Path, start: Callable[[str], Path]) -> None:
    keys = ["--max_steps", 1_000_000, "--batch_size", 4, "--no_bf16", "--validation_fraction", 0.25, "--eval_steps", 1_000_000, "--logging_steps", 1]
    words: list[object] = ["bertwright", "finetune", start("bert"), data, "--out", tmp_path / "run", *keys]
    steps = []
    for _ in range(2):
        written = len(rows(tmp_path / "run"))
        process = begun(words)
        deadline = time.monotonic() + 100
        while len(rows(tmp_path / "run")) <= written + 1 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said, wrong = process.communicate(timeout=60)
        assert process.returncode == 130, wrong
        assert "saved: the same command goes on from there" in wrong
        newest = RunFolder(tmp_path / "run").newest()
        assert newest is not None
        steps.append(int(newest.name.removeprefix("step-")))
    assert f"going on from step-{steps[0]:06d}" in said
    assert steps[1] > steps[0] > 0


def rows(run: Path) -> list[str]:
    path = run / "metrics.jsonl"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

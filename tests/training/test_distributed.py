"""Two processes under torchrun train as one does, write once, and save when they are stopped."""

import dataclasses
import json
import os
import runpy
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
from bertwright.objectives.registry import OBJECTIVES
from bertwright.training.config import PretrainConfig
from bertwright.training.pretrain import pretrain

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")

PROGRAM = """
import sys
from bertwright.errors import BertwrightError
from bertwright.objectives.registry import OBJECTIVES
from bertwright.training.config import PretrainConfig
from bertwright.training.pretrain import pretrain

if __name__ == "__main__":
    try:
        for out, settings in {runs!r}.items():
            pretrain({shards!r}, out=out, config=PretrainConfig(**settings))
    except BertwrightError as error:
        sys.exit(error.exit_code)
"""


MODULES = """
import os
import sys

import torch
from torch import nn

from bertwright.families import preset_architecture
from bertwright.models import Model
from bertwright.training.config import PretrainConfig
from bertwright.training.fit import LabelledRows, fit


class Pairs(nn.Module):
    # Neither the pooler nor the head of pairs is read.
    def __init__(self):
        super().__init__()
        self.body, self.own = Model(preset_architecture("bert-tiny", vocab_size=20), ("pooler", "mlm", "nsp")), nn.Linear(128, 1)

    def forward(self, ids, mask):
        return self.own(self.body(ids, mask).last_hidden_state[:, 0]).squeeze(-1)


class Remembering(nn.Module):
    # The encoder of a model of two stacks, whose decoder takes no part.
    def __init__(self):
        super().__init__()
        self.body = Model(preset_architecture("t5-tiny", vocab_size=20))
        self.own = nn.Linear(self.body.architecture.hidden_size, 1)
        self.own.weight.requires_grad_(False)

    def forward(self, ids, mask):
        return self.own(self.body.remember(ids, mask).hidden[:, 0]).squeeze(-1)


class Running(nn.Module):
    # Keeps statistics of the rows that it saw.
    def __init__(self):
        super().__init__()
        self.words, self.norm = nn.Embedding(20, 4), nn.BatchNorm1d(4)

    def forward(self, ids, mask):
        return self.norm((self.words(ids) * mask.unsqueeze(-1)).sum(1)).sum(-1)


def loss(model, batch):
    return ((model(batch.input_ids, batch.mask) - batch.labels) ** 2).sum()


if __name__ == "__main__":
    rank, processes = (int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1)))
    torch.manual_seed(rank)
    rows = LabelledRows([[5, 6, 7], [8, 9], [10, 11, 12, 13], [15, 16, 17], [6, 9]], [1.0, 2.0, 3.0, 4.0, 5.0], pad_id=0, loss=loss)
    config = PretrainConfig(optimizer="adamw", learning_rate=1e-3, batch_size=4, max_steps=3, micro_batch_size=2, bf16=False)
    for kind in (Pairs, Remembering, Running):
        torch.manual_seed(rank)
        model = kind()
        fit(model, rows, config=config)
        torch.save(model.state_dict(), f"{sys.argv[1]}/{kind.__name__}-{rank}-of-{processes}.pt")
"""


EXTRAS = """
import sys

import torch
from torch import nn

from bertwright.data.stream import Stream
from bertwright.errors import OutOfMemory
from bertwright.families import preset_architecture
from bertwright.models import Model
from bertwright.training.adversarial import Adversary
from bertwright.training.config import PretrainConfig
from bertwright.training.course import Course
from bertwright.training.devices import device_of_this_process
from bertwright.training.feed import updates
from bertwright.training.fit import LabelledRows
from bertwright.training.schedule import Progress
from bertwright.training.step import Updater


class First(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.own = Model(preset_architecture("bert-tiny", vocab_size=20)), nn.Linear(128, 1)

    def forward(self, ids, mask):
        return self.own(self.body(ids, mask).last_hidden_state[:, 0]).squeeze(-1)


# Passes in which the second of two processes runs out of memory: of two updates the adversary's first and last, and with one move an ordinary one.
SHORT = (5, 11)


def loss(model, batch):
    passes.append(len(passes) + 1)
    if device.rank == 1 and passes[-1] in SHORT:
        raise torch.OutOfMemoryError("CUDA out of memory")
    return ((model(batch.input_ids, batch.mask) - batch.labels) ** 2).sum()


def step(batches, number):
    try:
        updater.step(batches, number=number, factor=1.0)
    except OutOfMemory:
        print("short")
        updater.step(batches, number=number, factor=1.0)


if __name__ == "__main__":
    device = device_of_this_process(bf16=False, fp16=False)
    for name, adversary in {"fgm": Adversary.fgm(epsilon=0.5), "pgd": Adversary.pgd(epsilon=0.5, alpha=0.3, steps=2)}.items():
        passes = []
        torch.manual_seed(device.rank)
        rows = LabelledRows([[5, 6, 7], [8, 9], [10, 11, 12, 13], [15, 16, 17], [6, 9]], [1.0, 2.0, 3.0, 4.0, 5.0], pad_id=0, loss=loss)
        config = PretrainConfig(optimizer="adamw", learning_rate=1e-3, muon_learning_rate=1e-3, batch_size=4, micro_batch_size=2)
        updater = Updater.of(First().eval(), rows, config, device, adversary=adversary, average=0.5)
        batches = updates(Stream(rows, seed=0), rows, Course.of(config), device, first=Progress())
        for number in range(3):
            step(next(batches), number)
        torch.save([updater.parameters.state(), updater.average.average], f"{sys.argv[1]}/{name}-{device.rank}-of-{device.world_size}.pt")
    device.wait()  # one that leaves while the other still speaks to it may be aborted on its way out
"""

SHORT = """
import os
import sys

import torch

from bertwright.objectives.mlm import MaskedLanguageModel
from bertwright.training.config import PretrainConfig
from bertwright.training.pretrain import pretrain

losses = MaskedLanguageModel.losses


def short(self, model, batch):
    if os.environ["RANK"] == "1" and len(batch.input_ids) > 1:
        raise torch.OutOfMemoryError("CUDA out of memory")
    return losses(self, model, batch)


if __name__ == "__main__":
    MaskedLanguageModel.losses = short
    pretrain({shards!r}, out=sys.argv[1] + "/run", config=PretrainConfig(**{settings!r}))
"""


@pytest.fixture(scope="module")
def config(tiny_config_json: Callable[..., str]) -> PretrainConfig:
    return PretrainConfig(
        model=tiny_config_json(), max_steps=5, batch_size=12, micro_batch_size=4, max_seq_length=24, bf16=False, eval_steps=3, save_steps=3, logging_steps=1
    )


def torchrun(folder: Path, shards: TokenShards, configs: dict[str, PretrainConfig]) -> subprocess.Popen[str]:
    """Starts two processes that train one config after the other; the run folders are `folder`/name."""
    runs = {str(folder / name): dataclasses.asdict(config) for name, config in configs.items()}
    return started(folder, PROGRAM.format(shards=str(shards.folder), runs=runs))


def started(folder: Path, text: str) -> subprocess.Popen[str]:
    """Two processes of a program, which is told the folder that it lies in."""
    folder.mkdir()
    program = folder / "program.py"
    program.write_text(text, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_addr", "127.0.0.1", "--master_port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*command, str(program), str(folder)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def rows(run: Path, kind: str) -> list[dict[str, float]]:
    return [row for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if row["kind"] == kind]


def test_two_processes_give_the_losses_of_one(tmp_path: Path, shards: TokenShards, config: PretrainConfig, tiny_config_json: Callable[..., str]) -> None:
    configs = {
        objective: dataclasses.replace(config, model=tiny_config_json(objective), objective=objective)
        for objective in OBJECTIVES
        if objective.startswith("mlm")
    }
    # Shared blocks, an output of its own with a bias that nobody reads, a gate and windows.
    others = {name: dataclasses.replace(config, model=f"{name}-tiny", objective="mlm", max_steps=3) for name in ("albert", "roberta", "modernbert")}
    untied = dataclasses.replace(config, model=tiny_config_json(tie_word_embeddings=False), objective="mlm", max_steps=3)
    replacing = dataclasses.replace(config, model="electra-tiny", objective="rtd", max_steps=3)
    # ALBERT's head of sentence order drops out by itself, and each process differently.
    ordering = dataclasses.replace(config, model=tiny_config_json("mlm+sop", classifier_dropout_prob=0.0), objective="mlm+sop", max_steps=3)
    models = (("clm", "gpt2"), ("denoising", "bart"))
    writing = {name: dataclasses.replace(config, model=f"{model}-tiny", objective=name, max_steps=2) for name, model in models}
    configs |= {**others, **writing, "untied": untied, "rtd": replacing, "mlm+sop": ordering}
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
        assert len(terms) == 1 + (2 if objective == "rtd" else len(objective.split("+")))
        assert {key: second[key] for key in terms} == pytest.approx({key: first[key] for key in terms}, abs=1e-5)
        assert (first["samples"], first["tokens"]) == (second["samples"], second["tokens"])
        assert second["grad_norm"] == pytest.approx(first["grad_norm"], rel=1e-3)
    for first, second in zip(rows(one, "evaluate"), rows(two, "evaluate"), strict=True):
        assert second["eval_loss"] == pytest.approx(first["eval_loss"], abs=1e-5)
    weights = [load_file(run / "checkpoints" / f"step-{steps:06d}" / "model.safetensors") for run in (one, two)]
    for name, tensor in weights[0].items():
        # Adam moves even what has a gradient of rounding noise alone, such as the biases of keys, by whole steps.
        torch.testing.assert_close(weights[1][name], tensor, rtol=0.0, atol=2e-3, msg=name)


def test_two_processes_fit_modules_of_ones_own_as_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that no loss reaches, ways to call a model other than forward, first weights that differ."""
    process = started(tmp_path / "two", MODULES)
    monkeypatch.setattr(sys, "argv", ["program.py", str(tmp_path)])
    runpy.run_path(str(tmp_path / "two" / "program.py"), run_name="__main__")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    for name in ("Pairs", "Remembering", "Running"):
        first, second = (torch.load(tmp_path / "two" / f"{name}-{rank}-of-2.pt") for rank in (0, 1))
        assert all(torch.equal(second[key], tensor) for key, tensor in first.items()), name
        one = torch.load(tmp_path / f"{name}-0-of-1.pt")
        for key, tensor in one.items() if name != "Running" else ():  # whose statistics are each process' own rows'
            # What has a gradient of rounding noise alone moves by whole steps.
            torch.testing.assert_close(first[key], tensor, rtol=0.0, atol=5e-5 if ".key.bias" not in key else 5e-3, msg=f"{name} {key}")


def test_two_processes_move_the_embeddings_and_average_the_weights_as_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = started(tmp_path / "two", EXTRAS)
    monkeypatch.setattr(sys, "argv", ["program.py", str(tmp_path)])
    runpy.run_path(str(tmp_path / "two" / "program.py"), run_name="__main__")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert said.count("short") == 6, "three times on both processes"
    for name in ("fgm", "pgd"):
        (one, _), *two = (torch.load(path) for path in (tmp_path / f"{name}-0-of-1.pt", *(tmp_path / "two" / f"{name}-{rank}-of-2.pt" for rank in (0, 1))))
        (first, average), (second, other) = two
        assert torch.equal(average, other)
        for key, tensor in one.items():
            assert torch.equal(first[key], second[key]), key
            # What has a gradient of rounding noise alone moves by whole steps.
            torch.testing.assert_close(first[key], tensor, rtol=0.0, atol=5e-5 if ".key.bias" not in key else 5e-3, msg=f"{name} {key}")


def test_when_one_process_runs_out_of_memory_both_halve_their_passes(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    chosen = dataclasses.replace(config, objective="mlm", max_steps=3)
    process = started(tmp_path / "two", SHORT.format(shards=str(shards.folder), settings=dataclasses.asdict(chosen)))
    pretrain(shards.folder, out=tmp_path / "one", config=chosen)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert_same(tmp_path / "one", tmp_path / "two" / "run", "mlm", steps=3)
    assert "out of memory: 1 sequence a pass" in (tmp_path / "two" / "run" / "log.txt").read_text(encoding="utf-8")


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

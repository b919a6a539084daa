"""Mixtures, stages of length and growing batches do what they are told, and a run that is stopped under any of them ends with the same bits."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bertwright.checkpoints.run_folder import RunFolder
from bertwright.cli.app import run
from bertwright.cli.display import evaluation_summary, plan_lines
from bertwright.data.shards import TokenShards
from bertwright.data.stream import Stream
from bertwright.errors import InputError
from bertwright.training.announce import plan_values
from bertwright.training.config import PretrainConfig
from bertwright.training.devices import Device
from bertwright.training.events import Event
from bertwright.training.plan import Plan, make_plan
from bertwright.training.pretrain import pretrain

STEPS = 8
LONG: dict[str, dict[str, Any]] = {
    "mixture": {"mix": ("{books}=0.3",)},
    "stages": {"stages": ("16:70%", "32:30%")},
    "ramp": {"batch_size_ramp": "2:60%"},
    "all of them": {"mix": ("{books}=0.3",), "stages": ("16:70%", "32:30%"), "batch_size_ramp": "2:60%", "lr_scheduler_type": "wsd"},
    "moving average": {"ema_decay": 0.9, "lr_scheduler_type": "cosine"},
    "mean of the last": {"average_last": 2, "lr_scheduler_type": "inverse_sqrt"},
    "pairs in stages": {"objective": "mlm+nsp", "stages": ("16:70%", "32:30%"), "mix": ("{books}=20%",)},
}


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory, write_token_shards: Callable[..., TokenShards], documents: Callable[..., Any]) -> TokenShards:
    return write_token_shards(tmp_path_factory.mktemp("texts") / "books", train=documents(9, seed=21), validation=documents(3, seed=22))


@pytest.fixture
def config(tiny_config_json: Callable[..., str]) -> PretrainConfig:
    base = PretrainConfig(model=tiny_config_json(), objective="mlm", max_steps=STEPS, batch_size=8, micro_batch_size=3, max_seq_length=24, bf16=False)
    return dataclasses.replace(base, hidden_dropout_prob=0.1, eval_steps=4, save_steps=1, save_total_limit=20, logging_steps=1)


def given(changes: dict[str, Any], books: TokenShards) -> dict[str, Any]:
    return {key: tuple(part.format(books=books.folder) for part in value) if isinstance(value, tuple) else value for key, value in changes.items()}


def rows(run: Path, kind: str = "train") -> list[dict[str, Any]]:
    return [row for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if row["kind"] == kind]


def plan(shards: TokenShards, config: PretrainConfig) -> Plan:
    return make_plan(shards, config, Device(torch.device("cpu"), torch.float32))


class Crash(Exception):
    pass


def crash_at(step: int) -> Callable[[Event], None]:
    def observer(event: Event) -> None:
        if event.kind == "train" and event.step == step:
            raise Crash

    return observer


def told(run: Path) -> list[list[Any]]:
    return [[row[key] for key in ("step", "loss", "learning_rate", "samples", "tokens")] for row in rows(run)]


def differing(first: Path, second: Path) -> list[str]:
    """The tensors in which two runs end differently."""
    latest, found = RunFolder(first).read_latest(), list[str]()
    assert latest is not None
    for name in ("model.safetensors", "training/optimizer.safetensors"):
        one, other = (load_file(run / "checkpoints" / latest.name / name) for run in (first, second))
        found += [f"{name}: {key}" for key in sorted({*one, *other}) if key not in one or key not in other or not torch.equal(one[key], other[key])]
    return found


@pytest.mark.parametrize("name", LONG)
def test_a_stopped_run_ends_with_the_bits_of_one_that_was_not(
    name: str, tmp_path: Path, shards: TokenShards, books: TokenShards, config: PretrainConfig
) -> None:
    config = dataclasses.replace(config, **given(LONG[name], books))
    pretrain(shards.folder, out=tmp_path / "straight", config=config)
    for step in (3, 7):
        with pytest.raises(Crash):
            pretrain(shards.folder, out=tmp_path / "stopped", config=config, observers=(crash_at(step),))
    pretrain(shards.folder, out=tmp_path / "stopped", config=config)
    assert told(tmp_path / "straight") == told(tmp_path / "stopped")
    assert differing(tmp_path / "straight", tmp_path / "stopped") == []


def test_epochs_of_each_text_are_told(tmp_path: Path, shards: TokenShards, books: TokenShards, config: PretrainConfig) -> None:
    config = dataclasses.replace(config, mix=(f"{books.folder}=30%",))
    pretrain(shards.folder, out=tmp_path / "run", config=config)
    last, read = rows(tmp_path / "run")[-1], plan(shards, config).read
    assert last["books_epochs"] == read.stream.epochs(STEPS * 8)["books"] > 0
    assert last["shards_epochs"] > 0


def test_the_plan_says_how_texts_are_mixed_and_how_rows_and_updates_grow(shards: TokenShards, books: TokenShards, config: PretrainConfig) -> None:
    config = dataclasses.replace(config, **given(LONG["all of them"], books))
    lines = "\n".join(plan_lines(plan_values(plan(shards, config), Device(torch.device("cpu"), torch.float32))))
    assert re.search(r"mixture +shards 0\.7 \([\d.]+ epochs\), books 0\.3 \([\d.]+ epochs\)", lines)
    assert re.search(r"stages +16:70% 32:30%", lines)
    assert "batches from 2 samples on, over 60% of the budget" in lines


def test_several_values_may_follow_an_option_and_shards_may_be_left_out(
    shards: TokenShards, books: TokenShards, config: PretrainConfig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["pretrain", "--mix", f"{shards.folder}=0.7", f"{books.folder}=0.3", "--stages", "16:90%", "32:10%", "--also_evaluate", str(books.folder)]
    run([*words, "--out", str(tmp_path / "run"), "--model", config.model, "--objective", "mlm", "--max_steps", "9", "--dry_run", "--json"])
    resolved = json.loads(capsys.readouterr().out)["config"]
    assert resolved["mix"] == [f"{shards.folder}=0.7", f"{books.folder}=0.3"]
    assert (resolved["stages"], resolved["max_seq_length"]) == (["16:90%", "32:10%"], 32)
    with pytest.raises(InputError, match="pretrain needs SHARDS"):
        run(["pretrain", "--out", str(tmp_path / "run"), "--max_steps", "9", "--dry_run"])


def test_an_evaluation_of_several_texts_is_told_in_one_line() -> None:
    values = {"eval_loss": 2.0, "eval_mlm_loss": 2.0, "chance_loss": 9.0, "eval_general_loss": 3.0, "eval_general_mlm_loss": 3.25}
    assert evaluation_summary(values) == "masked loss 2.000 (chance 9.00)   general 3.250"


def test_a_mixture_may_stand_for_the_shards(tmp_path: Path, shards: TokenShards, books: TokenShards, config: PretrainConfig) -> None:
    mixed = dataclasses.replace(config, mix=(f"{shards.folder}=0.7", f"{books.folder}=0.3"))
    pretrain(out=tmp_path / "named", config=mixed)
    pretrain(shards.folder, out=tmp_path / "replay", config=dataclasses.replace(config, mix=(f"{books.folder}=0.3",)))
    assert [row["loss"] for row in rows(tmp_path / "named")] == [row["loss"] for row in rows(tmp_path / "replay")]


@pytest.mark.parametrize(
    ("mix", "expected"),
    [
        (("{books}=1.0",), "mix leaves nothing of"),
        (("{shards}=0.6", "{books}=0.3"), "mix adds up to 0.9"),
        (("{books}=0.0001",), "a share of 0.001 is the least"),
        (("{books}",), "write it as FOLDER=SHARE"),
        (("{books}=0.3", "{books}=0.4"), "books 2 times: give it one share"),
        (("nowhere=0.1",), "nowhere: no such folder"),
    ],
)
def test_a_mixture_that_cannot_be_is_named(
    mix: tuple[str, ...], expected: str, tmp_path: Path, shards: TokenShards, books: TokenShards, config: PretrainConfig
) -> None:
    texts = tuple(part.format(books=books.folder, shards=shards.folder) for part in mix)
    with pytest.raises(InputError) as refused:
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, mix=texts, optimizer="sgd"))
    assert sum(expected in line for line in refused.value.problems) == 1, refused.value.problems
    assert len(refused.value.problems) == 2


def test_shards_of_another_tokenizer_are_not_mixed_in(
    tmp_path: Path, shards: TokenShards, books: TokenShards, config: PretrainConfig, write_token_shards: Callable[..., TokenShards]
) -> None:
    strange = write_token_shards(tmp_path / "strange", train=[[[5, 6], [7]]])
    info = strange.folder / "shards.json"
    info.write_text(info.read_text().replace(strange.tokenizer_hash, "0" * 64))
    for file in (strange.folder / "tokenizer").iterdir():
        if file.name in ("vocab.txt", "tokenizer.json"):
            file.write_text(file.read_text().replace("bar", "zar"))
    with pytest.raises(InputError, match=r"mix .*strange was made with another tokenizer") as refused:
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, mix=(f"{strange.folder}=0.1", f"{books.folder}=0.1")))
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize("budget", [{"max_steps": 400}, {"max_steps": None, "max_tokens": 60_000}, {"max_steps": None, "num_train_epochs": 30.0}])
@pytest.mark.parametrize("objective", ["mlm", "mlm+nsp"])
@pytest.mark.parametrize("ramp", [None, "2:20%"])
def test_stages_get_their_shares_of_the_tokens(budget: dict[str, Any], objective: str, ramp: str | None, shards: TokenShards, config: PretrainConfig) -> None:
    changes: dict[str, Any] = {"stages": ("16:80%", "48:20%"), "objective": objective, "batch_size_ramp": ramp, **budget}
    made = plan(shards, dataclasses.replace(config, **changes))
    tokens, step, sample, used = [0, 0], 0, 0, 0
    while {"steps": step, "samples": sample, "tokens": used}[made.budget.unit] < made.budget.amount:
        size = made.read.course.size(step)
        taken = made.read.stream.take(sample, sample + size)[0]
        tokens[taken.ids.shape[1] == 48] += int(taken.lengths.sum())
        step, sample, used = step + 1, sample + size, sum(tokens)
    assert tokens[1] / sum(tokens) == pytest.approx(0.2, abs=0.02)
    assert made.read.samples == pytest.approx(sample, rel=0.05)
    told = plan_values(made, Device(torch.device("cpu"), torch.float32))
    assert told["steps"] == pytest.approx(step, rel=0.05)
    assert float(told["epochs"]) * made.source.size(0) * 48 == pytest.approx(sum(tokens), rel=0.3), "padding counts"
    assert made.config.max_seq_length == 48


def test_the_samples_of_one_text_are_made_once(shards: TokenShards, config: PretrainConfig) -> None:
    """Tables of an epoch are as long as the text."""
    made = plan(shards, config)
    assert isinstance(made.read.stream, Stream)
    assert made.read.stream.source is made.source


def test_rows_of_a_pass_hold_as_many_tokens_in_every_stage(shards: TokenShards, config: PretrainConfig) -> None:
    made = plan(shards, dataclasses.replace(config, stages=("12:50%", "24:50%"), micro_batch_size=3))
    assert [rows for _, rows in made.read.course.rows] == [6, 3]


def test_the_first_updates_are_smaller(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, batch_size_ramp="2:50%"))
    seen = [row["samples"] for row in rows(tmp_path / "run")]
    assert [after - before for before, after in zip([0, *seen], seen, strict=False)] == [2, 3, 5, 6, 8, 8, 8, 8]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"stages": ("16:90%", "128:10%")},
            "stages goes to rows of 128 tokens, longer than the model's 64 positions: take 64 or less, or --extend",
        ),
        ({"stages": ("16:90%",)}, "stages adds up to 0.9"),
        ({"stages": ("16:90%", "32:10%"), "max_steps": None, "max_minutes": 1.0}, "stages goes by shares of the samples, and minutes do not tell"),
        ({"batch_size_ramp": "2:10%", "max_steps": None}, "batch_size_ramp goes by shares of the samples, and minutes do not tell"),
        ({"batch_size_ramp": "8:10%"}, "batch_size_ramp begins with 8 sequences, batch_size is 8: begin with fewer"),
        ({"batch_size_ramp": "few"}, "batch_size_ramp has 'few'"),
        ({"batch_size_ramp": "2:10% 4:10%"}, "batch_size_ramp is '2:10% 4:10%'"),
    ],
)
def test_stages_and_ramps_that_cannot_be_are_named(changes: dict[str, Any], expected: str, tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    with pytest.raises(InputError) as refused:
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, **changes))
    assert len(refused.value.problems) == 1
    assert expected in refused.value.problems[0]


@pytest.mark.parametrize(
    ("changes", "moving"), [({"freeze_embeddings": True}, ("encoder", "cls")), ({"freeze_layers": 1}, ("layer.1", "cls")), ({"freeze_layers": 2}, ("cls",))]
)
def test_what_is_frozen_stays_as_it_was_also_over_a_resume(
    changes: dict[str, Any], moving: tuple[str, ...], tmp_path: Path, shards: TokenShards, config: PretrainConfig
) -> None:
    first = pretrain(shards.folder, out=tmp_path / "first", config=dataclasses.replace(config, max_steps=2))
    onward = dataclasses.replace(config, init_from=str(first.checkpoint), **changes)
    pretrain(shards.folder, out=tmp_path / "run", config=onward)
    with pytest.raises(Crash):
        pretrain(shards.folder, out=tmp_path / "stopped", config=onward, observers=(crash_at(5),))
    pretrain(shards.folder, out=tmp_path / "stopped", config=onward)
    assert told(tmp_path / "run") == told(tmp_path / "stopped")
    assert differing(tmp_path / "run", tmp_path / "stopped") == []
    before, after = (load_file(folder / "model.safetensors") for folder in (first.checkpoint, tmp_path / "run" / "checkpoints" / f"step-{STEPS:06d}"))
    learnt = {name for name in before if not torch.equal(before[name], after[name])}
    assert learnt
    assert all(any(part in name for part in moving) for name in learnt), learnt
    assert all(any(part in name for name in learnt) for part in moving)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"freeze_layers": 9}, "freeze_layers is 9: the model has 2 layers"),
        ({"freeze_layers": -1}, "freeze_layers is -1: it must be 0 or more"),
        ({"init_from": None, "freeze_layers": 1}, "the weights are new: nothing would ever learn them"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0: it must lie in [0, 1)"),
        ({"ema_decay": 0.9, "average_last": 2}, "one average is saved, take one away"),
    ],
)
def test_frozen_layers_and_averages_that_cannot_be_are_named(
    changes: dict[str, Any], expected: str, tmp_path: Path, shards: TokenShards, config: PretrainConfig
) -> None:
    first = pretrain(shards.folder, out=tmp_path / "first", config=dataclasses.replace(config, max_steps=1))
    with pytest.raises(InputError) as refused:
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, **{"init_from": str(first.checkpoint), **changes}))
    assert len(refused.value.problems) == 1
    assert expected in refused.value.problems[0]

"""Configs that cannot be trained: one line for each mistake, all at once, before anything is written."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertwright.checkpoints.huggingface import load_model, save_model
from bertwright.data.shards import TokenShards
from bertwright.errors import InputError
from bertwright.models import Model
from bertwright.objectives.registry import objective
from bertwright.text.tokenizer import Tokenizer
from bertwright.training import plan
from bertwright.training.config import PretrainConfig
from bertwright.training.pretrain import pretrain

FITTING: dict[str, Any] = {"max_seq_length": 32, "max_steps": 1, "batch_size": 2}

# What is changed, and what its line must say: the key, the value, and what to do.
MISTAKES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "two budgets": ({"max_minutes": 3.0}, ["max_steps and max_minutes are both given", "take one away"]),
    "three budgets": ({"max_minutes": 3.0, "num_train_epochs": 1.0}, ["max_steps and num_train_epochs and max_minutes"]),
    "no steps": ({"max_steps": 0}, ["max_steps is 0", "above 0"]),
    "negative epochs": ({"max_steps": None, "num_train_epochs": -1.0}, ["num_train_epochs is -1.0", "above 0"]),
    "no batch": ({"batch_size": 0}, ["batch_size is 0", "above 0"]),
    "no passes": ({"micro_batch_size": -2}, ["micro_batch_size is -2", "above 0"]),
    "negative rate": ({"learning_rate": -1e-3}, ["learning_rate is -0.001", "above 0"]),
    "rate that is no number": ({"muon_learning_rate": float("nan")}, ["muon_learning_rate is nan", "above 0"]),
    "no checkpoints": ({"save_total_limit": 0}, ["save_total_limit is 0", "above 0"]),
    "negative warm-up": ({"warmup_steps": -1}, ["warmup_steps is -1", "0 or more"]),
    "negative decay": ({"weight_decay": -0.1}, ["weight_decay is -0.1", "0 or more"]),
    "dropout of one": ({"hidden_dropout_prob": 1.0}, ["hidden_dropout_prob is 1.0", "[0, 1)"]),
    "moment beyond one": ({"adam_beta2": 1.5}, ["adam_beta2 is 1.5", "[0, 1)"]),
    "no masks": ({"mlm_probability": 0.0}, ["mlm_probability is 0.0", "0.15"]),
    "all masks": ({"mlm_probability": 1.0}, ["mlm_probability is 1.0", "0.15"]),
    "rows too short": ({"max_seq_length": 4}, ["max_seq_length is 4", "at least 8"]),
    "sequence longer than the positions": ({"max_seq_length": 65}, ["max_seq_length 65", "64 positions", "take 64 or less"]),
    "negative seed": ({"seed": -1}, ["seed is -1", "[0, 2**63)"]),
    "a rhythm that is none": ({"eval_steps": "often"}, ["eval_steps is 'often'", "or epoch"]),
    "a rhythm of nothing": ({"save_steps": 0}, ["save_steps is 0", "or epoch"]),
    "unknown optimizer": ({"optimizer": "sgd"}, ["optimizer is 'sgd'", "muon, adamw"]),
    "unknown start": ({"start": "warm"}, ["start is 'warm'", "neighbours, random"]),
    "a start for one model of two": ({"objective": "rtd", "model": "electra-tiny", "start": "neighbours"}, ["start neighbours", "take start random"]),
    "unknown objective": ({"objective": "nsp"}, ["objective is 'nsp'", "mlm+nsp, mlm"]),
    "two precisions": ({"bf16": True, "fp16": True}, ["bf16 and fp16 are both given", "take one"]),
    "float16 on a CPU": ({"fp16": True}, ["fp16 needs a GPU", "leave it out"]),
    "unknown preset": ({"model": "bert-smal"}, ["'bert-smal'", "did you mean bert-small"]),
    "missing config.json": ({"model": "nowhere/config.json"}, ["nowhere/config.json does not exist"]),
    "missing checkpoint": ({"init_from": "./nowhere"}, ["./nowhere does not exist"]),
    "start of a checkpoint's weights": ({"init_from": "./nowhere", "start": "random"}, ["start is 'random' and init_from is './nowhere'", "take one away"]),
}


def lines_of(shards: TokenShards, out: Path, config: PretrainConfig) -> tuple[str, ...]:
    with pytest.raises(InputError) as refused:
        pretrain(shards.folder, out=out, config=config)
    assert not out.exists(), "something was written for a config that cannot be trained"
    assert refused.value.exit_code == 2
    assert all("\n" not in line for line in refused.value.problems)
    return refused.value.problems


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_one_line_that_names_key_value_and_mend(name: str, tmp_path: Path, shards: TokenShards, tiny_config_json: Callable[..., str]) -> None:
    changes, expected = MISTAKES[name]
    lines = lines_of(shards, tmp_path / "run", PretrainConfig(**{"model": tiny_config_json(), **FITTING, **changes}))
    matching = [line for line in lines if all(part in line for part in expected)]
    assert len(matching) == 1, lines


def test_the_fitting_config_has_none(tmp_path: Path, shards: TokenShards, tiny_config_json: Callable[..., str]) -> None:
    assert pretrain(shards.folder, out=tmp_path / "run", config=PretrainConfig(model=tiny_config_json(), **FITTING)).metrics


def test_all_mistakes_come_at_once(tmp_path: Path, shards: TokenShards, tiny_config_json: Callable[..., str]) -> None:
    names = (
        "two budgets",
        "no batch",
        "sequence longer than the positions",
        "unknown optimizer",
        "unknown objective",
        "float16 on a CPU",
        "no masks",
        "a rhythm of nothing",
    )
    changes = {key: value for name in names for key, value in MISTAKES[name][0].items()}
    lines = lines_of(shards, tmp_path / "run", PretrainConfig(**{"model": tiny_config_json(), **FITTING, **changes}))
    assert len(lines) == len(names)
    for name in names:
        assert sum(all(part in line for part in MISTAKES[name][1]) for line in lines) == 1, name


def test_missing_shards_and_a_wrong_config_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        pretrain(tmp_path / "none", out=tmp_path / "run", config=PretrainConfig(max_steps=1, max_minutes=1.0))
    assert len(refused.value.problems) == 2
    assert any("no such folder" in line for line in refused.value.problems)


CONFIGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "hidden size not divisible by heads": ({"hidden_size": 18, "num_attention_heads": 4}, ["hidden_size 18 is not divisible by num_attention_heads 4"]),
    "another vocabulary": ({"vocab_size": 40}, ["53 entries", "40", "set vocab_size to 53"]),
    "one token type with pairs": ({"type_vocab_size": 1}, ["needs two token types, the model has 1", "--objective mlm"]),
    "no such family": ({"model_type": "llama"}, ["model_type 'llama' is not supported", "bert, roberta"]),
    "a family without the heads": (
        {"model_type": "gpt2", "eos_token_id": 3},
        ["that this model family lacks (pooler, mlm, nsp)", "a model of bert, nezha, or --objective clm"],
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_json_that_contradicts_itself_or_the_shards_is_named(
    name: str, tmp_path: Path, shards: TokenShards, tiny_config_json: Callable[..., str]
) -> None:
    changes, expected = CONFIGS[name]
    lines = lines_of(shards, tmp_path / "run", PretrainConfig(model=tiny_config_json(**changes), **{**FITTING, "optimizer": "sgd"}))
    assert sum(all(part in line for part in expected) for line in lines) == 1, lines
    assert any("'sgd'" in line for line in lines), "the config's own mistake is lost"


def test_any_objective_of_pairs_needs_two_token_types(
    tmp_path: Path, shards: TokenShards, tiny_config_json: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "objective", lambda *given: dataclasses.replace(objective(*given), segments=2))
    config = PretrainConfig(model=tiny_config_json(type_vocab_size=1), objective="mlm", **FITTING)
    assert lines_of(shards, tmp_path / "run", config)[0].startswith("objective mlm needs two token types, the model has 1: set type_vocab_size to 2")


@pytest.mark.parametrize("change", ["other words", "more words"])
def test_shards_made_with_another_tokenizer_than_the_checkpoint_has_are_refused(
    change: str, tmp_path: Path, shards: TokenShards, tokenizer: Tokenizer, tiny_config_json: Callable[..., str]
) -> None:
    result = pretrain(shards.folder, out=tmp_path / "first", config=PretrainConfig(model=tiny_config_json(), **FITTING))
    vocab = [*tokenizer.vocab[:-1], "zebra"] if change == "other words" else [*tokenizer.vocab, "zebra"]
    (tmp_path / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    other = Tokenizer.load(tmp_path / "vocab.txt")
    checkpoint, made = tmp_path / "checkpoint", load_model(result.checkpoint).model
    architecture = dataclasses.replace(made.architecture, vocab_size=other.vocab_size)
    save_model(Model(architecture, made.head_kinds), checkpoint, config=made.config)
    other.save(checkpoint)
    lines = lines_of(shards, tmp_path / "second", PretrainConfig(init_from=str(checkpoint), **FITTING))
    assert len(lines) == 1
    assert str(shards.folder) in lines[0]
    assert f"--tokenizer {checkpoint}" in lines[0]
    assert "(53 entries)" in lines[0]
    assert f"({other.vocab_size} entries)" in lines[0]


@pytest.mark.parametrize(
    ("train", "objective", "expected"),
    [
        ([[[5, 6], [7]]], "mlm+nsp", "two documents or more"),
        ([[[5, 6]], [[7]]], "mlm+nsp", "two sentences or more"),
        ([], "mlm", "the training split is empty"),
    ],
)
def test_text_that_cannot_serve_is_named(
    train: list[list[list[int]]],
    objective: str,
    expected: str,
    tmp_path: Path,
    write_token_shards: Callable[..., TokenShards],
    tiny_config_json: Callable[..., str],
) -> None:
    shards = write_token_shards(tmp_path / "shards", train=train)
    lines = lines_of(shards, tmp_path / "run", PretrainConfig(model=tiny_config_json(), objective=objective, **FITTING))
    assert len(lines) == 1
    assert expected in lines[0]

"""Filled masks over time: the same sentences after each evaluation, in samples.jsonl, without touching the training."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bertwright.data.shards import TokenShards
from bertwright.text.tokenizer import Tokenizer
from bertwright.training import pretrain as pretraining
from bertwright.training.config import PretrainConfig
from bertwright.training.events import Event
from bertwright.training.filled import LONGEST, SENTENCES, SHORTEST, sentences
from bertwright.training.pretrain import pretrain


def config(tiny: str, **keys: int) -> PretrainConfig:
    return PretrainConfig(
        model=tiny, objective="mlm", batch_size=4, max_seq_length=32, eval_steps=2, bf16=False, hidden_dropout_prob=0.1, **{"max_steps": 6, **keys}
    )


def lines(run: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run / "samples.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_same_held_out_sentences_are_filled_after_each_evaluation(shards: TokenShards, tiny_config_json: Callable[..., str], tmp_path: Path) -> None:
    pretrain(shards.folder, out=tmp_path / "run", config=config(tiny_config_json()))
    found = lines(tmp_path / "run")
    assert [row["step"] for row in found[::SENTENCES]] == [2, 4, 6]
    assert len({row["text"] for row in found}) == SENTENCES
    assert all("[MASK]" in str(row["text"]) and "[MASK]" not in str(row["original"]) for row in found)
    assert all(len(row["filled"]) == row["masks"] >= row["right"] for row in found)  # type: ignore[arg-type, operator]


def test_filling_does_not_touch_the_training(
    shards: TokenShards, tiny_config_json: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = tiny_config_json()
    filled = pretrain(shards.folder, out=tmp_path / "filled", config=config(tiny))
    monkeypatch.setattr(pretraining, "FilledSentences", lambda *given: lambda event: None)
    plain = pretrain(shards.folder, out=tmp_path / "plain", config=config(tiny))
    one, other = (load_file(result.checkpoint / "model.safetensors") for result in (filled, plain))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_lines_beyond_the_checkpoint_are_cut_back(shards: TokenShards, tiny_config_json: Callable[..., str], tmp_path: Path) -> None:
    tiny, run = tiny_config_json(), tmp_path / "run"

    def stop(event: Event) -> None:
        if event.kind == "evaluate" and event.step == 4:
            raise KeyboardInterrupt

    for observers in ((stop,), ()):
        try:
            pretrain(shards.folder, out=run, config=config(tiny, save_steps=3), observers=observers)
        except KeyboardInterrupt:
            with (run / "samples.jsonl").open("a", encoding="utf-8") as file:
                file.write('{"step": 4, "text": "left by the stopped run"}\n')
    assert [row["step"] for row in lines(run)[::SENTENCES]] == [2, 4, 6]


def test_sentences_are_short_and_known(shards: TokenShards, tokenizer: Tokenizer) -> None:
    found = sentences(shards.validation, tokenizer)
    assert 0 < len(found) <= SENTENCES
    assert all(SHORTEST <= len(tokenizer.encode_ids([sentence])[0]) <= LONGEST for sentence in found)

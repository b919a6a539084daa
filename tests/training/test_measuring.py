"""A text that training goes on with and one that may be forgotten are both measured, from before the first step on."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertwright.data.shards import ShardsWriter, TokenShards
from bertwright.errors import InputError
from bertwright.text.tokenizer import Tokenizer
from bertwright.training.config import PretrainConfig
from bertwright.training.events import Event
from bertwright.training.pretrain import pretrain

Write = Callable[..., TokenShards]
Made = Callable[..., list[list[list[int]]]]


@pytest.fixture
def config(tiny_config_json: Callable[..., str]) -> PretrainConfig:
    return PretrainConfig(model=tiny_config_json(), objective="mlm", max_steps=4, batch_size=8, max_seq_length=24, bf16=False, eval_steps=2, save_steps=2)


@pytest.fixture
def general(tmp_path: Path, write_token_shards: Write, documents: Made) -> TokenShards:
    return write_token_shards(tmp_path / "general", train=documents(4, seed=11), validation=documents(4, seed=12))


def evaluated(run: Path) -> list[dict[str, Any]]:
    return [row for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if row["kind"] == "evaluate"]


def test_training_on_is_measured_before_its_first_step_on_both_texts(tmp_path: Path, shards: TokenShards, general: TokenShards, config: PretrainConfig) -> None:
    first = pretrain(shards.folder, out=tmp_path / "first", config=dataclasses.replace(config, max_steps=20, eval_steps=20))
    other = pretrain(general.folder, out=tmp_path / "other", config=dataclasses.replace(config, init_from=str(first.checkpoint), max_steps=1, eval_steps=9))
    onward = dataclasses.replace(config, init_from=str(first.checkpoint), also_evaluate=(str(general.folder),))
    pretrain(shards.folder, out=tmp_path / "run", config=onward)
    rows = evaluated(tmp_path / "run")
    assert [row["step"] for row in rows] == [0, 2, 4]
    assert rows[0]["eval_mlm_loss"] == pytest.approx(first.metrics["eval_mlm_loss"], rel=1e-5)
    assert rows[0]["eval_general_mlm_loss"] == pytest.approx(evaluated(other.run)[0]["eval_mlm_loss"], rel=1e-5)
    assert all({"eval_general_loss", "eval_general_mlm_accuracy", "eval_general_perplexity"} <= row.keys() for row in rows)
    assert rows[-1]["eval_general_mlm_loss"] != rows[0]["eval_general_mlm_loss"]


def test_a_text_in_a_folder_named_as_a_loss_leaves_that_loss_alone(
    tmp_path: Path, shards: TokenShards, config: PretrainConfig, write_token_shards: Write, documents: Made
) -> None:
    other = write_token_shards(tmp_path / "mlm", train=documents(4, seed=11), validation=documents(4, seed=12))
    alone = pretrain(shards.folder, out=tmp_path / "alone", config=config)
    beside = pretrain(shards.folder, out=tmp_path / "beside", config=dataclasses.replace(config, also_evaluate=(str(other.folder),)))
    assert beside.metrics["eval_mlm_loss"] == alone.metrics["eval_mlm_loss"]
    assert beside.metrics["eval_mlm_text_mlm_loss"] != alone.metrics["eval_mlm_loss"]


def test_a_text_to_measure_may_come_to_a_run_that_has_begun(tmp_path: Path, shards: TokenShards, config: PretrainConfig, general: TokenShards) -> None:
    whole = pretrain(shards.folder, out=tmp_path / "whole", config=config)
    pretrain(shards.folder, out=tmp_path / "run", config=config)
    again = dataclasses.replace(config, resume_from_checkpoint=str(tmp_path / "run" / "checkpoints" / "step-000002"), also_evaluate=(str(general.folder),))
    rest = pretrain(shards.folder, out=tmp_path / "run", config=again)
    assert rest.metrics["eval_mlm_loss"] == whole.metrics["eval_mlm_loss"]
    assert ["eval_general_mlm_loss" in row for row in evaluated(tmp_path / "run")] == [False, True]


def test_from_new_weights_nothing_is_measured_before_the_first_step(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    pretrain(shards.folder, out=tmp_path / "run", config=config)
    assert [row["step"] for row in evaluated(tmp_path / "run")] == [2, 4]


def test_stopped_before_or_after_its_first_checkpoint_a_run_tells_of_the_start_once(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    first = pretrain(shards.folder, out=tmp_path / "first", config=config)
    onward = dataclasses.replace(config, init_from=str(first.checkpoint))

    def at(step: int) -> Callable[[Event], None]:
        def stop(event: Event) -> None:
            if event.kind == "train" and event.step == step:
                raise KeyboardInterrupt

        return stop

    for step in (1, 4):
        with pytest.raises(KeyboardInterrupt):
            pretrain(shards.folder, out=tmp_path / "run", config=onward, observers=(at(step),))
    pretrain(shards.folder, out=tmp_path / "run", config=onward)
    assert [row["step"] for row in evaluated(tmp_path / "run")] == [0, 2, 4]


def with_tokenizer(folder: Path, tokenizer: Tokenizer, documents: list[list[list[int]]]) -> Path:
    with ShardsWriter(folder) as writer:
        writer.begin(vocab_size=tokenizer.vocab_size, word_start_table=tokenizer.word_start_table)
        for document in documents:
            for split in (writer.train, writer.validation):
                split.add(
                    np.array([token for sentence in document for token in sentence]),
                    np.array([len(sentence) for sentence in document]),
                    np.array([len(document)]),
                )
        tokenizer.save(writer.path / "tokenizer")
        writer.commit(tokenizer_hash=tokenizer.hash, options={})
    return folder


def test_texts_of_other_tokenizers_missing_ones_and_two_of_a_name_are_named_at_once(
    tmp_path: Path, shards: TokenShards, general: TokenShards, tokenizer: Tokenizer, documents: Made, config: PretrainConfig
) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*tokenizer.vocab[:-1], "zebra"]) + "\n", encoding="utf-8")
    other = with_tokenizer(tmp_path / "strange", Tokenizer.load(tmp_path / "vocab.txt"), documents(2, seed=1))
    shutil.copytree(general.folder, tmp_path / "copy" / "general")
    folders = (str(general.folder), str(other), str(tmp_path / "none"), str(tmp_path / "copy" / "general"))
    with pytest.raises(InputError) as refused:
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, also_evaluate=folders, optimizer="sgd"))
    found = refused.value.problems
    assert len(found) == 4
    assert any("strange was made with another tokenizer (53 entries)" in line and "prepare its text again with --tokenizer" in line for line in found)
    assert any("none: no such folder" in line for line in found)
    assert any("two texts named general" in line for line in found)


def test_a_text_prepared_before_words_were_added_can_still_be_measured(
    tmp_path: Path, general: TokenShards, tokenizer: Tokenizer, documents: Made, config: PretrainConfig
) -> None:
    """The same ids mean the same, so a model with more entries reads it as the one with fewer did."""
    (tmp_path / "vocab.txt").write_text("\n".join([*tokenizer.vocab, "zebra"]) + "\n", encoding="utf-8")
    wider = with_tokenizer(tmp_path / "domain", Tokenizer.load(tmp_path / "vocab.txt"), documents(6, seed=1))
    named = dataclasses.replace(config, model="bert-tiny", max_steps=1, also_evaluate=(str(general.folder),))
    result = pretrain(wider, out=tmp_path / "run", config=named)
    assert result.metrics["eval_general_mlm_loss"] > 0

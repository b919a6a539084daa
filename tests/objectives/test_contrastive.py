"""A sentence is found by another dropout of itself among those of its batch, which is one pass of one process."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import bertwright
from bertwright.checkpoints.huggingface import load_model
from bertwright.data.samples import Vocabulary
from bertwright.data.shards import TokenShards
from bertwright.data.single_sentences import SingleSentences
from bertwright.data.stream import Stream
from bertwright.errors import InputError
from bertwright.evaluation.pretraining import evaluate
from bertwright.families.presets import preset_architecture
from bertwright.models import Model
from bertwright.objectives.config import ObjectiveConfig
from bertwright.objectives.contrastive import Contrastive, TwiceBatch
from bertwright.objectives.registry import objective
from bertwright.training.config import PretrainConfig
from bertwright.training.devices import Device
from bertwright.training.events import Event
from bertwright.training.plan import make_plan
from bertwright.training.pretrain import pretrain


@pytest.fixture
def config(tiny_config_json: Callable[..., str]) -> PretrainConfig:
    return PretrainConfig(model=tiny_config_json(), objective="contrastive", max_steps=4, batch_size=8, max_seq_length=24, bf16=False, logging_steps=1)


def contrastive(vocabulary: Vocabulary, **keys: Any) -> Contrastive:
    found = objective(ObjectiveConfig(objective="contrastive", **keys), vocabulary)
    assert isinstance(found, Contrastive)
    return found


def batch_of(found: Contrastive, shards: TokenShards, vocabulary: Vocabulary, *, count: int = 9) -> TwiceBatch:
    return found.batch(*Stream(found.source(shards.train, vocabulary, length=16, seed=3), seed=3).take(0, count))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_the_loss_is_that_of_simcse(pooling: str, shards: TokenShards, vocabulary: Vocabulary) -> None:
    """Against equation 4 written out, with the very dropout masks: vectors are computed by the same calls from the same random state."""
    found = contrastive(vocabulary, contrastive_temperature=0.1, contrastive_pooling=pooling)
    torch.manual_seed(0)
    model = Model(preset_architecture("bert-tiny", vocab_size=53, pad_token_id=0).with_dropout(0.1)).train()
    whole, batch = found.together(model, None), batch_of(found, shards, vocabulary)
    torch.manual_seed(5)
    term = found.losses(whole, batch)["contrastive"]
    torch.manual_seed(5)
    hidden = model(batch.input_ids, layout=batch.layout).last_hidden_state.detach()
    vectors = []
    for row, mask in zip(hidden, batch.mask, strict=True):
        vector = row[0] if pooling == "cls" else row[mask].mean(0)
        vectors.append((torch.tanh(whole.beside["projection"](vector)) if pooling == "cls" else vector).detach().double())
    expected, right, count = 0.0, 0, len(vectors) // 2
    for row in range(count):
        cosines = [float(vectors[row] @ other / (vectors[row].norm() * other.norm())) for other in vectors[count:]]
        expected -= math.log(math.exp(cosines[row] / 0.1) / sum(math.exp(cosine / 0.1) for cosine in cosines))
        right += int(np.argmax(cosines) == row)
    assert term.sum.item() == pytest.approx(expected, rel=1e-4)
    assert term.hits is not None
    assert term.hits.item() == right
    assert batch.weights == {"contrastive": count}
    assert not torch.equal(hidden[0], hidden[count]), "both views of a sentence have one dropout mask"


def test_every_sentence_comes_once_an_epoch_whole_and_in_an_order_of_its_own(shards: TokenShards, vocabulary: Vocabulary) -> None:
    source = SingleSentences(shards.train, vocabulary, length=9, seed=1)
    split, orders = shards.train, []
    expected = sorted(tuple(split.tokens[start:end][:7].tolist()) for start, end in zip(split.sentences[:-1], split.sentences[1:], strict=True))
    for epoch in range(2):
        samples = source.take(epoch, np.arange(source.size(epoch)))
        rows = [row[:length].tolist() for row, length in zip(samples.ids, samples.lengths, strict=True)]
        assert all(row[0] == vocabulary.cls_id and row[-1] == vocabulary.sep_id for row in rows)
        assert (samples.ids[np.arange(9) >= samples.lengths[:, None]] == vocabulary.pad_id).all()
        orders.append([tuple(row[1:-1]) for row in rows])
        assert sorted(orders[-1]) == expected
    assert orders[0] != orders[1]


def test_a_batch_is_made_of_numbers_alone(shards: TokenShards, vocabulary: Vocabulary) -> None:
    found = contrastive(vocabulary)
    together = batch_of(found, shards, vocabulary, count=9)
    alone = found.batch(*Stream(found.source(shards.train, vocabulary, length=16, seed=3), seed=3).take(7, 8))
    for row in (7, 16):
        assert together.input_ids[row, : alone.input_ids.shape[1]].equal(alone.input_ids[0])
    assert together.tokens == int(together.mask.sum())


def test_held_out_sentences_are_measured_alike_every_time_and_the_random_state_stays(shards: TokenShards, vocabulary: Vocabulary) -> None:
    found = contrastive(vocabulary)
    torch.manual_seed(0)
    whole = found.together(Model(preset_architecture("bert-tiny", vocab_size=53, pad_token_id=0).with_dropout(0.1)), None).eval()
    batch, before = batch_of(found, shards, vocabulary), torch.get_rng_state()
    first = found.measures(whole, batch)["contrastive"].sum.item()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert found.measures(whole, batch)["contrastive"].sum.item() == first
    assert not whole.training


def test_a_sentence_alone_in_the_last_batch_counts_neither_way(shards: TokenShards, vocabulary: Vocabulary) -> None:
    found = contrastive(vocabulary)
    model = Model(preset_architecture("bert-tiny", vocab_size=53, pad_token_id=0).with_dropout(0.1))
    stream = Stream(found.source(shards.train, vocabulary, length=16, seed=3), seed=3)
    whole, more = (evaluate(model, found, stream, samples=count, batch_size=4) for count in (4, 5))
    assert more["contrastive_count"] == whole["contrastive_count"] == 4
    assert (more["contrastive_loss"], more["contrastive_accuracy"]) == (whole["contrastive_loss"], whole["contrastive_accuracy"])


def test_smaller_passes_and_more_processes_are_refused_and_why_is_said(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    with pytest.raises(InputError, match=r"objective contrastive compares the rows of a batch .*: leave micro_batch_size out, or take batch_size 4"):
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, micro_batch_size=4))
    with pytest.raises(InputError, match=r"objective contrastive compares the rows of a batch .* batch_size is 1: take 2 or more"):
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, batch_size=1))
    with pytest.raises(InputError, match=r"objective contrastive compares the rows of a batch .*: run it without torchrun"):
        make_plan(shards, config, Device(torch.device("cpu"), torch.float32, 0, 2))
    assert make_plan(shards, dataclasses.replace(config, batch_size=4096), Device(torch.device("cpu"), torch.float32)).config.micro_batch_size == 4096


def test_it_drops_out_unless_told_and_is_refused_without(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    plan = make_plan(shards, config, Device(torch.device("cpu"), torch.float32))
    assert plan.config.hidden_dropout_prob == 0.1
    with pytest.raises(InputError, match="hidden_dropout_prob is 0, and objective contrastive lives by dropout"):
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, hidden_dropout_prob=0.0))


def test_a_text_of_one_sentence_is_refused(tmp_path: Path, write_token_shards: Callable[..., TokenShards], config: PretrainConfig) -> None:
    lone = write_token_shards(tmp_path / "shards", train=[[[5, 6, 7]]])
    with pytest.raises(InputError, match="sentences are told from each other, and the text has 1"):
        pretrain(lone.folder, out=tmp_path / "run", config=config)


def rows(run: Path, kind: str) -> list[dict[str, Any]]:
    return [row for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if row["kind"] == kind]


def test_a_tiny_model_overfits_ten_sentences(
    tmp_path: Path, write_token_shards: Callable[..., TokenShards], documents: Callable[..., Any], config: PretrainConfig
) -> None:
    text = documents(5, seed=3, sentences=(2, 3), words=(4, 6))
    assert sum(map(len, text)) == 10
    shards = write_token_shards(tmp_path / "shards", train=text, validation=text)
    config = dataclasses.replace(config, max_steps=150, batch_size=10, learning_rate=5e-3, eval_steps=150, start="random")
    result = pretrain(shards.folder, out=tmp_path / "run", config=config)
    found = rows(tmp_path / "run", "train")
    assert found[0]["contrastive_loss"] > 0.6
    assert sum(row["contrastive_loss"] for row in found[-10:]) / 10 < 0.3 * found[0]["contrastive_loss"]
    assert result.metrics["eval_contrastive_accuracy"] > 0.7  # of ten, where chance has one
    assert "chance_loss" not in result.metrics  # which is one of tokens


@pytest.mark.parametrize("choice", [{}, {"bf16": True, "optimizer": "adamw", "contrastive_pooling": "mean"}], ids=["cls", "mean-bf16"])
def test_a_stopped_run_ends_with_the_bits_of_one_that_was_not(choice: dict[str, Any], tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    def crash(event: Event) -> None:
        if event.kind == "train" and event.step == 5:
            raise KeyboardInterrupt

    changes: dict[str, Any] = {"max_steps": 7, "save_steps": 3, "eval_steps": 4, "save_total_limit": 9}
    config = dataclasses.replace(config, **{**changes, **choice})
    pretrain(shards.folder, out=tmp_path / "straight", config=config)
    with pytest.raises(KeyboardInterrupt):
        pretrain(shards.folder, out=tmp_path / "stopped", config=config, observers=(crash,))
    pretrain(shards.folder, out=tmp_path / "stopped", config=config)
    projected = [] if choice else ["training/beside.safetensors"]
    for name in ("model.safetensors", "training/optimizer.safetensors", *projected):
        one, other = (load_file(tmp_path / run / "checkpoints" / "step-000007" / name) for run in ("straight", "stopped"))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), name
    assert (tmp_path / "straight" / "checkpoints" / "step-000007" / "training" / "beside.safetensors").exists() == bool(projected)


def test_the_checkpoint_gives_vectors_here_and_with_sentence_transformers(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    result = pretrain(shards.folder, out=tmp_path / "run", config=config)
    texts = ["ban ber", "din dor gan"]
    ours = np.asarray(bertwright.load(str(result.checkpoint)).embed(texts))
    theirs = sentence_transformers.SentenceTransformer(str(result.checkpoint), device="cpu").encode(texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert load_model(result.checkpoint).model.head_kinds == ()
    assert "sentence-similarity" in (result.checkpoint / "README.md").read_text()

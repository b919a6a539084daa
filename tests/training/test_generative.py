"""Models that write are pre-trained as readers are: they learn, go on with the same bits, and leave what transformers generates the same text from."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import pre_tokenizers

from bertwright.api import evaluate, prepare
from bertwright.checkpoints.huggingface import load_model
from bertwright.cli.display import evaluation_summary
from bertwright.data.shards import ShardsWriter, TokenShards
from bertwright.errors import InputError
from bertwright.inference.predictor import load
from bertwright.objectives.registry import OBJECTIVES
from bertwright.reports.page import write_report
from bertwright.text.sentinels import with_sentinels
from bertwright.text.tokenizer import Tokenizer
from bertwright.training.config import PretrainConfig
from bertwright.training.events import Event
from bertwright.training.pretrain import pretrain

Made = Callable[..., list[list[list[int]]]]

GPT2 = {"model_type": "gpt2", "n_embd": 48, "n_layer": 2, "n_head": 2, "n_positions": 64}
T5 = {"model_type": "t5", "d_model": 48, "num_layers": 2, "num_heads": 2, "d_kv": 24, "d_ff": 96}
LAYERS = {f"{side}_{key}": value for side in ("encoder", "decoder") for key, value in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 96))}
BART = {"model_type": "bart", "d_model": 48, "max_position_embeddings": 64, **LAYERS}
MODELS = {"clm": GPT2, "span_corruption": T5, "prefix_lm": T5, "denoising": BART}
CONFIG = PretrainConfig(max_steps=6, batch_size=8, micro_batch_size=3, max_seq_length=24, bf16=False, logging_steps=1, save_steps=3, save_total_limit=9)


@pytest.fixture(scope="module")
def sentinel_shards(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer, documents: Made) -> TokenShards:
    """Ten sentences in five documents, held out too, with a tokenizer of 53 entries and 20 sentinels."""
    text, able = documents(5, seed=3, sentences=(2, 3), words=(4, 6)), with_sentinels(tokenizer, 20)
    folder = tmp_path_factory.mktemp("text") / "shards"
    with ShardsWriter(folder) as writer:
        writer.begin(vocab_size=able.vocab_size, word_start_table=able.word_start_table)
        for split in (writer.train, writer.validation):
            for document in text:
                lengths = np.array([len(sentence) for sentence in document])
                split.add(np.array([token for sentence in document for token in sentence]), lengths, np.array([len(document)]))
        able.save(writer.path / "tokenizer")
        writer.close()
        writer.commit(tokenizer_hash=able.hash, options={})
    return TokenShards.open(folder)


def configured(objective: str, folder: Path, **keys: Any) -> PretrainConfig:
    (folder / "config.json").write_text(json.dumps(MODELS[objective]))
    return dataclasses.replace(CONFIG, model=str(folder / "config.json"), objective=objective, **keys)


def rows(run: Path, kind: str) -> list[dict[str, Any]]:
    return [row for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if row["kind"] == kind]


def test_every_objective_of_a_model_that_writes_is_tested_here() -> None:
    assert set(MODELS) == {"clm", "span_corruption", "prefix_lm", "denoising"} <= set(OBJECTIVES)


@pytest.mark.parametrize("objective", MODELS)
def test_a_tiny_model_overfits_ten_sentences(objective: str, tmp_path: Path, sentinel_shards: TokenShards) -> None:
    keys = {"max_steps": 150, "batch_size": 16, "micro_batch_size": 16, "save_steps": 150, "eval_steps": 150, "logging_steps": 10}
    config = configured(objective, tmp_path, learning_rate=5e-3, weight_decay=0.0, **keys)
    result = pretrain(sentinel_shards.folder, out=tmp_path / "run", config=config)
    losses = [row[f"{objective}_loss"] for row in rows(result.run, "train")]
    assert losses[0] > 3.0
    # What a text begins with, and where noise left nothing to tell it from others, can only be guessed.
    assert sum(losses[-5:]) / 5 < 0.4, losses[-5:]
    assert result.metrics[f"eval_{objective}_accuracy"] > 0.85
    assert result.metrics["eval_perplexity"] == pytest.approx(np.exp(result.metrics[f"eval_{objective}_loss"]))


@pytest.mark.parametrize("objective", MODELS)
def test_a_run_goes_on_with_the_bits_it_would_have_had(objective: str, tmp_path: Path, sentinel_shards: TokenShards) -> None:
    config = configured(
        objective, tmp_path, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, noises="infilling:0.2+masking:0.1+deletion:0.1+permutation+rotation:0.5"
    )
    first = pretrain(sentinel_shards.folder, out=tmp_path / "run", config=config)
    weights, told = load_file(first.checkpoint / "model.safetensors"), [row["loss"] for row in rows(first.run, "train")]
    assert first.checkpoint.name == "step-000006"
    again = dataclasses.replace(config, resume_from_checkpoint=str(first.run / "checkpoints" / "step-000003"))
    second = pretrain(sentinel_shards.folder, out=tmp_path / "run", config=again)
    assert [row["loss"] for row in rows(second.run, "train")] == told
    assert len(set(told)) == 6
    assert all(torch.equal(tensor, weights[key]) for key, tensor in load_file(second.checkpoint / "model.safetensors").items())


@pytest.mark.parametrize("objective", ["clm", "span_corruption", "denoising"])
def test_transformers_loads_the_checkpoint_and_generates_the_same(objective: str, tmp_path: Path, sentinel_shards: TokenShards) -> None:
    import transformers

    checkpoint = pretrain(sentinel_shards.folder, out=tmp_path / "run", config=configured(objective, tmp_path, learning_rate=1e-2)).checkpoint
    (name,) = json.loads((checkpoint / "config.json").read_text())["architectures"]
    theirs, info = getattr(transformers, name).from_pretrained(checkpoint, output_loading_info=True)
    assert not any(info.values()), info
    said = json.loads((checkpoint / "generation_config.json").read_text())
    assert (said["eos_token_id"], said["bos_token_id"], said["pad_token_id"]) == (3, 2, 0)
    assert said.get("decoder_start_token_id") == {"clm": None, "span_corruption": 0, "denoising": 3}[objective]
    ids = torch.randint(5, 53, (2, 12), generator=torch.Generator().manual_seed(0))
    ours = load_model(checkpoint).model
    with torch.no_grad():
        given = {} if objective == "clm" else {"decoder_input_ids": ids}
        torch.testing.assert_close(ours(ids, **given).logits, theirs.eval()(ids, **given).logits, rtol=1e-4, atol=1e-4)
    predictor = load(checkpoint)
    text = predictor.tokenizer.decode(ids[0].tolist())
    prompt = transformers.AutoTokenizer.from_pretrained(checkpoint)(text, return_tensors="pt").input_ids
    prompt = prompt[:, :-1] if objective == "clm" else prompt
    found = theirs.generate(prompt, max_new_tokens=8, do_sample=False)[0].tolist()
    expected = found[prompt.shape[1] :] if objective == "clm" else found[1:]
    assert list(predictor.generate(text, max_new_tokens=8)[0].sequences[0].ids) == expected


@pytest.mark.parametrize(("objective", "share"), [("span_corruption", 24**-0.5), ("denoising", 1.0)])
def test_queries_of_unscaled_scores_take_smaller_steps(objective: str, share: float, tmp_path: Path, sentinel_shards: TokenShards) -> None:
    keys = {"max_steps": 2, "save_steps": 1, "warmup_steps": 0, "weight_decay": 0.0, "lr_scheduler_type": "constant"}
    run = pretrain(sentinel_shards.folder, out=tmp_path / "run", config=configured(objective, tmp_path, **keys)).run
    before, after = (load_file(run / "checkpoints" / f"step-00000{step}" / "model.safetensors") for step in (1, 2))
    queries = [name for name in before if name.endswith((".q.weight", ".q_proj.weight"))]
    assert len(queries) == 6
    for query in queries:
        key = query.replace(".q", ".k")
        taken = (after[query] - before[query]).square().mean() / (after[key] - before[key]).square().mean()
        assert float(taken.sqrt()) == pytest.approx(share, rel=0.2)


def test_how_held_out_texts_go_on_stands_in_the_run(tmp_path: Path, sentinel_shards: TokenShards) -> None:
    run = pretrain(sentinel_shards.folder, out=tmp_path / "run", config=configured("clm", tmp_path, eval_steps=3)).run
    told = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    assert [sample["step"] for sample in told] == [3] * 4 + [6] * 4
    words = Tokenizer.load(sentinel_shards.tokenizer_folder)
    whole = [
        words.decode(sentinel_shards.validation.tokens[first:last].tolist())
        for first, last in zip(*[sentinel_shards.validation.document_tokens[n:] for n in (0, 1)], strict=False)
    ]
    assert [f"{sample['text']} {sample['original']}" for sample in told[:4]] == whole[:4]
    assert [sample["text"] for sample in told[:4]] == [sample["text"] for sample in told[4:]]
    assert any(sample["filled"] for sample in told)
    page = write_report(run).read_text(encoding="utf-8")
    assert "Texts it writes" in page
    assert "next tokens right" in page
    assert "Masked" not in page
    last = rows(run, "evaluate")[-1]
    assert evaluation_summary(last).startswith(f"loss {last['eval_clm_loss']:.3f} (chance 4.29, word frequencies alone ")
    assert evaluation_summary(last).endswith(f"perplexity {last['eval_perplexity']:.1f}")


@pytest.mark.parametrize("objective", ["clm", "span_corruption", "denoising"])
def test_evaluate_measures_what_a_model_that_writes_was_trained_for(objective: str, tmp_path: Path, sentinel_shards: TokenShards) -> None:
    result = pretrain(sentinel_shards.folder, out=tmp_path / "run", config=configured(objective, tmp_path))
    found = evaluate(result.checkpoint, sentinel_shards.folder, max_seq_length=24)
    for name in (f"{objective}_loss", f"{objective}_accuracy", "perplexity"):
        assert found[name] == pytest.approx(result.metrics[f"eval_{name}"], rel=1e-5)
    assert found["predicted_tokens"] >= 20
    assert found["chance_loss"] == pytest.approx(np.log(73))


@pytest.mark.parametrize("objective", ["clm", "prefix_lm", "denoising"])
def test_without_held_out_text_it_trains_and_says_so(objective: str, tmp_path: Path, write_token_shards: Callable[..., TokenShards], documents: Made) -> None:
    shards, seen = write_token_shards(tmp_path / "shards", train=documents(9, seed=5)), list[Event]()
    run = pretrain(shards.folder, out=tmp_path / "run", config=configured(objective, tmp_path, max_steps=1), observers=(seen.append,)).run
    assert any("without evaluation" in str(event.values.get("text")) for event in seen if event.kind == "note")
    assert rows(run, "evaluate") == []


def test_gaps_cannot_be_marked_without_sentinels(tmp_path: Path, shards: TokenShards) -> None:
    with pytest.raises(InputError, match=r"span_corruption marks gaps with <extra_id_0>.*the tokenizer has 0: prepare the text again with --sentinels 100"):
        pretrain(shards.folder, out=tmp_path / "run", config=configured("span_corruption", tmp_path))


def test_a_reader_cannot_be_trained_to_write(tmp_path: Path, shards: TokenShards) -> None:
    for model, mend in (
        ("bert-tiny", r"this model family lacks \(lm\): take a model of bart, t5"),
        ("gpt2-tiny", "trains models of an encoder and a decoder, and this one has a decoder alone"),
    ):
        with pytest.raises(InputError, match=mend):
            pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(CONFIG, model=model, objective="denoising"))


def test_a_tokenizer_of_gpt2s_kind_serves_though_it_knows_neither_padding_nor_masks(tmp_path: Path) -> None:
    """Text, shards, a new model, one that goes on from it, and numbers; what needs its missing tokens says so."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    entries = {letter: number for number, letter in enumerate([*letters, "Ġt", "he", "Ġthe", "<|endoftext|>"])}
    (tmp_path / "vocab.json").write_text(json.dumps(entries), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\nĠ t\nh e\nĠt he\n", encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    (tmp_path / "text.txt").write_text("\n\n".join(f"The number {number} is the one after the number {number - 1}." for number in range(40)))
    prepare(tmp_path / "text.txt", out=tmp_path / "shards", tokenizer=str(tmp_path))
    first = pretrain(tmp_path / "shards", out=tmp_path / "first", config=configured("clm", tmp_path, max_steps=3))
    config = json.loads((first.checkpoint / "config.json").read_text())
    assert (config["eos_token_id"], config["bos_token_id"], config.get("pad_token_id")) == (259, 259, None)
    second = pretrain(tmp_path / "shards", out=tmp_path / "second", config=dataclasses.replace(CONFIG, init_from=str(first.run), objective="clm", max_steps=3))
    assert second.metrics["eval_clm_loss"] < first.metrics["eval_clm_loss"]
    assert evaluate(second.checkpoint, tmp_path / "text.txt")["perplexity"] < 260
    with pytest.raises(InputError, match=r"objective mlm needs a token that masks \(mask\), and the tokenizer of 260 entries has none"):
        pretrain(tmp_path / "shards", out=tmp_path / "third", config=dataclasses.replace(CONFIG, model="bert-tiny", objective="mlm"))

"""Classes and numbers from a start whose tokenizer has no padding, such as GPT-2's."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, trainers

from bertwright import api
from bertwright.checkpoints.huggingface import save_model
from bertwright.families import family_of
from bertwright.families.presets import preset
from bertwright.inference.predictor import load
from bertwright.models import Model

TEXTS = ["a good and long story of two towns", "bad", "good", "a bad one , is it not ?"]


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    """A tiny model with a byte-level tokenizer whose only special token is the end of text."""
    folder = tmp_path / "gpt2"
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(TEXTS, trainers.BpeTrainer(special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False))
    size = backend.get_vocab_size()
    described = preset("gpt2-tiny", vocab_size=size, bos_token_id=0, eos_token_id=0, initializer_range=0.2)
    torch.manual_seed(0)
    save_model(Model(family_of(described).architecture(described), ("lm",)), folder, config=described)
    model = json.loads(backend.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(merge) for merge in model["merges"]), ""]), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>"}', encoding="utf-8")
    return folder


@pytest.mark.parametrize("labels", ["good,bad,good,bad", "0.5,-1.25,2.5,3.75"])
def test_transformers_pads_what_was_saved_and_says_the_same(labels: str, gpt2: Path, tmp_path: Path) -> None:
    transformers: Any = pytest.importorskip("transformers")
    rows = [f'"{text}",{label}\n' for text, label in zip(TEXTS, labels.split(","), strict=True)]
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(rows * 4), encoding="utf-8")
    result = api.finetune(gpt2, tmp_path / "train.csv", out=tmp_path / "run", bf16=False, max_steps=8, learning_rate=1e-3, report=False)
    classify = transformers.pipeline("text-classification", model=str(result.checkpoint), function_to_apply="softmax" if "good" in labels else "none")
    theirs = classify(TEXTS, batch_size=4)
    ours = load(result.checkpoint)
    if "good" in labels:
        said = ours.classify(TEXTS)
        assert [each.label for each in said] == [each["label"] for each in theirs]
        assert [max(each.probabilities.values()) for each in said] == pytest.approx([each["score"] for each in theirs], abs=1e-5)
    else:
        assert [each.value for each in ours.regress(TEXTS)] == pytest.approx([each["score"] for each in theirs], abs=1e-4)

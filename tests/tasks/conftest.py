"""A tiny random model of three families with its tokenizer, and the folder that both are saved in."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tokenizers
import torch
from tokenizers import models, pre_tokenizers, trainers

from bertwright.architecture import HeadKind
from bertwright.checkpoints.huggingface import save_model
from bertwright.families import family_of
from bertwright.models import Model
from bertwright.tasks.task import Reading
from bertwright.text.tokenizer import Tokenizer

FAMILIES = ("bert", "roberta", "distilbert")
TEXT = (
    "the capital of france is paris and anna smith of acme works there since may 1998",
    "when did anna leave rome , the capital of italy ? she left it in june .",
    "bob jones bought acme for 12 euros , said the times of london on monday !",
)
CHINESE = "王小明在北京大学工作"
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "initializer_range": 0.4}
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "bert": {**SIZES, "max_position_embeddings": 128, "type_vocab_size": 2, "pad_token_id": 0},
    "roberta": {**SIZES, "max_position_embeddings": 130, "type_vocab_size": 1, "pad_token_id": 1},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48, "max_position_embeddings": 128, "initializer_range": 0.4, "pad_token_id": 0},
}


class Tiny(NamedTuple):
    """A model in evaluation mode, and the folder where it lies with its tokenizer."""

    model: Model
    tokenizer: Tokenizer
    reading: Reading
    folder: Path


@pytest.fixture(scope="session")
def library() -> Any:
    """transformers, imported once, silent."""
    module = pytest.importorskip("transformers")
    module.utils.logging.disable_progress_bar()
    module.utils.logging.set_verbosity_error()
    return module


@pytest.fixture(scope="session")
def tokenizer_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Tokenizer]:
    """(family) -> its tokenizer: WordPiece over letters and some words, or RoBERTa's byte-level BPE."""
    made: dict[str, Tokenizer] = {}

    def of(family: str) -> Tokenizer:
        if family not in made:
            folder = tmp_path_factory.mktemp("tokenizer")
            (_write_bytes if family == "roberta" else _write_wordpiece)(folder)
            (folder / "config.json").write_text(json.dumps({"model_type": family}))
            made[family] = Tokenizer.load(folder)
        return made[family]

    return of


@pytest.fixture
def tiny(tokenizer_of: Callable[[str], Tokenizer], tmp_path: Path) -> Callable[..., Tiny]:
    """(family, heads, **keys of config.json) -> a new Tiny; the same weights each time."""

    def of(family: str, heads: tuple[HeadKind, ...], **keys: Any) -> Tiny:
        tokenizer, folder = tokenizer_of(family), tmp_path / f"{family}-{'-'.join(heads)}"
        config = {"model_type": family, "vocab_size": tokenizer.vocab_size, **CONFIGS[family], **keys}
        kinds = family_of(config).complete_heads(heads)
        architecture = family_of(config).architecture(config)
        torch.manual_seed(3)
        model = Model(architecture.with_dropout(0.0), kinds).eval()
        save_model(model, folder, config=config)
        tokenizer.save(folder, max_length=architecture.max_length)
        return Tiny(model, tokenizer, Reading.of(architecture), folder)

    return of


def _write_wordpiece(folder: Path) -> None:
    letters = sorted({letter for line in (*TEXT, CHINESE) for letter in line if not letter.isspace()} | set("0123456789abcdefghijklmnopqrstuvwxyz-'"))
    words = [word for word in TEXT[0].split() if len(word) > 1]
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *words]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(entries)) + "\n", encoding="utf-8")


def _write_bytes(folder: Path) -> None:
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    alone = " ".join(["", *"abcdefghijklmnopqrstuvwxyz0123456789"])  # no word begins with a piece that is its space alone
    backend.train_from_iterator([*TEXT, *[alone] * 20], trainer)
    model = json.loads(backend.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps({**model["vocab"], "<mask>": len(model["vocab"])}), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(merge) for merge in model["merges"]), ""]), encoding="utf-8")

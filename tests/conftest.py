"""What many tests build on: a small tokenizer, shards of made-up documents, and a model small enough to train in a test."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertwright.architecture import HeadKind
from bertwright.checkpoints.huggingface import read_architecture, save_model
from bertwright.data.samples import Vocabulary
from bertwright.data.shards import ShardsWriter, TokenShards
from bertwright.families import family_of, preset
from bertwright.models import Model
from bertwright.text.tokenizer import Tokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = tuple(f"{first}{second}{third}" for first in "bdgklm" for second in "aeio" for third in "nr")

# What keys of config.json make the tiny BERT a model with the heads of each objective that BERT has not.
OTHER_FAMILIES: dict[str, dict[str, Any]] = {"mlm+sop": {"model_type": "albert", "embedding_size": 48, "initializer_range": 0.1}}

Documents = Sequence[Sequence[Sequence[int]]]


def made_up_documents(count: int, *, seed: int, sentences: tuple[int, int] = (2, 9), words: tuple[int, int] = (3, 12)) -> list[list[list[int]]]:
    """Documents of sentences of ids in which each word is mostly followed by the next one of the vocabulary, so that there is something to learn."""
    random = np.random.default_rng(seed)
    documents = []
    for _ in range(count):
        document = []
        for _ in range(random.integers(*sentences)):
            first, steps = random.integers(len(WORDS)), random.choice([1, 1, 1, 2], size=random.integers(*words))
            document.append((len(SPECIAL) + (first + np.cumsum(steps)) % len(WORDS)).tolist())
        documents.append(document)
    return documents


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A WordPiece tokenizer of 53 entries, special tokens 0 to 4."""
    path = tmp_path_factory.mktemp("tokenizer") / "vocab.txt"
    path.write_text("\n".join((*SPECIAL, *WORDS)) + "\n", encoding="utf-8")
    return Tokenizer.load(path)


@pytest.fixture(scope="session")
def vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    ids = (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id)
    return Vocabulary(tokenizer.vocab_size, *ids, tuple(tokenizer.special_ids))


@pytest.fixture(scope="session")
def write_token_shards(tokenizer: Tokenizer) -> Callable[..., TokenShards]:
    """(folder, train=documents, validation=documents) -> shards with their tokenizer, as `prepare` writes them."""

    def write(folder: Path, *, train: Documents, validation: Documents = ()) -> TokenShards:
        with ShardsWriter(folder) as writer:
            writer.begin(vocab_size=tokenizer.vocab_size, word_start_table=tokenizer.word_start_table)
            for split, documents in ((writer.train, train), (writer.validation, validation)):
                for document in documents:
                    lengths = np.array([len(sentence) for sentence in document], dtype=np.int64)
                    split.add(np.array([token for sentence in document for token in sentence], dtype=np.int64), lengths, np.array([len(document)]))
            tokenizer.save(writer.path / "tokenizer")
            writer.close()
            writer.commit(tokenizer_hash=tokenizer.hash, options={})
        return TokenShards.open(folder)

    return write


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory, write_token_shards: Callable[..., TokenShards]) -> TokenShards:
    """40 documents to train on and 8 held out."""
    folder = tmp_path_factory.mktemp("corpus") / "shards"
    return write_token_shards(folder, train=made_up_documents(40, seed=1), validation=made_up_documents(8, seed=2))


@pytest.fixture(scope="session")
def documents() -> Callable[..., list[list[list[int]]]]:
    return made_up_documents


@pytest.fixture(scope="session")
def tiny_config_json(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Callable[..., str]:
    """(objective="", **changes) -> the path of a config.json of a BERT, or of a model with the objective's heads: 2 layers x 16, 2 heads, 64 positions."""

    def write(objective: str = "", **changes: Any) -> str:
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64}
        usual = {"model_type": "bert", "vocab_size": tokenizer.vocab_size, "type_vocab_size": 2, "pad_token_id": 0}
        config = {**usual, **sizes, **OTHER_FAMILIES.get(objective, {}), **changes}
        path = tmp_path_factory.mktemp("config") / "config.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Callable[[str], Path]:
    """(family) -> the folder of a tiny pre-trained model of it."""

    def make(family: str) -> Path:
        folder = tmp_path_factory.mktemp(family)
        described = preset(f"{family}-tiny", vocab_size=tokenizer.vocab_size, pad_token_id=0)
        torch.manual_seed(0)
        heads: tuple[HeadKind, ...] = ("lm",) if family in ("bart", "gpt2") else ("pooler",) if "pooler" in family_of(described).heads else ()
        save_model(Model(family_of(described).architecture(described), heads), folder, config=described)
        tokenizer.save(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def write_checkpoint() -> Callable[..., Path]:
    """(folder with a vocabulary, config, heads) -> the folder with a model beside it, whose weights are large enough for answers to differ.

    max_length: of texts, as the tokenizer's files say it.
    """

    def write(folder: Path, config: dict[str, Any], heads: tuple[HeadKind, ...], *, max_length: int | None = None) -> Path:
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        tokenizer = Tokenizer.load(folder)
        tokenizer.save(folder, max_length=max_length)
        config = config | {"vocab_size": tokenizer.vocab_size}
        torch.manual_seed(1)
        model = Model(read_architecture(folder, config=config), heads)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.4)
        save_model(model, folder, config=config)
        return folder

    return write

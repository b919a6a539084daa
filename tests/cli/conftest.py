"""The command line called as a user calls it, and small checkpoints of any kind for it."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bertwright.__main__ import main
from bertwright.architecture import HeadKind
from bertwright.checkpoints.huggingface import label_keys

WORDS = ["paris", "is", "a", "city", "river", "where", "very", "good", "bad", "."]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 24}


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """(*words, stdin=text) -> exit code, standard output, standard error of `bertwright WORDS`."""

    def run(*words: object, stdin: str | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bertwright", *map(str, words)])
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = main()
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def checkpoint(write_checkpoint: Callable[..., Path]) -> Callable[..., Path]:
    """(folder, labels, *heads) -> the folder with a BERT that has these labels."""

    def write(folder: Path, labels: list[str], *heads: HeadKind) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n", encoding="utf-8")
        return write_checkpoint(folder, {"model_type": "bert", **SIZES, **label_keys(labels)}, heads)

    return write

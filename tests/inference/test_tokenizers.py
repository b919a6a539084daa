"""What a tokenizer's name means: itself where it holds one, else a CHECKPOINT."""

from pathlib import Path

import pytest

from bertwright.errors import CheckpointError, InputError
from bertwright.inference.tokenizers import find_tokenizer
from bertwright.text.tokenizer import Tokenizer


@pytest.mark.parametrize("file", ["tokenizer.json", "vocab.txt", "tokenizer/tokenizer.json"])
def test_a_folder_with_a_tokenizer_is_itself(tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    assert find_tokenizer(str(tmp_path)) == (tmp_path, "")
    assert find_tokenizer(str(tmp_path / file)) == (tmp_path / file, "")


def test_a_run_folder_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError, match="no complete checkpoint"):
        find_tokenizer(str(tmp_path))


def test_a_sentencepiece_folder_gets_its_own_advice(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").touch()
    with pytest.raises(InputError, match=r"spiece.model: an empty SentencePiece model"):
        Tokenizer.load(find_tokenizer(str(tmp_path)).folder)

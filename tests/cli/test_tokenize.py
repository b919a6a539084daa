"""`bertwright tokenize`: the table and the JSON object."""

import json
from pathlib import Path

import pytest

from bertwright.cli.tokenize import tokenize
from bertwright.errors import InputError
from bertwright.text.training import train_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    train_tokenizer(["the cat sat on the mat"] * 3, kind="wordpiece", vocab_size=60, lowercase=True, min_frequency=1).save(tmp_path)
    return tmp_path


def test_the_table_shows_pieces_ids_types_and_the_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenize(str(folder), "The [MASK] sat ☃", "on the [/mat]")
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines()]
    assert ["0", "2", "0", "[CLS]", "special"] in rows
    assert ["2", "4", "0", "[MASK]", "special"] in rows
    assert ["4", "1", "0", "[UNK]", "unknown"] in rows
    assert any(row[2:4] == ["1", "mat"] for row in rows)
    assert "decoded: [CLS] the [MASK] sat [UNK] [SEP] on the" in shown
    assert "(wordpiece, " in shown


def test_json_is_one_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenize(str(folder / "tokenizer.json"), "the cat", "the mat", max_seq_length=6, json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["tokens"] == ["[CLS]", "the", "[SEP]", "the", "mat", "[SEP]"]
    assert shown["ids"][0] == 2
    assert shown["type_ids"] == [0, 0, 0, 1, 1, 1]
    assert shown["special"] == [True, False, True, False, False, True]
    assert shown["decoded"] == "[CLS] the [SEP] the mat [SEP]"
    assert (shown["num_tokens"], shown["num_unknown"]) == (6, 0)


def test_a_checkpoint_that_is_none_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        tokenize(str(tmp_path / "absent"), "the cat")

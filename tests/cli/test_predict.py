"""`bertwright predict` on checkpoints of each kind: one that writes text, one that fills masks, one that does neither."""

import io
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tokenizers import pre_tokenizers

from bertwright.__main__ import main
from bertwright.architecture import LM, MLM, POOLER
from bertwright.cli.writing import harmless
from bertwright.inference.predictor import load

GPT2 = {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 40, "bos_token_id": 0, "eos_token_id": 0}

Call = Callable[..., tuple[int, str, str]]


class Terminal(io.StringIO):
    """A screen that remembers what was written to it at once."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.pieces.append(text)
        return super().write(text)


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory, write_checkpoint: Callable[..., Path]) -> str:
    """A GPT-2 whose pieces are bytes."""
    folder = tmp_path_factory.mktemp("writer")
    pieces = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return str(write_checkpoint(folder, GPT2, (LM,)))


@pytest.fixture
def call(call: Call) -> Call:
    return partial(call, "predict")


def test_text_is_written_on_and_shown_whole_off_a_terminal(writer: str, call: Call) -> None:
    (expected,) = load(writer, device="cpu").generate("the lamp", max_new_tokens=9)
    assert call(writer, "the lamp", "--max_new_tokens", "9")[:2] == (0, f"the lamp{expected.text}\n\n")
    code, out, _ = call(writer, "the lamp", "--max_new_tokens", "9", "--num_beams", "3", "--num_return_sequences", "2", "--early_stopping", "never")
    beams = load(writer, device="cpu").generate("the lamp", max_new_tokens=9, num_beams=3, num_return_sequences=2, early_stopping="never")
    best, second = beams[0].sequences
    assert (code, out) == (0, f"  1  {best.score:.3f}  the lamp{best.text}\n  2  {second.score:.3f}  the lamp{second.text}\n\n")


def test_json_is_one_object_a_line(writer: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("the lamp\n\nmore\n", encoding="utf-8")
    options = ("--max_new_tokens", "5", "--do_sample", "--num_return_sequences", "2", "--top_k", "20", "--seed", "4", "--json")
    expected = load(writer, device="cpu").generate(["the lamp", "more"], max_new_tokens=5, do_sample=True, num_return_sequences=2, top_k=20, seed=4)
    for words, stdin in ((("--file", str(tmp_path / "texts.txt")), None), (("-",), "the lamp\nmore\n")):
        code, out, _ = call(writer, *words, *options, stdin=stdin)
        assert code == 0
        assert [json.loads(line) for line in out.splitlines()] == [one.to_json() for one in expected]


def test_a_terminal_sees_the_text_as_it_is_written(writer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--max_new_tokens", "12", "--do_sample", "--seed", "2", "--top_k", "0")
    expected = load(writer, device="cpu").generate(["the lamp", "more"], max_new_tokens=12, do_sample=True, seed=2, top_k=0)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "argv", ["bertwright", "predict", writer, "the lamp", "more", *options])
    assert main() == 0
    assert terminal.getvalue() == "".join(f"{one.input}{harmless(one.text)}\n\n" for one in expected)
    assert terminal.pieces[0] == "the lamp"
    assert terminal.pieces.index("more") > 5


def test_a_terminal_sees_beams_when_they_are_settled(writer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "argv", ["bertwright", "predict", writer, "the lamp", "--num_beams", "2", "--max_new_tokens", "4"])
    assert main() == 0
    assert terminal.pieces[0].startswith("the lamp")


def test_a_terminal_is_told_nothing_by_a_text() -> None:
    assert harmless("a\x1b[2Jb\r\x07\u202ec\n\té 北") == "a\ufffd[2Jb\ufffd\ufffd\ufffdc\n\té 北"


def test_settings_stand_in_a_file_too(writer: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("num_beams: 2\nearly_stopping: true\nmax_new_tokens: 4\neos_token_id: [7, 9]\n", encoding="utf-8")
    code, out, err = call(writer, "the lamp", "--config", str(tmp_path / "p.yaml"), "--json")
    assert code == 0, err
    (expected,) = load(writer, device="cpu").generate("the lamp", num_beams=2, early_stopping=True, max_new_tokens=4, eos_token_id=[7, 9])
    assert json.loads(out) == expected.to_json()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("the lamp", "--mask", "0.2"), "--mask is for masked language models, and {} writes text: leave it out"),
        (("the lamp", "--top_k", "5"), "top_k changes the draws, and nothing is drawn: give do_sample too"),
        (("the lamp", "--max_new_tokens", "0"), "max_new_tokens is 0: it must be a whole number of at least 1"),
        (("the lamp " * 9,), "this model has 40 positions for old and new ones: give a text of fewer"),
    ],
)
def test_what_a_writer_cannot_take_is_said_in_one_line(writer: str, call: Call, words: tuple[str, ...], said: str) -> None:
    code, out, err = call(writer, *words)
    assert (code, out) == (2, "")
    assert said.format(writer) in err
    assert err.count("error: ") == 1


def test_a_text_that_is_too_long_is_named_by_its_line(writer: str, call: Call) -> None:
    code, _, err = call(writer, "-", stdin="fine\n" + "the lamp " * 9 + "\n")
    assert code == 2
    assert "standard input, line 2: 'the lamp the lamp" in err


def test_a_masked_language_model_still_fills_masks(checkpoint: Callable[..., Path], call: Call, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, [], POOLER, MLM)
    code, out, _ = call(folder, "paris is a [MASK]")
    assert code == 0
    assert [line.strip().split()[0][-1] for line in out.splitlines()[1:-2]] == ["%"] * 5
    code, out, err = call(folder, "paris is a [MASK]", "--max_new_tokens", "3", "--num_beams", "2")
    assert (code, out) == (2, "")
    assert f"error: --max_new_tokens is for writing text, and {folder} fills masks: leave it out\n" in err
    assert err.count("error: ") == 2


def test_a_checkpoint_that_does_neither_says_what_it_can_do(checkpoint: Callable[..., Path], call: Call, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, [], POOLER)
    code, out, err = call(folder, "paris is a city")
    assert (code, out) == (2, "")
    assert f"error: {folder} can neither fill masks nor write text: it gives vectors, in Python: bertwright.load('{folder}').encode(text)\n" in err

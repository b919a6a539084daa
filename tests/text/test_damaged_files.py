"""Tokenizer files that cannot be read, or not as what they are called, and roles that a tokenizer does not have: each said in one line with its mend."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertwright.errors import InputError
from bertwright.text.special import ALL_ROLES
from bertwright.text.tokenizer import Tokenizer

Classic = Callable[[str, Path], None]


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        Tokenizer.load(path)
    assert len(caught.value.problems) == 1
    assert "\n" not in caught.value.problems[0]
    assert ": " in caught.value.problems[0].removeprefix(str(path))
    return caught.value.problems[0]


@pytest.fixture(scope="module")
def pieces(classic: Classic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("t5")
    classic("t5", folder)
    return folder / "spiece.model"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 240_000), place=st.integers(0, 240_000), byte=st.integers(0, 255))
def test_a_damaged_model_is_refused_or_usable(pieces: Path, tmp_path: Path, cut: int, place: int, byte: int) -> None:
    whole = pieces.read_bytes()
    spoiled = bytearray(whole)
    spoiled[place % len(whole)] = byte
    for content in (whole[: cut % len(whole)], bytes(spoiled)):
        file = tmp_path / "spiece.model"
        file.write_bytes(content)
        try:
            tokenizer = Tokenizer.load(file)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either outcome is fine, a stack trace is not
        else:
            tokenizer.encode("ﬁ Ⅷ ½ Paris 中国 ｱ", "b")


def test_a_damaged_character_map_is_refused(pieces: Path, tmp_path: Path) -> None:
    """The tokenizers library takes such a map, and panics at some text."""
    content = bytearray(pieces.read_bytes())
    begins = content.index(normalisation(bytes(content)))
    content[begins + 4] ^= 0x55
    (tmp_path / "spiece.model").write_bytes(content)
    assert "a damaged one (INTERNAL: precompiled_charsmap is invalid.): fetch or copy the file again" in refusal(tmp_path)


def normalisation(content: bytes) -> bytes:
    messages = pytest.importorskip("sentencepiece.sentencepiece_model_pb2")
    charsmap: bytes = messages.ModelProto.FromString(content).normalizer_spec.precompiled_charsmap
    return charsmap


def test_a_piece_that_is_no_text_is_refused(pieces: Path, tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(pieces.read_bytes().replace("国".encode(), b"\xff\xfe\xfd"))
    assert "a damaged one" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "an empty SentencePiece model, without a piece: fetch or copy the file again"),
        (b"version https://git-lfs.github.com/spec/v1\n", r"no SentencePiece model, or a damaged one .*: fetch or copy the file again"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes, line: str) -> None:
    (tmp_path / "spiece.model").write_bytes(content)
    with pytest.raises(InputError, match=line):
        Tokenizer.load(tmp_path)


def test_a_model_of_another_algorithm_is_refused(tmp_path: Path) -> None:
    spm = pytest.importorskip("sentencepiece")
    lines = iter(["the cat sat on the mat", "the dog sat on the log"])
    spm.SentencePieceTrainer.train(sentence_iterator=lines, model_prefix=str(tmp_path / "spiece"), model_type="bpe", vocab_size=30, minloglevel=2)
    assert refusal(tmp_path).endswith("a SentencePiece model of type BPE, only UNIGRAM is read: give the tokenizer.json of its model")


def test_a_model_of_no_known_family_is_refused(classic: Classic, tmp_path: Path) -> None:
    classic("xlm-roberta", tmp_path)
    (tmp_path / "sentencepiece.bpe.model").rename(tmp_path / "spiece.model")
    assert "its pieces look like none of ALBERT, T5, XLM-RoBERTa, XLNet: put a tokenizer_config.json with its tokenizer_class beside it" in refusal(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CamembertTokenizerFast"}))
    assert "a SentencePiece model of CamembertTokenizer, which is none of ALBERT, T5" in refusal(tmp_path / "spiece.model")


def test_a_model_under_a_wrong_name_is_refused(classic: Classic, tmp_path: Path) -> None:
    classic("t5", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "xlm-roberta"}))
    assert "not XLM-RoBERTa's: begins with </s>, <pad>, <unk>, not with </s>, <s>, <unk>: give its own model" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("model_type", "file", "tokenizer_class", "reads"),
    [("bert", "vocab.txt", "T5TokenizerFast", "a SentencePiece .model"), ("gpt2", "vocab.json", "BertTokenizer", "vocab.txt")],
)
def test_a_file_of_another_kind_than_the_class_reads_is_refused(
    classic: Classic, tmp_path: Path, model_type: str, file: str, tokenizer_class: str, reads: str
) -> None:
    classic(model_type, tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": tokenizer_class}))
    said = f"{file}: tokenizer_config.json names {tokenizer_class.removesuffix('Fast')}, which reads {reads}: give that, or correct tokenizer_class"
    assert refusal(tmp_path).endswith(said)


def test_the_file_that_the_class_reads_is_chosen(classic: Classic, tmp_path: Path) -> None:
    for model_type in ("bert", "t5"):
        classic(model_type, tmp_path)
    assert Tokenizer.load(tmp_path).kind == "wordpiece"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T5Tokenizer"}))
    assert Tokenizer.load(tmp_path).kind == "unigram"


def test_halves_of_a_bpe_are_refused(classic: Classic, tmp_path: Path) -> None:
    classic("gpt2", tmp_path)
    merges = (tmp_path / "merges.txt").read_bytes()
    (tmp_path / "merges.txt").unlink()
    assert "merges.txt: missing beside vocab.json" in refusal(tmp_path)
    (tmp_path / "merges.txt").write_bytes(merges)
    (tmp_path / "vocab.json").unlink()
    assert "vocab.json: missing beside merges.txt" in refusal(tmp_path)


def test_a_configuration_that_is_no_json_is_named(classic: Classic, tmp_path: Path) -> None:
    classic("gpt2", tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert "config.json: not JSON" in refusal(tmp_path)


def test_a_declared_role_that_the_vocabulary_lacks_is_named(classic: Classic, tmp_path: Path) -> None:
    classic("gpt2", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<void>"}))
    assert "the vocabulary has no <void>: give the vocabulary that belongs to the model, or its own names as pad_token" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("model_type", "absent"),
    [
        ("gpt2", {"pad", "cls", "sep", "mask"}),
        ("openai-gpt", {"pad", "cls", "sep", "mask", "bos", "eos"}),
        ("t5", {"cls", "sep", "mask", "bos"}),
        ("roberta", set()),
    ],
)
def test_an_absent_role_is_named_with_its_mend(classic: Classic, tmp_path: Path, model_type: str, absent: set[str]) -> None:
    classic(model_type, tmp_path)
    tokenizer = Tokenizer.load(tmp_path)
    for role in ALL_ROLES:
        assert tokenizer.has(role) == (role not in absent)
        if role not in absent:
            assert tokenizer.vocab[getattr(tokenizer, f"{role}_id")] == tokenizer.special.by_role()[role]
            continue
        with pytest.raises(InputError, match=rf"tokenizer of {tokenizer.vocab_size} entries has no {role} token: \w+") as caught:
            getattr(tokenizer, f"{role}_id")
        assert str(tmp_path) in str(caught.value)


def test_an_unknown_role_is_the_callers_mistake(classic: Classic, tmp_path: Path) -> None:
    classic("gpt2", tmp_path)
    with pytest.raises(ValueError, match="role 'start': not one of pad, unk, cls, sep, mask, bos, eos"):
        Tokenizer.load(tmp_path).has("start")


def test_a_missing_library_is_named(classic: Classic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for model_type in ("t5", "roformer"):
        (tmp_path / model_type).mkdir()
        classic(model_type, tmp_path / model_type)
        (tmp_path / model_type / "config.json").write_text(json.dumps({"model_type": model_type}))
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    assert refusal(tmp_path / "t5").endswith("pip install 'bertwright[spm]'")
    monkeypatch.setitem(sys.modules, "rjieba", None)
    with pytest.raises(InputError, match=r"rjieba, which is not installed: pip install 'bertwright\[zh\]'"):
        Tokenizer.load(tmp_path / "roformer")

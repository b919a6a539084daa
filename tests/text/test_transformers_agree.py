"""The same ids as transformers: from real vocabularies, and from the folders written here, for every kind."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertwright.text.backends import KINDS, Kind
from bertwright.text.tokenizer import Tokenizer
from bertwright.text.training import train_tokenizer

VOCABULARIES = Path(__file__).parents[2] / "../shared/data/vocab"
REAL = {"bert_base_uncased": True, "bert_base_cased_tok": False, "bert_chinese": True, "bert_multi_cased": False}

HARD = (
    "Hello, World! The café naïve e\u0301te\u0301 Ünïcödé — don't 3.14 中国人喜欢 日本語のテキスト 한국어"
    " 😀👩‍👩‍👧 \x00\x07tab\there\r\nnew\u200bline\ufeff \ufffd"
    " [MASK] x[MASK]y [UNK] [SEP]. " + "a" * 120 + " İstanbul ǅ ﬁ Ⅷ ½  "
)
TEXTS = [HARD, "", " ", "[MASK]", " lead and trail ", "Paris is the [MASK] of France.", "中", "\n\n"]
LINES = ["Paris is the capital of France, and Rome that of Italy.", "He said: “don't!” 3.14 times", "我喜欢北京。中国人很多。", "naïve Café 한국어"] * 8


def transformers() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import is not ours to keep quiet
        return pytest.importorskip("transformers")


def real(name: str) -> Path:
    if not (VOCABULARIES / name).is_dir():
        pytest.skip(f"no {name} in ../shared/data/vocab")
    return VOCABULARIES / name


def disagreements(ours: Tokenizer, theirs: Any) -> list[tuple[str, str | None, int | None]]:
    found = []
    for text in TEXTS:
        assert ours.encode_ids([text])[0] == theirs(text, add_special_tokens=False)["input_ids"]
        for pair in (None, HARD, "a second"):
            for max_length in (None, 12, 9):
                options = {} if max_length is None else {"truncation": True, "max_length": max_length}
                expected = theirs(*((text,) if pair is None else (text, pair)), **options)
                encoding = ours.encode(text, pair, max_length=max_length)
                if encoding.ids != expected["input_ids"] or expected.get("token_type_ids", encoding.type_ids) != encoding.type_ids:
                    found.append((text, pair, max_length))
    return found


def saved(tokenizer: Tokenizer, folder: Path, *, model_type: str = "bert") -> Any:
    """What transformers makes of a checkpoint's folder."""
    tokenizer.save(folder, max_length=512)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type, "vocab_size": tokenizer.vocab_size}))
    return transformers().AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(("name", "lowercase"), REAL.items())
def test_a_real_vocabulary_gives_berts_ids(name: str, lowercase: bool, tmp_path: Path) -> None:
    ours = Tokenizer.load(real(name) / "vocab.txt")
    assert ours.lowercase == lowercase
    assert disagreements(ours, transformers().BertTokenizerFast(str(real(name) / "vocab.txt"), do_lower_case=lowercase)) == []
    theirs = saved(ours, tmp_path)
    assert type(theirs).__name__ == "BertTokenizer"
    assert disagreements(ours, theirs) == []
    assert Tokenizer.load(tmp_path).hash == ours.hash


def test_robertas_files_give_its_ids(tmp_path: Path) -> None:
    folder = real("roberta")
    ours = Tokenizer.load(folder)
    assert disagreements(ours, transformers().RobertaTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt"))) == []
    for model_type in ("bert", "roberta"):
        assert disagreements(ours, saved(ours, tmp_path / model_type, model_type=model_type)) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lowercase", [True, False])
def test_a_saved_tokenizer_gives_the_same_ids_in_transformers(kind: Kind, lowercase: bool, tmp_path: Path) -> None:
    ours = train_tokenizer(LINES, kind=kind, vocab_size=400, lowercase=lowercase, min_frequency=1)
    theirs = saved(ours, tmp_path)
    assert disagreements(ours, theirs) == []
    assert "token_type_ids" in theirs("a", "b")
    assert theirs.model_max_length == 512
    for role in ("pad", "unk", "cls", "sep", "mask"):
        assert getattr(theirs, f"{role}_token_id") == getattr(ours, f"{role}_id")
    assert len(theirs) == ours.vocab_size


@pytest.mark.parametrize("kind", KINDS)
def test_what_transformers_saves_is_read_back(kind: Kind, tmp_path: Path) -> None:
    ours = train_tokenizer(LINES, kind=kind, vocab_size=400, lowercase=True, min_frequency=1)
    saved(ours, tmp_path).save_pretrained(tmp_path / "again")
    again = Tokenizer.load(tmp_path / "again")
    assert again.hash == ours.hash
    assert again.encode(HARD, HARD) == ours.encode(HARD, HARD)


def test_the_configuration_overrules_a_tokenizer_json_as_in_transformers(tmp_path: Path) -> None:
    ours = train_tokenizer(LINES, kind="wordpiece", vocab_size=400, lowercase=True, min_frequency=1)
    theirs = saved(ours, tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"do_lower_case": False, "tokenize_chinese_chars": False}))
    theirs = transformers().AutoTokenizer.from_pretrained(tmp_path)
    assert disagreements(Tokenizer.load(tmp_path), theirs) == []


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Tokenizer, Any]]:
    pairs = []
    for kind in KINDS:
        ours = train_tokenizer(LINES, kind=kind, vocab_size=400, lowercase=kind != "bpe", min_frequency=1)
        pairs.append((ours, saved(ours, tmp_path_factory.mktemp(kind))))
    return pairs


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=60)
    | st.lists(st.sampled_from(["[MASK]", "[UNK]", " ", "e\u0301", "中", "Paris", "\t", "\u200d", ",", "\x85", "😀"]), max_size=12).map("".join)
)
def test_any_text_gives_the_same_ids_in_transformers(fuzzed: list[tuple[Tokenizer, Any]], text: str) -> None:
    for ours, theirs in fuzzed:
        encoding, expected = ours.encode(text, "b" + text), theirs(text, "b" + text)
        assert (encoding.ids, encoding.type_ids) == (expected["input_ids"], expected["token_type_ids"])
        assert ours.encode_ids([text])[0] == theirs(text, add_special_tokens=False)["input_ids"]

"""Every family's tokenizer: transformers' ids from its classic files, and again from what is written here."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertwright.errors import InputError
from bertwright.text.families import FAMILIES
from bertwright.text.tokenizer import Tokenizer

HARD = (
    "Hello, World! The café naïve e\u0301te\u0301 Ünïcödé — don't 3.14 中国人喜欢 日本語のテキスト 한국어 well-known U.S. (yes) ``so'' 9,999"
    " 😀👩‍👩‍👧 \x00\x07tab\there\r\nnew\u200bline\ufeff \ufffd\x85"
    " [MASK] x[MASK]y [UNK] [SEP]. <|endoftext|> a</s>b <s> <pad><unk> x<mask>y <extra_id_0> <sep> " + "a" * 120 + " İstanbul ǅ ﬁ Ⅷ ½ ▁ x▁y  "
)
TEXTS = [HARD, "", " ", "[MASK]", " lead and  trail ", "Paris is the capital of France.", "中", "\n\n", "非常好 today", "<mask> x<mask>", "<extra_id_1>x"]

HASHES = {
    "vocab.txt": "eeac0b8d3d6c047241d318b3425c172eb6d9e41b16dafc53cff55460b612a800",
    "vocab.json": "89dd1ddeb004ca617bd70973c9ebd5682661282105ccce3db1362e42a0969257",
}
"""Of the two small vocabularies below, as the first version gave them: shards hold such hashes."""


def disagreements(ours: Tokenizer, theirs: Any) -> list[tuple[str, str | None, int | None]]:
    found: list[tuple[str, str | None, int | None]] = []
    for text in TEXTS:
        if ours.encode_ids([text])[0] != theirs(text, add_special_tokens=False)["input_ids"]:
            found.append((text, None, 0))
        for pair in (None, HARD):
            for max_length in (None, 11):
                options = {} if max_length is None else {"truncation": True, "max_length": max_length}
                expected = theirs(*((text,) if pair is None else (text, pair)), return_token_type_ids=True, **options)
                encoding = ours.encode(text, pair, max_length=max_length)
                if (encoding.ids, encoding.type_ids) != (expected["input_ids"], expected["token_type_ids"]):
                    found.append((text, pair, max_length))
    return found


def test_classic_files_give_transformers_ids(given_family: Any) -> None:
    ours = Tokenizer.load(given_family.folder)
    assert disagreements(ours, given_family.theirs) == []
    assert ours.vocab_size == len(given_family.theirs)
    for role in ("pad", "unk", "cls", "sep", "mask", "bos", "eos"):
        theirs = getattr(given_family.theirs, f"{role}_token_id")
        assert (getattr(ours, f"{role}_id") if ours.has(role) else None) == theirs


def test_what_is_saved_gives_transformers_the_same_ids(given_family: Any, library: Any, tmp_path: Path) -> None:
    ours = Tokenizer.load(given_family.folder)
    ours.save(tmp_path, max_length=512)
    others = () if ours.vocab_size > 10_000 else ("bert", "t5", None)  # a tokenizer of another family than its model, or without one
    for model_type in (*others, given_family.model_type):
        (tmp_path / "config.json").unlink(missing_ok=True)
        if model_type is not None:
            (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
        theirs = library.AutoTokenizer.from_pretrained(tmp_path)
        assert disagreements(ours, theirs) == [], model_type
    (tmp_path / "config.json").unlink()
    assert (theirs.model_max_length, theirs.padding_side) == (512, given_family.theirs.padding_side)
    assert theirs.special_tokens_map == given_family.theirs.special_tokens_map
    again = Tokenizer.load(tmp_path)
    assert (again.hash, again.special, again.vocab, again.special_ids) == (ours.hash, ours.special, ours.vocab, ours.special_ids)
    assert again.encode(HARD, HARD) == ours.encode(HARD, HARD)


def test_the_classic_files_written_are_those_that_were_read(given_family: Any, tmp_path: Path) -> None:
    """Also without their tokenizer.json."""
    ours = Tokenizer.load(given_family.folder)
    ours.save(tmp_path)
    for name in ("vocab.txt", "spiece.model", "sentencepiece.bpe.model"):
        assert (tmp_path / name).is_file() == (given_family.folder / name).is_file()
        if (tmp_path / name).is_file():
            assert (tmp_path / name).read_bytes().split() == (given_family.folder / name).read_bytes().split()
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "config.json").write_bytes((given_family.folder / "config.json").read_bytes())
    if given_family.model_type in ("modernbert", "mt5"):
        return  # their classic files alone do not say how they clean text, and how many sentinels there are
    assert Tokenizer.load(tmp_path).encode(HARD, HARD) == ours.encode(HARD, HARD)


def test_what_transformers_saves_is_read_back(given_family: Any, tmp_path: Path) -> None:
    given_family.theirs.save_pretrained(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert disagreements(again, given_family.theirs) == []
    assert again.special == Tokenizer.load(given_family.folder).special


def test_models_without_segments_are_given_none(small_families: list[Any], library: Any, tmp_path: Path) -> None:
    expected = {"bert", "electra", "nezha", "roformer", "albert", "xlnet"}
    takers = set()
    for family in small_families:
        Tokenizer.load(family.folder).save(tmp_path / family.model_type)
        if "token_type_ids" in library.AutoTokenizer.from_pretrained(tmp_path / family.model_type)("a", "b"):
            takers.add(family.model_type)
    assert takers == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    text=st.text(max_size=40)
    | st.lists(
        st.sampled_from(
            ["[MASK]", "<mask>", "</s>", "<|endoftext|>", " ", "  ", "e\u0301", "非常", "中", "Paris", "\t", "\u200d", ",", "(", "-", "\x85", "▁", "😀"]
        ),
        max_size=12,
    ).map("".join)
)
def test_any_text_gives_the_same_ids(small_families: list[Any], text: str) -> None:
    for model_type, folder, theirs in small_families:
        ours = LOADED.setdefault(model_type, Tokenizer.load(folder)) if model_type not in LOADED else LOADED[model_type]
        expected = theirs(text, "b" + text, return_token_type_ids=True)
        encoding = ours.encode(text, "b" + text)
        assert (encoding.ids, encoding.type_ids) == (expected["input_ids"], expected["token_type_ids"]), model_type
        assert ours.encode_ids([text])[0] == theirs(text, add_special_tokens=False)["input_ids"], model_type


LOADED: dict[str, Tokenizer] = {}


def test_word_starts_are_where_words_start(small_families: list[Any]) -> None:
    text = "hello world of hello Paris"
    for model_type, folder, _ in small_families:
        tokenizer = Tokenizer.load(folder)
        ids = tokenizer.encode_ids([f" {text}"])[0]
        starts = tokenizer.word_start_table[ids]
        words = [tokenizer.vocab[index].strip("▁Ġ") for index, start in zip(ids, starts, strict=True) if start]
        if model_type == "openai-gpt":  # it marks where words end
            assert starts.all()
            continue
        assert (len(words), starts[0]) == (len(text.split()), True), model_type
        assert tokenizer.word_start_table[list(tokenizer.special_ids)].all()
        assert tokenizer.word_start_table.dtype == np.bool_


def test_the_family_is_told_by_class_then_model_type_then_content(small_families: list[Any], tmp_path: Path) -> None:
    for family in small_families:
        if family.model_type in ("modernbert", "nezha", "electra", "distilbert", "mt5", "roformer"):
            continue  # nothing in the files themselves tells these from their kin
        folder = tmp_path / family.model_type
        folder.mkdir()
        for file in family.folder.iterdir():
            if file.name != "config.json":
                (folder / file.name).write_bytes(file.read_bytes())
        expected = Tokenizer.load(family.folder).hash
        assert Tokenizer.load(folder).hash == expected, "by content"
        name = next(known for known in FAMILIES if family.model_type in known.model_types).classes[0]
        (folder / "config.json").write_text(json.dumps({"model_type": "gpt_neox"}))
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": f"{name}Fast"}))
        assert Tokenizer.load(folder).hash == expected, "by class"


def test_options_of_the_configuration_count(classic: Callable[[str, Path], None], library: Any, tmp_path: Path) -> None:
    options = {
        "bert": {"strip_accents": False},
        "albert": {"do_lower_case": False, "keep_accents": True},
        "roberta": {"add_prefix_space": True},
        "gpt2": {"add_prefix_space": True},
        "t5": {"extra_ids": 7},
        "roformer": {"do_lower_case": False},
    }
    for model_type, keys in options.items():
        folder = tmp_path / model_type
        folder.mkdir()
        classic(model_type, folder)
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
        plain = Tokenizer.load(folder)
        (folder / "tokenizer_config.json").write_text(json.dumps(keys))
        ours = Tokenizer.load(folder)
        assert ours.hash != plain.hash, "the option changes nothing: the test is blind"
        ours.save(tmp_path / f"{model_type} saved")
        assert disagreements(ours, library.AutoTokenizer.from_pretrained(tmp_path / f"{model_type} saved")) == []
        if model_type in ("bert", "albert", "t5", "gpt2"):
            assert disagreements(ours, library.AutoTokenizer.from_pretrained(folder)) == []


def test_tokens_added_in_the_files_beside_a_vocabulary_have_their_ids(classic: Callable[[str, Path], None], library: Any, tmp_path: Path) -> None:
    classic("bert", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    size = Tokenizer.load(tmp_path).vocab_size
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<e1>": size, "Paris-Rome": size + 1}))
    (tmp_path / "special_tokens_map.json").write_text(
        json.dumps({"additional_special_tokens": ["<e1>", "[unused1]"], "bos_token": "[CLS]", "eos_token": "[SEP]"})
    )
    ours = Tokenizer.load(tmp_path)
    assert ours.encode_ids(["is <e1>is [unused1]"])[0] == [*ours.encode_ids(["is"])[0], size, *ours.encode_ids(["is"])[0], 1]
    assert ours.additional_special_tokens == ("[unused1]", "<e1>")
    assert (ours.bos_id, ours.eos_id) == (ours.cls_id, ours.sep_id)
    ours.save(tmp_path / "saved")
    theirs = library.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert disagreements(ours, theirs) == []
    assert (theirs.bos_token, theirs.eos_token, theirs.extra_special_tokens) == ("[CLS]", "[SEP]", ["[unused1]", "<e1>"])
    assert json.loads((tmp_path / "saved" / "added_tokens.json").read_text()) == {"<e1>": size, "Paris-Rome": size + 1}
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<e1>": size + 5}))
    with pytest.raises(InputError, match=rf"the added token '<e1>' has id {size + 5} in the files beside it, but {size} here"):
        Tokenizer.load(tmp_path)


def test_a_role_may_be_an_added_token(classic: Callable[[str, Path], None], library: Any, tmp_path: Path) -> None:
    classic("gpt2", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    size = Tokenizer.load(tmp_path).vocab_size
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"pad_token": "<pad>", "mask_token": "<mask>"}))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<first>": size, "<mask>": size + 1, "<pad>": size + 2}))
    ours = Tokenizer.load(tmp_path)
    assert (ours.mask_id, ours.pad_id, ours.vocab_size) == (size + 1, size + 2, size + 3)
    ours.save(tmp_path / "saved")
    theirs = library.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert (theirs.mask_token_id, theirs.pad_token_id) == (size + 1, size + 2)
    assert disagreements(ours, theirs) == []


def test_the_flags_of_an_added_token_survive(classic: Callable[[str, Path], None], library: Any, tmp_path: Path) -> None:
    classic("roberta", tmp_path)
    size = Tokenizer.load(tmp_path).vocab_size
    token = {"content": "<e1>", "lstrip": True, "rstrip": True, "normalized": False, "single_word": False, "special": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": {str(size): token}}))
    ours = Tokenizer.load(tmp_path)
    assert ours.encode_ids(["is  <e1>  is"])[0] == [*ours.encode_ids(["is"])[0], size, *ours.encode_ids(["is"])[0]]
    ours.save(tmp_path / "saved")
    theirs = library.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert theirs("is  <e1>  is")["input_ids"] == ours.encode("is  <e1>  is").ids


def test_a_segmenter_travels_between_processes_and_counts_in_the_hash(classic: Callable[[str, Path], None], tmp_path: Path) -> None:
    classic("roformer", tmp_path)
    plain = Tokenizer.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "roformer"}))
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.encode("今天非常好").tokens[1:-1] == ["今天", "非常", "好"]
    assert plain.encode("今天非常好").tokens[1:-1] == ["今", "天", "非", "常", "好"]
    assert tokenizer.hash != plain.hash
    assert tokenizer.hash != Tokenizer(tokenizer.backend, tokenizer.special).hash
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode(HARD) == tokenizer.encode(HARD)
    bare = Tokenizer(tokenizer.backend, tokenizer.special)
    for other, name in ((plain, "BertTokenizer"), (bare, "PreTrainedTokenizerFast")):  # beside a RoFormer's config.json
        folder = tmp_path / name
        if other is bare:
            bare.backend.add_special_tokens(["<e1>"])
        other.save(folder)
        assert json.loads((folder / "tokenizer_config.json").read_text())["tokenizer_class"] == name
        (folder / "config.json").write_text(json.dumps({"model_type": "roformer"}))
        assert Tokenizer.load(folder).hash == Tokenizer(other.backend, other.special).hash


def test_hashes_are_those_of_the_first_version(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nparis\n##x\n")
    assert Tokenizer.load(tmp_path / "vocab.txt").hash == HASHES["vocab.txt"]
    names = ["<s>", "<pad>", "</s>", "<unk>", "a", "b", "ab", "<mask>"]
    (tmp_path / "vocab.json").write_text(json.dumps({name: index for index, name in enumerate(names)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\n")
    assert Tokenizer.load(tmp_path / "vocab.json").hash == HASHES["vocab.json"]

"""What a Tokenizer promises: ids, pairs, truncation, special tokens in text, word starts, hash, errors."""

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from bertwright.errors import InputError
from bertwright.text.backends import KINDS, Kind
from bertwright.text.tokenizer import Tokenizer, longest_first
from bertwright.text.training import train_tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LINES = ["the cat sat on the mat", "the dog sat on the log, not on the cat", "a cat and a dog saw the mat on the log"] * 4


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    kind: Kind = request.param
    return train_tokenizer(LINES, kind=kind, vocab_size=300, lowercase=False, min_frequency=1)


def write_vocab(folder: Path, *entries: str) -> Path:
    path = folder / "vocab.txt"
    path.write_text("\n".join([*SPECIAL, *entries]) + "\n", encoding="utf-8")
    return path


def test_special_tokens_come_first_in_every_kind(tokenizer: Tokenizer) -> None:
    assert tokenizer.vocab[:5] == SPECIAL
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id) == (0, 1, 2, 3, 4)
    assert tokenizer.special_ids == (0, 1, 2, 3, 4)


def test_a_pair_has_the_templates_tokens_and_types(tokenizer: Tokenizer) -> None:
    encoding = tokenizer.encode("the cat", "a dog sat")
    first, second = tokenizer.encode_ids(["the cat", "a dog sat"])
    assert encoding.ids == [2, *first, 3, *second, 3]
    assert encoding.type_ids == [0] * (len(first) + 2) + [1] * (len(second) + 1)
    assert [place for place, added in enumerate(encoding.special_mask) if added] == [0, len(first) + 1, len(encoding.ids) - 1]
    assert [tokenizer.vocab[index] for index in encoding.ids] == encoding.tokens


@pytest.mark.parametrize("text", ["the [MASK] sat", "the[MASK]sat", "[MASK]", "[UNK] the [SEP]", "the [UNK] [UNK]"])
def test_special_tokens_in_a_text_count_as_such(tokenizer: Tokenizer, text: str) -> None:
    found = [SPECIAL[index] for index in tokenizer.encode_ids([text])[0] if index < 5]
    assert found == re.findall(r"\[[A-Z]+\]", text)
    assert tokenizer.encode(text).ids[1:-1] == tokenizer.encode_ids([text])[0]


def test_a_mask_leaves_no_piece_for_the_space_before_it(tokenizer: Tokenizer) -> None:
    the, both, masked = tokenizer.encode_ids(["the", "the sat", "the [MASK] sat"])
    assert masked == [*the, tokenizer.mask_id, *both[len(the) :]]


def test_decoding_gives_the_text_back(tokenizer: Tokenizer) -> None:
    text = "the cat sat on the mat"
    assert tokenizer.decode(tokenizer.encode_ids([text])[0]) == text
    assert tokenizer.decode(tokenizer.encode(text, "a dog").ids) == f"[CLS] {text} [SEP] a dog [SEP]"
    assert tokenizer.decode(tokenizer.encode(text, "a dog").ids, skip_special_tokens=True) == f"{text} a dog"
    assert tokenizer.decode(tokenizer.encode_ids(["the [MASK] sat"])[0]) == "the [MASK] sat"


def test_offsets_point_into_the_text(tokenizer: Tokenizer) -> None:
    text = "the cat sat"
    encoding = tokenizer.encode(text)
    for token, (start, stop) in zip(encoding.tokens[1:-1], encoding.offsets[1:-1], strict=True):
        piece = token.removeprefix("##").strip("Ġ▁")
        assert not piece or text[start:stop].strip() == piece
    assert encoding.offsets[0] == (0, 0)


def test_every_word_has_one_start(tokenizer: Tokenizer) -> None:
    for line in LINES[:3]:
        ids = tokenizer.encode_ids([line.replace(",", "")])[0]
        assert int(tokenizer.word_start_table[ids].sum()) == len(line.split())
    assert tokenizer.word_start_table.dtype == np.bool_
    assert tokenizer.word_start_table.shape == (tokenizer.vocab_size,)
    assert tokenizer.word_start_table[:5].all()


def test_truncation_shortens_the_longer_side(tokenizer: Tokenizer) -> None:
    long, short = tokenizer.encode_ids([LINES[1], "a"])
    encoding = tokenizer.encode(LINES[1], "a", max_length=len(short) + 3 + 4)
    assert encoding.ids == [2, *long[:4], 3, *short, 3]
    assert tokenizer.encode(LINES[1], "a", max_length=500).ids == [2, *long, 3, *short, 3]
    assert tokenizer.encode(LINES[1], max_length=5).ids == [2, *long[:3], 3]
    assert len(tokenizer.encode(LINES[1]).ids) == len(long) + 2  # truncation left nothing behind


def test_no_room_for_the_special_tokens_is_said(tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="max_seq_length 2: has no room for the 3 special tokens"):
        tokenizer.encode("the cat", "a dog", max_length=2)


@pytest.mark.parametrize(
    ("first", "second", "room", "expected"),
    [(3, 3, 6, (3, 3)), (9, 2, 6, (4, 2)), (2, 9, 7, (2, 5)), (9, 8, 7, (4, 3)), (8, 9, 7, (3, 4)), (9, 9, 7, (3, 4)), (5, 5, 0, (0, 0))],
)
def test_longest_first(first: int, second: int, room: int, expected: tuple[int, int]) -> None:
    assert longest_first(first, second, room=room) == expected


def test_lone_surrogates_are_replaced(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode_ids(["the cat", "the \ud800 cat"]) == tokenizer.encode_ids(["the cat", "the \ufffd cat"])
    assert tokenizer.encode("the \udcff").ids == tokenizer.encode("the \ufffd").ids


def test_saved_and_loaded_it_is_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer")
    loaded = Tokenizer.load(tmp_path / "tokenizer")
    assert (loaded.hash, loaded.vocab, loaded.kind) == (tokenizer.hash, tokenizer.vocab, tokenizer.kind)
    assert loaded.encode(*LINES[:2]) == tokenizer.encode(*LINES[:2])
    assert Tokenizer.load(tmp_path).hash == tokenizer.hash  # a folder with a tokenizer folder in it, as shards are


def test_it_travels_between_processes(tokenizer: Tokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode_ids(LINES) == tokenizer.encode_ids(LINES)


def test_the_hash_tells_tokenizers_apart() -> None:
    made = [
        train_tokenizer(LINES, kind=kind, vocab_size=size, lowercase=lower, min_frequency=1) for kind in KINDS for size, lower in ((290, True), (290, False))
    ]
    assert len({tokenizer.hash for tokenizer in made}) == len(made)


def test_a_bare_vocabulary_is_cased_where_it_has_upper_case(tmp_path: Path) -> None:
    uncased = Tokenizer.load(write_vocab(tmp_path, "paris", "##x", "Ａ", "<S>"))
    assert uncased.lowercase
    assert uncased.encode("Pârisx").tokens[1:-1] == ["paris", "##x"]
    cased = Tokenizer.load(write_vocab(tmp_path, "Paris", "paris"))
    assert not cased.lowercase
    assert cased.encode("Paris paris PARIS").tokens[1:-1] == ["Paris", "paris", "[UNK]"]


def test_the_configuration_beside_a_vocabulary_decides(tmp_path: Path) -> None:
    path = write_vocab(tmp_path, "paris", "中国", "é")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "tokenize_chinese_chars": False, "strip_accents": False}))
    assert Tokenizer.load(path).encode("PARIS É 中国").tokens[1:-1] == ["paris", "é", "中国"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    assert Tokenizer.load(tmp_path).encode("PARIS").tokens[1:-1] == ["[UNK]"]


def test_special_tokens_may_have_other_names(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(["<blank>", "<?>", "<go>", "<end>", "<hole>", "paris"]))
    declared = {"pad_token": "<blank>", "unk_token": {"content": "<?>", "special": True}, "cls_token": "<go>", "sep_token": "<end>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(declared))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"mask_token": "<hole>"}))
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.encode("paris <hole> rome").tokens == ["<go>", "paris", "<hole>", "<?>", "<end>"]
    tokenizer.save(tmp_path / "saved")
    assert Tokenizer.load(tmp_path / "saved").encode("paris <hole> rome") == tokenizer.encode("paris <hole> rome")


def test_windows_line_ends_and_a_byte_order_mark_change_no_id(tmp_path: Path) -> None:
    path = write_vocab(tmp_path, "paris", "rome")
    plain = Tokenizer.load(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert Tokenizer.load(path).hash == plain.hash


def test_a_tokenizer_json_loses_its_padding_and_truncation(tmp_path: Path) -> None:
    backend = train_tokenizer(LINES, kind="wordpiece", vocab_size=60, lowercase=True, min_frequency=1)
    settled = tokenizers.Tokenizer.from_str(backend.backend.to_str())
    settled.enable_padding(length=64)
    settled.enable_truncation(4)
    settled.save(str(tmp_path / "tokenizer.json"))
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert loaded.hash == backend.hash
    assert loaded.encode(*LINES[:2]) == backend.encode(*LINES[:2])


def test_a_tokenizer_json_without_template_or_marked_special_tokens_gets_them(tmp_path: Path) -> None:
    vocabulary = {piece: index for index, piece in enumerate([*SPECIAL, "paris"])}
    bare = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    bare.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    bare.save(str(tmp_path / "tokenizer.json"))
    assert Tokenizer.load(tmp_path).encode("paris x[MASK]").tokens == ["[CLS]", "paris", "[UNK]", "[MASK]", "[SEP]"]


def test_tokens_added_to_a_wordpiece_survive(tmp_path: Path) -> None:
    backend = train_tokenizer(LINES, kind="wordpiece", vocab_size=60, lowercase=True, min_frequency=1).backend
    backend.add_special_tokens(["<e1>"])
    backend.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer.load(tmp_path)
    tokenizer.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved/tokenizer_config.json").read_text())["tokenizer_class"] == "PreTrainedTokenizerFast"
    loaded = Tokenizer.load(tmp_path / "saved")
    assert loaded.encode("the <e1> cat").tokens[1:-1] == ["the", "<e1>", "cat"]
    assert loaded.vocab_size == loaded.special_ids[-1] + 1


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\n", r"vocab.txt: the vocabulary has no \[MASK\] or <mask>"),
        ("vocab.txt", "\n".join([*SPECIAL, "a", "b", "a"]), r"vocab.txt: line 8 repeats line 6 \('a'\)"),
        ("vocab.txt", "Once upon a time\nthere was\n", r"vocab.txt: not a vocabulary: no line is \[PAD\]"),
        ("notes.txt", b"caf\xe9", "notes.txt: not a tokenizer: byte 3 is not UTF-8"),
        ("tokenizer.json", "{", "tokenizer.json: not JSON"),
        ("tokenizer.json", "[1]", "tokenizer.json: holds no JSON object"),
        ("tokenizer.json", '{"model": {"type": "Mystery"}}', "tokenizer.json: not a tokenizer"),
        ("config.json", '{"model_type": "bert"}', "config.json: not a tokenizer"),
        ("vocab.json", '{"a": 0}', "merges.txt: missing beside vocab.json"),
        ("spiece.model", b"\n\x0e", "spiece.model: no SentencePiece model, or a damaged one"),
    ],
)
def test_what_is_no_tokenizer_is_refused_in_one_line(tmp_path: Path, name: str, content: str | bytes, line: str) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=line) as caught:
        Tokenizer.load(path)
    assert all("\n" not in problem for problem in caught.value.problems)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.txt: no such file or folder"):
        Tokenizer.load(tmp_path / "absent.txt")
    with pytest.raises(InputError, match=r"holds no tokenizer\.json, vocab\.txt, vocab\.json or spiece\.model"):
        Tokenizer.load(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps({name: index for index, name in enumerate([*SPECIAL, "a", "b"])}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\n")
    with pytest.raises(InputError, match=r"merges\.txt: 'a b' does not merge two entries of vocab\.json"):
        Tokenizer.load(tmp_path)

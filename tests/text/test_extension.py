"""New entries: old ids stay, words that exist or cannot be held are refused, the pieces they replace are known, and transformers reads the files."""

import json
from pathlib import Path

import pytest

from bertwright.errors import InputError
from bertwright.text.backends import Kind
from bertwright.text.extension import extended_by_words, replaced_pieces
from bertwright.text.tokenizer import Tokenizer
from bertwright.text.training import train_tokenizer

VOCAB = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cor", "##bel", "##ling", "a", "wall", "太", "史", "公", "曰", "t")
TEXT = ["the mason lays a stone on the wall", "the wall is old, the stone is new", "a mason sees the stone"] * 3


@pytest.fixture
def wordpiece(tmp_path: Path) -> Tokenizer:
    (tmp_path / "vocab.txt").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
    return Tokenizer.load(tmp_path / "vocab.txt")


def add(tokenizer: Tokenizer, *words: str) -> Tokenizer:
    return extended_by_words(tokenizer, [(f"words.txt, line {number}", word) for number, word in enumerate(words, start=1)])


def cut(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.vocab[index] for index in tokenizer.encode_ids([text])[0]]


def test_words_pieces_and_chinese_words_become_tokens_behind_the_old_ones(wordpiece: Tokenizer) -> None:
    grown = add(wordpiece, "太史公", "Corbelling", "##ls", "髃")
    assert grown.vocab[: len(VOCAB)] == list(VOCAB)
    assert grown.vocab[len(VOCAB) :] == ["corbelling", "##ls", "髃", "太史公"], "entries first, so that the vocabulary has no gap"
    assert cut(grown, "A corbelling, corbells: 太史公曰太史髃") == [
        "a",
        "corbelling",
        "[UNK]",
        "cor",
        "##bel",
        "##ls",
        "[UNK]",
        "太史公",
        "曰",
        "太",
        "史",
        "髃",
    ]
    assert cut(wordpiece, "a corbelling") == ["a", "cor", "##bel", "##ling"], "the old tokenizer has changed"


def test_a_chinese_word_with_capitals_is_held_where_the_tokenizer_keeps_them(tmp_path: Path) -> None:
    cased = train_tokenizer(["卡 拉 OK"] * 3, kind="wordpiece", vocab_size=30, lowercase=False, min_frequency=1)
    grown = add(cased, "卡拉OK")
    assert cut(grown, "卡拉OK卡") == ["卡拉OK", "卡"]


def test_what_the_new_entries_replace(wordpiece: Tokenizer) -> None:
    grown = add(wordpiece, "太史公", "corbelling", "##belling", "髃")
    replaced = replaced_pieces(wordpiece, grown)
    assert replaced is not None
    assert [[VOCAB[index] for index in ids] for ids in replaced] == [["cor", "##bel", "##ling"], ["##bel", "##ling"], [], ["太", "史", "公"]]


def test_all_wrong_words_are_told_at_once(wordpiece: Tokenizer) -> None:
    with pytest.raises(InputError) as caught:
        add(wordpiece, "Wall", "corbel", "corbel", "fly wheel", "x-ray", "曰", "x" * 101, "good", "##ling", "太 史")
    lines = caught.value.problems
    assert [line.split(":")[0] for line in lines] == [f"words.txt, line {number}" for number in (1, 3, 4, 5, 6, 7, 9, 10)]
    assert all("already: take the line out" in lines[place] for place in (0, 1, 4, 6))
    assert all("cannot hold" in lines[place] for place in (2, 3, 7))
    assert "longer than the 100 characters" in lines[5]


def test_many_wrong_words_are_counted(wordpiece: Tokenizer) -> None:
    with pytest.raises(InputError) as caught:
        add(wordpiece, *["wall"] * 25)
    assert len(caught.value.problems) == 11
    assert caught.value.problems[-1].startswith("15 more words")


def test_a_second_extension_of_added_tokens_is_refused_and_one_of_entries_is_not(wordpiece: Tokenizer) -> None:
    assert add(add(wordpiece, "corbel"), "corbelling").vocab[-2:] == ["corbel", "corbelling"]
    with pytest.raises(InputError, match="added tokens behind its vocabulary"):
        add(add(wordpiece, "太史公"), "corbel")
    assert add(add(wordpiece, "太史公"), "公曰").vocab[-2:] == ["太史公", "公曰"]


def test_byte_bpe_grows_by_merges_of_its_pieces() -> None:
    tokenizer = train_tokenizer(TEXT, kind="bpe", vocab_size=290, lowercase=False, min_frequency=2)
    grown = add(tokenizer, "stonewall", "stonewalls", "corbel")
    assert grown.vocab[: tokenizer.vocab_size] == tokenizer.vocab
    for word in ("stonewall", "stonewalls", "corbel"):
        assert cut(grown, f"the {word} a")[1:-1] == [f"Ġ{word}"]
    for text in TEXT:
        assert grown.encode_ids([text]) == tokenizer.encode_ids([text])
    replaced = replaced_pieces(tokenizer, grown)
    assert replaced is not None
    place = grown.vocab.index("Ġstonewalls") - tokenizer.vocab_size
    assert "".join(tokenizer.vocab[index] for index in replaced[place]) == "Ġstonewalls"
    with pytest.raises(InputError, match="already"):
        add(grown, "corbel")


def test_a_word_of_equal_parts_is_one_token_too(tmp_path: Path) -> None:
    """Of x y x y z, a merge of x y joins both pairs at once."""
    letters = ("a", "b", "m", "n")
    (tmp_path / "vocab.json").write_text(
        json.dumps({piece: index for index, piece in enumerate((*letters, *(f"{letter}</w>" for letter in letters), "<unk>"))})
    )
    (tmp_path / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "OpenAIGPTTokenizer"}', encoding="utf-8")
    grown = add(Tokenizer.load(tmp_path), "nanab", "mamamam")
    assert cut(grown, "nanab mamamam") == ["nanab</w>", "mamamam</w>"]


def test_word_level_grows() -> None:
    words = train_tokenizer(TEXT, kind="word", vocab_size=20, lowercase=False, min_frequency=1)
    grown = add(words, "corbel")
    assert cut(grown, "the corbel") == ["the", "corbel"]
    assert replaced_pieces(words, grown) == [[]]


def test_unigram_takes_a_new_piece_for_its_old_ones_and_nothing_else_changes() -> None:
    unigram = train_tokenizer(TEXT, kind="unigram", vocab_size=40, lowercase=False, min_frequency=1)
    grown = add(unigram, "stonewall", "mastheads")
    assert grown.vocab[unigram.vocab_size :] == ["▁stonewall", "▁mastheads"]
    assert cut(grown, "the stonewall sees mastheads")[-1] == "▁mastheads"
    assert "▁stonewall" in cut(grown, "the stonewall sees mastheads")
    for text in TEXT:
        assert grown.encode_ids([text]) == unigram.encode_ids([text])
    replaced = replaced_pieces(unigram, grown)
    assert replaced is not None
    assert ["".join(unigram.vocab[index] for index in ids) for ids in replaced] == ["▁stonewall", "▁mastheads"]
    with pytest.raises(InputError, match="already"):
        add(grown, "stonewall")


def test_roformer_finds_new_chinese_words_by_its_own_segmenter(tmp_path: Path) -> None:
    pytest.importorskip("rjieba")
    from transformers import AutoTokenizer

    (tmp_path / "vocab.txt").write_text("\n".join((*VOCAB, "北", "京", "北京")) + "\n", encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "RoFormerTokenizer"}', encoding="utf-8")
    roformer = Tokenizer.load(tmp_path)
    grown = add(roformer, "太史公", "corbel")
    text = "太史公曰北京 a corbel 太史"
    assert cut(grown, text) == ["太史公", "曰", "北京", "a", "corbel", "太", "史"]
    replaced = replaced_pieces(roformer, grown)
    assert replaced is not None
    assert [[roformer.vocab[index] for index in ids] for ids in replaced] == [["太", "史", "公"], ["cor", "##bel"]]
    grown.save(tmp_path / "saved")
    (tmp_path / "saved" / "config.json").write_text('{"model_type": "roformer"}', encoding="utf-8")
    assert AutoTokenizer.from_pretrained(tmp_path / "saved")(text, add_special_tokens=False)["input_ids"] == grown.encode_ids([text])[0]


def test_another_vocabulary_is_no_extension(wordpiece: Tokenizer) -> None:
    other = train_tokenizer(TEXT, kind="wordpiece", vocab_size=60, lowercase=True, min_frequency=1)
    assert replaced_pieces(wordpiece, other) is None
    assert replaced_pieces(add(wordpiece, "corbel"), wordpiece) is None


@pytest.mark.parametrize(("kind", "model_type"), [("bpe", "gpt2"), ("bpe", "roberta"), ("unigram", "t5"), ("unigram", "albert")])
def test_transformers_reads_the_same_ids_of_other_kinds(kind: Kind, model_type: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = train_tokenizer(TEXT, kind=kind, vocab_size=290 if kind == "bpe" else 40, lowercase=False, min_frequency=1)
    grown = add(tokenizer, "stonewall", "mastheads")
    grown.save(tmp_path)
    (tmp_path / "config.json").write_text(f'{{"model_type": "{model_type}"}}', encoding="utf-8")
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    texts = ["the stonewall sees mastheads on the wall", *TEXT]
    assert [theirs(text, add_special_tokens=False)["input_ids"] for text in texts] == grown.encode_ids(texts)
    assert replaced_pieces(tokenizer, Tokenizer.load(tmp_path)) == replaced_pieces(tokenizer, grown)


@pytest.mark.parametrize("words", [("corbelling", "##ls"), ("太史公", "corbel"), ("太史公",)])
def test_transformers_reads_the_same_ids(words: tuple[str, ...], wordpiece: Tokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    grown = add(wordpiece, *words)
    grown.save(tmp_path / "saved")
    (tmp_path / "saved" / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "saved")
    texts = ["A corbelling corbells 太史公曰 a wall.", "太史公太史"]
    assert [theirs(text, add_special_tokens=False)["input_ids"] for text in texts] == grown.encode_ids(texts)
    assert len(theirs) == grown.vocab_size
    again = Tokenizer.load(tmp_path / "saved")
    assert (again.vocab, again.hash) == (grown.vocab, grown.hash)

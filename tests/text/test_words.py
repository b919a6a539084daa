"""Chinese words: those of the segmenter, traditional ones too, whatever the tokenizer cuts; a wrong segmenter is refused."""

import sys
from pathlib import Path

import numpy as np
import pytest

from bertwright.errors import InputError
from bertwright.text.tokenizer import Tokenizer
from bertwright.text.training import train_tokenizer
from bertwright.text.words import Segment, find_segmenter, token_starts, word_begins

TEXTS = ["我们在北京大学读书,GPT 4很好。", "An English line, unbelievable.", "", "2008年卡拉OK的T恤"]
WORDS = ["我们", "在", "北京大学", "读书", ",", "GPT", "4", "很", "好", "。", "2008", "年", "卡拉OK", "的", "T恤"]


def segment(text: str) -> list[str]:
    """Words of a list, the rest character by character; spaces are left out."""
    found, place = [], 0
    while place < len(text):
        word = next((word for word in sorted(WORDS, key=len, reverse=True) if text.startswith(word, place)), text[place])
        found += [word] if word.strip() else []
        place += len(word)
    return found


def whole_words(tokenizer: Tokenizer, texts: list[str], by: Segment = segment) -> list[str]:
    """The tokens of all texts, joined where none begins a word."""
    cut = tokenizer.pieces(texts)
    starts = token_starts(texts, cut, word_begins(texts, by), tokenizer.word_start_table)
    tokens = [tokenizer.vocab[token].removeprefix("##").removeprefix("▁") for pieces in cut for token in pieces.ids]
    ends = [*np.flatnonzero(starts)[1:].tolist(), len(tokens)]
    return ["".join(tokens[start:end]) for start, end in zip(np.flatnonzero(starts).tolist(), ends, strict=True)]


@pytest.fixture(scope="module", params=["wordpiece", "unigram"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return train_tokenizer([*TEXTS * 3, "un believ able"], kind=request.param, vocab_size=130, lowercase=False, min_frequency=1)


def test_tokens_of_one_word_stand_together(tokenizer: Tokenizer) -> None:
    if tokenizer.kind == "wordpiece":
        expected = ["我们", "在", "北京大学", "读书", ",", "GPT", "4", "很", "好", "。", "An", "English", "line", ",", "unbelievable", "."]
        assert whole_words(tokenizer, TEXTS) == [*expected, "2008", "年", "卡拉OK", "的", "T恤"]
    else:
        found = whole_words(tokenizer, TEXTS)
        assert "".join(found) == "".join("".join(TEXTS).split())
        assert {"在", "北京大学", "读书"} <= set(found)


def test_a_character_of_several_bytes_begins_one_word() -> None:
    bpe = train_tokenizer(["abc"], kind="bpe", vocab_size=262, lowercase=False, min_frequency=1)
    texts = ["我们在北京大学读书"]
    cut = bpe.pieces(texts)
    starts = token_starts(texts, cut, word_begins(texts, segment), bpe.word_start_table)
    places = [cut[0].offsets[token][0] for token in np.flatnonzero(starts)]
    assert places == [0, 2, 3, 7]
    assert len(cut[0].ids) > len(texts[0]), "every character should take several tokens here"


def test_jieba_finds_words_of_simplified_and_of_traditional_text() -> None:
    pytest.importorskip("rjieba")
    pytest.importorskip("opencc")
    jieba = find_segmenter("rjieba")
    assert jieba("台湾大学的学生在图书馆里读书") == ["台湾大学", "的", "学生", "在", "图书馆", "里", "读书"]
    assert jieba("臺灣大學的學生在圖書館裡讀書") == ["臺灣大學", "的", "學生", "在", "圖書館", "裡", "讀書"]
    assert jieba("著名的乾隆皇帝") == ["著名", "的", "乾隆皇帝"]


def test_a_segmenter_of_ones_own_is_plugged_in_and_a_wrong_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_chinese_words.py").write_text(
        "def characters(text):\n    return list(text)\n\n\ndef tagged(text):\n    return [(text, 'r')]\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert find_segmenter("my_chinese_words:characters")("我们") == ["我", "们"]
    for name, told in (
        ("jieba", "take rjieba, or module:function"),
        ("my_chinese_words:other", "has no function other"),
        ("no_such_module_here:cut", "there is no module no_such_module_here"),
    ):
        with pytest.raises(InputError, match=told):
            find_segmenter(name)
    with pytest.raises(InputError, match=r"do not make up the text .* let it return all of the text"):
        word_begins(["我们在"], lambda text: ["我们"])
    with pytest.raises(InputError, match="do not make up the text"):
        word_begins(["我们在"], lambda text: ["我", "在"])
    assert word_begins(["我 们", "a"], lambda text: ["我", "们"]).tolist() == [True, False, True, False, True]
    assert word_begins(["我们在"], lambda text: iter(["我们", "在"])).tolist() == [True, False, True], "jieba's own cut is a generator"
    with pytest.raises(InputError, match=r"gives \('我们', 'r'\) among the words of the text '我们': let it return words alone"):
        word_begins(["我们"], find_segmenter("my_chinese_words:tagged"))


def test_without_its_library_jieba_is_refused_with_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rjieba", None)
    pytest.importorskip("opencc")
    with pytest.raises(InputError, match=r"needs rjieba, which is not installed: pip install 'bertwright\[zh\]'"):
        find_segmenter("rjieba")

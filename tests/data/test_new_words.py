"""New entries are those that save the most tokens, and no others than the text has."""

import numpy as np
import pytest

from bertwright.data.new_words import cohesive_words, find_new_words
from bertwright.errors import InputError
from bertwright.text.extension import extended_by_words
from bertwright.text.tokenizer import Tokenizer
from bertwright.text.training import train_tokenizer

GENERAL = ["the mason lays a stone on the old wall and the wall stands"] * 5


def general(kind: str, extra: str = "") -> Tokenizer:
    letters = " ".join("abcdefghijklmnopqrstuvwxyz") + " " + "abcdefghijklmnopqrstuvwxyz" + extra
    size = {"wordpiece": 90, "bpe": 280, "word": 30, "unigram": 60}[kind]
    return train_tokenizer([*GENERAL, letters], kind=kind, vocab_size=size, lowercase=False, min_frequency=1)  # type: ignore[arg-type]


def tokens(tokenizer: Tokenizer, texts: list[str]) -> int:
    return sum(map(len, tokenizer.encode_ids(texts)))


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "word", "unigram"])
def test_frequent_words_that_are_cut_are_found_before_rare_ones(kind: str) -> None:
    texts = ["zygomorphic flora", "a zygomorphic flower"] * 40 + ["quixotry"] * 6 + ["rare rhizome"] * 4
    found = find_new_words(general(kind), texts, count=1, segment=None)
    (new,) = found.vocab[general(kind).vocab_size :]
    assert new.removeprefix("Ġ").removeprefix("▁") in "zygomorphic"
    if kind != "bpe":
        assert new.removeprefix("▁") == "zygomorphic"
    with pytest.raises(InputError, match=r"more than the text gives, \d+ new entries occur 5 times"):
        find_new_words(general(kind), texts, count=500, segment=None)


def test_a_piece_that_many_words_share_is_found_rather_than_each_of_them() -> None:
    texts = [f"{first}zymosis" for first in "abcdefghij" for _ in range(5)]
    found = find_new_words(general("wordpiece"), texts, count=1, segment=None)
    assert found.vocab[-1] == "##zymosis"


def test_the_greedy_choice_saves_as_much_as_it_promises_and_more_than_the_most_frequent_words() -> None:
    random = np.random.default_rng(0)
    stems, ends = ["krypt", "zygo", "phylo", "xeno"], ["morph", "gen", "blast", "cyte", "type"]
    texts = [" ".join(str(random.choice(stems)) + str(random.choice(ends)) for _ in range(8)) for _ in range(200)]
    base = general("wordpiece")
    chosen = find_new_words(base, texts, count=6, segment=None)
    words = sorted({word for text in texts for word in text.split()}, key=lambda word: -sum(text.split().count(word) for text in texts))[:6]
    assert tokens(chosen, texts) < tokens(extended_by_words(base, [("", word) for word in words]), texts) < tokens(base, texts)


def test_signs_alone_are_no_words() -> None:
    for kind in ("wordpiece", "bpe"):
        with pytest.raises(InputError, match="0 new entries"):
            find_new_words(general(kind, "=-+"), ["===== ----- +++++"] * 50, count=1, segment=None)


def chinese() -> tuple[Tokenizer, list[str]]:
    """Sentences in which 太史公 and 将军 stand among characters drawn at random."""
    random = np.random.default_rng(1)
    letters = [chr(0x4E00 + 7 * number) for number in range(150)]
    lines = []
    for _ in range(300):
        line = [str(letter) for letter in random.choice(letters, 14)]
        line.insert(int(random.integers(14)), "太史公")
        line.insert(int(random.integers(14)), "将军")
        lines.append("".join(line))
    return train_tokenizer(["".join(letters) + "太史公将军"], kind="wordpiece", vocab_size=400, lowercase=False, min_frequency=1), lines


def test_words_of_several_chinese_characters_are_found_by_what_holds_together() -> None:
    tokenizer, lines = chinese()
    found = cohesive_words(lines)
    assert {word for word in found if word in ("太史公", "将军", "太史", "史公")} == {"太史公", "将军"}, "a fragment is no word"
    assert found["太史公"] == sum(line.count("太史公") for line in lines)
    grown = find_new_words(tokenizer, lines, count=2, segment=None)
    assert grown.vocab[-2:] == ["太史公", "将军"]
    assert tokens(tokenizer, lines) - tokens(grown, lines) == sum(2 * line.count("太史公") + line.count("将军") for line in lines)


def test_a_segmenter_decides_where_one_is_given() -> None:
    tokenizer, lines = chinese()
    grown = find_new_words(tokenizer, lines, count=1, segment=lambda text: ["将军"] * text.count("将军") + list(text.replace("将军", "")))
    assert grown.vocab[-1] == "将军"


def test_an_unknown_character_that_is_frequent_is_found() -> None:
    tokenizer, lines = chinese()
    grown = find_new_words(tokenizer, [f"{line}\U00020000" for line in lines[:20]] + ["龘"] * 900, count=1, segment=None)
    assert grown.vocab[-1] == "龘"

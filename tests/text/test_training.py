"""Training a tokenizer: deterministic, never larger than asked, and of use on other text."""

from collections.abc import Iterator

import pytest

from bertwright.errors import InputError
from bertwright.text.backends import KINDS, Kind
from bertwright.text.training import ALPHABET_SHARE, train_tokenizer

WORDS = [f"{first}{middle}{last}" for first in ("ba", "de", "mi", "po", "ru") for middle in ("n", "l", "st") for last in ("a", "er", "ing", "o")]


def text(lines: int = 400) -> list[str]:
    """Lines whose words occur equally often, so that almost every choice of training is a tie."""
    return [" ".join(WORDS[(line * step) % len(WORDS)] for step in range(1, 9)) for line in range(lines)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lowercase", [True, False])
def test_the_same_text_gives_the_same_tokenizer(kind: Kind, lowercase: bool) -> None:
    made = [train_tokenizer(iter(text()), kind=kind, vocab_size=320, lowercase=lowercase, min_frequency=2) for _ in range(3)]
    assert len({tokenizer.hash for tokenizer in made}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_more_entries_than_asked_and_fewer_where_the_text_has_no_more(kind: Kind) -> None:
    assert train_tokenizer(text(), kind=kind, vocab_size=300, lowercase=True, min_frequency=1).vocab_size <= 300
    small = train_tokenizer(["one two two"], kind=kind, vocab_size=9000, lowercase=True, min_frequency=1)
    assert small.vocab_size < 300
    assert len(small.vocab) == small.vocab_size


@pytest.mark.parametrize("kind", KINDS)
def test_lower_case_is_as_asked(kind: Kind) -> None:
    for lowercase in (True, False):
        tokenizer = train_tokenizer(["Rome rome ROME"] * 5, kind=kind, vocab_size=300, lowercase=lowercase, min_frequency=1)
        assert tokenizer.lowercase == lowercase
        assert (len(set(map(tuple, tokenizer.encode_ids(["Rome", "rome"])))) == 1) == lowercase


def test_the_books_word_vocabulary() -> None:
    """Dive into Deep Learning's: words between spaces that occur five times or more, in lower case, the most frequent first."""
    lines = ["The the THE cat , <b> @-@"] * 4 + ["cat dog"]
    tokenizer = train_tokenizer(lines, kind="word", vocab_size=100, lowercase=True, min_frequency=5)
    assert tokenizer.vocab[5:] == ["the", "cat"]
    assert tokenizer.encode("the @-@ cat [UNK]").tokens[1:-1] == ["the", "[UNK]", "cat", "[UNK]"]


def test_wordpiece_splits_chinese_and_strips_accents_in_lower_case() -> None:
    tokenizer = train_tokenizer(["我喜欢北京 Café", "北京很大 CAFE"] * 3, kind="wordpiece", vocab_size=60, lowercase=True, min_frequency=1)
    assert tokenizer.encode("北京café").tokens[1:-1] == ["北", "京", "cafe"]
    assert not any(piece.startswith("##") and "一" <= piece[2:] <= "鿿" for piece in tokenizer.vocab)


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_rare_characters_do_not_crowd_out_longer_pieces(kind: Kind) -> None:
    rare = "".join(chr(code) for code in range(0x0C85, 0x0C85 + 70))
    tokenizer = train_tokenizer([*text(4000), rare], kind=kind, vocab_size=120, lowercase=True, min_frequency=1)
    kept = set(rare) & set("".join(tokenizer.vocab[5:]))
    assert len(kept) <= ALPHABET_SHARE * 120
    assert set("bademipou") <= set("".join(tokenizer.vocab[5:]))


def test_room_that_is_left_goes_to_rare_characters() -> None:
    lines = ["上" * 3000 + chr(0x4E00 + place) * 2 for place in range(50)]
    tokenizer = train_tokenizer(lines, kind="wordpiece", vocab_size=80, lowercase=True, min_frequency=2)
    assert tokenizer.unk_id not in tokenizer.encode_ids(["".join(chr(0x4E00 + place) for place in range(50))])[0]


def test_byte_level_bpe_knows_every_character() -> None:
    tokenizer = train_tokenizer(["abc"], kind="bpe", vocab_size=261, lowercase=False, min_frequency=1)
    line = "Ünïcode 中国 😀 \t x"
    ids = tokenizer.encode_ids([line])[0]
    assert tokenizer.unk_id not in ids
    assert tokenizer.decode(ids) == line


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_without_end_is_read_in_pieces(kind: Kind) -> None:
    tokenizer = train_tokenizer(["x" * 120_000, *text(50)], kind=kind, vocab_size=300, lowercase=False, min_frequency=1)
    assert tokenizer.vocab_size <= 300


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [[], ["", "  \n "]])
def test_no_text_is_said(kind: Kind, texts: list[str]) -> None:
    with pytest.raises(InputError, match="no text to train a tokenizer on"):
        train_tokenizer(texts, kind=kind, vocab_size=300, lowercase=False, min_frequency=1)


def test_what_cannot_be_trained_is_said() -> None:
    with pytest.raises(InputError, match="kind 'spm': not one of wordpiece, bpe, unigram, word"):
        train_tokenizer(["a"], kind="spm", vocab_size=300, lowercase=False, min_frequency=1)
    with pytest.raises(InputError, match="vocab_size 100: a bpe tokenizer needs 261 or more"):
        train_tokenizer(["a"], kind="bpe", vocab_size=100, lowercase=False, min_frequency=1)


@pytest.mark.parametrize("kind", ["bpe", "word"])
def test_streamed_text_is_not_held(kind: Kind) -> None:
    alive: list[int] = []

    def lines() -> Iterator[str]:
        for place in range(3000):
            alive.append(place)
            yield f"line {place % 7}"

    train_tokenizer(lines(), kind=kind, vocab_size=300, lowercase=False, min_frequency=1)
    assert len(alive) == 3000

"""Filling the gaps of a text."""

import pytest

from bertwright.inference.rendering import fill_gaps


@pytest.mark.parametrize(
    ("text", "words", "fresh", "expected"),
    [
        ("Paris is the _ of France.", ["capital"], [True], "Paris is the capital of France."),
        ("two _ and _!", ["cats", "dogs"], [True, True], "two cats and dogs!"),
        ("token _ works", ["ization"], [False], "tokenization works"),
        ("un_able", ["the"], [True], "un theable"),
        ("_ begins", ["it"], [False], "it begins"),
        ("北_是", ["京"], [True], "北京是"),
        ("isn_t", ["'"], [True], "isn't"),
        ("_", ["all"], [True], "all"),
    ],
)
def test_words_stand_where_the_gaps_were(text: str, words: list[str], fresh: list[bool], expected: str) -> None:
    spans = [(place, place + 1) for place, character in enumerate(text) if character == "_"]
    assert fill_gaps(text, spans, words, starts_word=fresh) == expected

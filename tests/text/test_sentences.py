"""Sentences: nothing lost, cut where a reader would, in time linear in the text."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertwright.text.sentences import WINDOW, guess_language, split_sentences


def without_space(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Smith arrived at 3.5 p.m. today. She left.", ["Dr. Smith arrived at 3.5 p.m. today.", "She left."]),
        ("他说：“今天天气很好。”然后走了！真的吗？「你好。」他笑。", ["他说：“今天天气很好。”", "然后走了！", "真的吗？", "「你好。」", "他笑。"]),
        ("彼は言った。そして去った。", ["彼は言った。", "そして去った。"]),
        ("A line that\nis wrapped\r\n  here. Next.", ["A line that is wrapped here.", "Next."]),
        ("  \n\t ", []),
        ("", []),
        ("no end", ["no end"]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


@pytest.mark.parametrize(
    ("text", "language"), [("Plain text.", "en"), ("Größe, naïve.", "en"), ("今天天气很好。", "zh"), ("これは本です。", "ja"), ("中 in an English text", "en")]
)
def test_the_language_is_guessed(text: str, language: str) -> None:
    assert guess_language(text) == language


PIECES = st.sampled_from(
    [
        "Hello there",
        "Mr",
        ".",
        "!",
        "?",
        "。",
        "！",
        "”",
        "“",
        "「",
        "」",
        "(",
        ")",
        '"',
        "'",
        " ",
        "\n",
        "\n\n",
        "\r\n",
        "中国",
        "a" * 50,
        "…",
        "\u2028",
        "x@y.z",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=300).map("".join) | st.text(max_size=300), st.sampled_from([None, "en", "zh", "nonsense"]))
def test_nothing_but_space_is_lost(text: str, language: str | None) -> None:
    sentences = split_sentences(text, language=language)
    assert without_space("".join(sentences)) == without_space(text)
    assert all(sentence == sentence.strip() != "" and "\n" not in sentence for sentence in sentences)


@settings(max_examples=25, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=12).map("".join), st.integers(1, 400))
def test_nothing_but_space_is_lost_in_long_texts(text: str, times: int) -> None:
    long = text * times
    assert without_space("".join(split_sentences(long))) == without_space(long)


def test_windows_do_not_show_in_ordinary_text() -> None:
    sentences = [f"This is sentence number {number} of a long text, and it says so." for number in range(1000)]
    assert split_sentences(" ".join(sentences)) == sentences


def test_a_lone_surrogate_is_replaced() -> None:
    assert split_sentences("One \ud800. Two.") == ["One \ufffd.", "Two."]


@pytest.mark.parametrize("unit", ["word ", "x", "(“", "“好。", "« a. "])
def test_a_line_without_an_end_takes_linear_time(unit: str) -> None:
    text = unit * (300_000 // len(unit))
    start = time.perf_counter()
    sentences = split_sentences(text)
    assert time.perf_counter() - start < 20  # sentencex alone takes 40 s and more for the brackets
    assert max(map(len, sentences)) <= WINDOW
    assert without_space("".join(sentences)) == without_space(text)


def test_every_window_moves_on_whatever_the_segmenter_says(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def segment(language: str, window: str) -> list[str]:
        nonlocal calls
        calls += 1
        return [window[:1], window[1:]]

    monkeypatch.setattr("bertwright.text.sentences.sentencex.segment", segment)
    text = "x" * 50 * WINDOW
    assert "".join(split_sentences(text)) == text
    assert calls <= 101

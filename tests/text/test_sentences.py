"""Sentences: nothing lost, cut where a reader would, in time linear in the text."""

import time
from typing import SupportsIndex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertwright.text.sentences import LONGEST_CHINESE, WINDOW, _shortened, guess_language, split_sentences


def without_space(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Smith arrived at 3.5 p.m. today. She left.", ["Dr. Smith arrived at 3.5 p.m. today.", "She left."]),
        ("他说：“今天天气很好。”然后走了！真的吗？「你好。」他笑。", ["他说：“今天天气很好。”", "然后走了！", "真的吗？", "「你好。」", "他笑。"]),
        ("彼は言った。そして去った。", ["彼は言った。", "そして去った。"]),
        ("A line that\nis wrapped\r\n  here. Next.", ["A line that is wrapped here.", "Next."]),
        ("天下大乱……群雄并起；各据一方。民不聊生！？", ["天下大乱……", "群雄并起；", "各据一方。", "民不聊生！？"]),
        (
            "太史公曰：“先人有言：‘自周公卒五百岁而有孔子。’意在斯乎！”小子何敢让焉。",
            ["太史公曰：“先人有言：‘自周公卒五百岁而有孔子。’", "意在斯乎！”", "小子何敢让焉。"],
        ),
        ("他說：「你好！」然後走了。她問：『真的嗎？』", ["他說：「你好！」", "然後走了。", "她問：『真的嗎？』"]),
        ('他说："好。"然后走了。"再见!"', ['他说："好。"', "然后走了。", '"再见!"']),
        ("涨了3.5亿元,见 http://a.cn/b?c=1 和 No.1。对吗?对!", ["涨了3.5亿元,见 http://a.cn/b?c=1 和 No.1。", "对吗?", "对!"]),
        ("我们说中文。He said so. We agree. 他也同意", ["我们说中文。", "He said so.", "We agree.", "他也同意"]),
        ("안녕하세요. 저는 학생입니다. 반갑습니다!", ["안녕하세요.", "저는 학생입니다.", "반갑습니다!"]),
        ("  \n\t ", []),
        ("", []),
        ("no end", ["no end"]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def test_classical_text_without_punctuation_is_cut_short_at_what_pauses_there_are() -> None:
    bare = "學而時習之不亦説乎有朋自遠方來不亦樂乎" * 40
    assert max(map(len, split_sentences(bare))) == LONGEST_CHINESE
    paused = "，".join(["學而時習之不亦説乎", "有朋自遠方來不亦樂乎"] * 40)
    assert all(sentence.endswith(("，", "樂乎")) for sentence in split_sentences(paused))
    assert split_sentences("學而時習之不亦説乎有朋自遠方來不亦樂乎") == ["學而時習之不亦説乎有朋自遠方來不亦樂乎"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Plain text.", "en"),
        ("Größe, naïve.", "en"),
        ("今天天气很好。", "zh"),
        ("これは本です。", "ja"),
        ("中 in an English text", "en"),
        ("한국어입니다.", "en"),
    ],
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
        "；",
        "，",
        "』",
        "?",
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


@pytest.mark.parametrize(
    ("text", "sentences"),
    [("One \ud800. Two.", ["One \ufffd.", "Two."]), ("one \ud800 two", ["one \ufffd two"]), ("我们\ud800说。好", ["我们\ufffd说。", "好"])],
)
def test_a_lone_surrogate_is_replaced(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


@pytest.mark.parametrize("unit", ["word ", "x", "(“", "“好。", "« a. "])
def test_a_line_without_an_end_takes_linear_time(unit: str) -> None:
    text = unit * (300_000 // len(unit))
    start = time.perf_counter()
    sentences = split_sentences(text)
    assert time.perf_counter() - start < 20  # sentencex alone takes 40 s and more for the brackets
    assert max(map(len, sentences)) <= WINDOW
    assert without_space("".join(sentences)) == without_space(text)


def test_a_chinese_line_without_an_end_is_cut_in_linear_time() -> None:
    """No cut copies what is left of the line."""
    taken = list[int]()

    class Watched(str):
        def __getitem__(self, key: SupportsIndex | slice) -> str:
            found = super().__getitem__(key)
            taken.append(len(found))
            return found

    text = "學而時習之，" * 500
    assert "".join(_shortened(Watched(text))) == text
    assert len(taken) > 10
    assert max(taken) <= LONGEST_CHINESE


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

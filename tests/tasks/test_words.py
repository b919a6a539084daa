"""Words and texts, each from the other."""

import pytest

from bertwright.tasks.words import joined, words_of


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("the", "U.S.", "left"), "the U.S. left"),
        (("北", "京", "大学"), "北京大学"),
        (("北", "京", "1", "9", "a"), "北京19a"),
        (("在", "IBM", "工作"), "在 IBM 工作"),
        (("a", "b"), "a b"),
        ((), ""),
        (("", "a"), " a"),
        (("", "北", "", "京", "a"), "北京a"),
        (("北", "a", "北京", "大"), "北 a 北京大"),
    ],
)
def test_words_are_joined_as_their_script_has_it(words: tuple[str, ...], text: str) -> None:
    found, spans = joined(words)
    assert found == text
    assert tuple(found[start:end] for start, end in spans) == words


def test_a_text_is_cut_as_bert_cuts_it() -> None:
    found = words_of(" Anna's  U.S. 在IBM工作 \ud800 हिन्दी!")
    assert found.words == ("Anna", "'", "s", "U", ".", "S", ".", "在", "IBM", "工", "作", "\ud800", "हिन्दी", "!")
    assert all(found.text[start:end] == word for word, (start, end) in zip(found.words, found.spans, strict=True))
    assert words_of("").words == ()

"""Cuts text into sentences, Chinese at its own signs and the rest with sentencex, in time linear in the text."""

import re
from collections.abc import Iterator

import sentencex

from bertwright.text.scripts import HAN
from bertwright.text.surrogates import without_surrogates

WINDOW = 4096
"""Characters handed to sentencex at once. Unclosed quotation marks make it quadratic: this keeps the worst text at 0.2 million characters/s (measured)."""

SAMPLE = 2000
"""Characters of the text that the language is guessed from."""

LONGEST_CHINESE = 256
"""Characters of a Chinese sentence: a longer one, such as classical text that nobody punctuated, is cut at a comma or space, or at that length."""

# A sentence ends at these, with the brackets and quotation marks that close behind them; a question mark inside an address does not end one.
_ENDS = "。！？；…｡"
_CHINESE = re.compile(f"(?:[^{_ENDS}!?]|[!?](?=[0-9A-Za-z/=&%#]))*(?:(?:[{_ENDS}]|[!?](?![0-9A-Za-z/=&%#]))+[”’」』》〉）)】〕\\]]*)*")
_SOFT = re.compile("[，、,：:　 ]")
_ENGLISH_END = re.compile(r"[A-Za-z][.!?]\s")

_HAN = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in HAN) + "]")
_KANA = re.compile("[ぁ-ゟァ-ヿ]")


def split_sentences(text: str, *, language: str | None = None) -> list[str]:
    """Splits text into sentences, in order, none of them empty.

    Line breaks inside a sentence become one space and space around it goes; every other character stays. A sentence of more than half
    of `WINDOW` may be cut, at a space where it has one; one of more than `WINDOW` always is. A lone surrogate becomes U+FFFD.
    Chinese ends at 。！？；… and what closes behind them, inside quotations too. `language` is a code that sentencex knows (an unknown one counts as
    English); by default it is guessed: "zh", "ja", else "en".
    """
    if language is None:
        language = guess_language(text)
    text = without_surrogates(text)
    pieces = _chinese(text) if language.startswith("zh") else _segments(text, language)
    sentences = []
    for piece in pieces:
        sentence = piece.strip()
        if "\n" in sentence or "\r" in sentence:
            sentence = " ".join(filter(None, map(str.strip, sentence.splitlines())))
        if sentence:
            sentences.append(sentence)
    return sentences


def guess_language(text: str) -> str:
    """The language whose rules fit the first `SAMPLE` characters: "ja" where there is kana, "zh" where a tenth or more is Han, else "en"."""
    sample = text[:SAMPLE]
    if sample.isascii():
        return "en"
    if len(_KANA.findall(sample)) * 20 >= len(sample):
        return "ja"
    return "zh" if len(_HAN.findall(sample)) * 10 >= len(sample) else "en"


def _chinese(text: str) -> Iterator[str]:
    """Pieces that join to the text."""
    start = 0
    while start < len(text):
        found = _CHINESE.match(text, start)
        end = max(found.end() if found else 0, start + 1)
        if text[end : end + 1] == '"' and text.count('"', start, end) % 2:  # it closes what was opened in this sentence
            end += 1
        piece, start = text[start:end], end
        parts = _segments(piece, "en") if _ENGLISH_END.search(piece) else [piece]
        for part in parts:
            yield from _shortened(part)


def _shortened(piece: str) -> Iterator[str]:
    start = 0
    while len(piece) - start > LONGEST_CHINESE:
        end = start + LONGEST_CHINESE
        soft = [sign.end() for sign in _SOFT.finditer(piece, start + LONGEST_CHINESE // 2, end)]
        end = soft[-1] if soft else end
        yield piece[start:end]
        start = end
    yield piece[start:]


def _segments(text: str, language: str) -> Iterator[str]:
    """Pieces that join to the text, window after window: the last piece of a window may go on in the next, so it is read again from its start."""
    start = 0
    while len(text) - start > WINDOW:
        *whole, last = sentencex.segment(language, text[start : start + WINDOW])
        yield from whole
        start += WINDOW - len(last)
        if len(last) > WINDOW // 2:  # every window moves on by half its length, or a bad text would be read over and over
            cut = _last_space(last)
            yield last[:cut]
            start += cut
    yield from sentencex.segment(language, text[start:])


def _last_space(piece: str) -> int:
    """Where to cut a piece that has no end: after the last space of its second half, or at its end."""
    space = max(piece.rfind(" ", len(piece) // 2), piece.rfind("\n", len(piece) // 2))
    return space + 1 if space >= 0 else len(piece)

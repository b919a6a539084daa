"""Putting words into the gaps of a text so that it still reads as its writer typed it."""

from collections.abc import Sequence

Span = tuple[int, int]

CJK_START = 0x2E80  # first code point of the CJK blocks: scripts from here on put no spaces between words


def fill_gaps(text: str, spans: Sequence[Span], words: Sequence[str], *, starts_word: Sequence[bool]) -> str:
    """`text` with the characters of each span replaced by a word.

    spans: (start, end) in characters, ascending, not overlapping; a word that continues the one before it (`starts_word` false) is
    joined to it, and one that starts anew keeps a space from a letter before it.
    """
    pieces: list[str] = []
    done = 0
    for (start, end), word, fresh in zip(spans, words, starts_word, strict=True):
        pieces.append(text[done:start])
        before = "".join(pieces[-2:])
        if not fresh and before[-1:].isspace():
            pieces[-1] = pieces[-1].rstrip()
        elif fresh and _spaced(before[-1:]) and _spaced(word[:1]):
            pieces.append(" ")
        pieces.append(word)
        done = end
    return "".join([*pieces, text[done:]])


def _spaced(character: str) -> bool:
    return character.isalnum() and ord(character) < CJK_START

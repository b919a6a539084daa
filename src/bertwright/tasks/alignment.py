"""Which piece of a text begins which word."""

from collections.abc import Sequence
from typing import NamedTuple

from bertwright.tasks.words import Span


class Alignment(NamedTuple):
    """The numbers of the words that a piece begins, ascending, and of those pieces; following: words that the piece of the word before them goes on into.

    Words that are in neither have no piece at all.
    """

    words: list[int]
    pieces: list[int]
    following: list[int]


def align(spans: Sequence[Span], offsets: Sequence[Span]) -> Alignment:
    """Each word's first piece: the first one that has a character of it and none of an earlier word. Both ascend, as characters [start, end) of one text."""
    words, pieces, following = [], [], []
    piece, count, taken = 0, len(offsets), -1
    for word, (start, stop) in enumerate(spans):
        while piece < count and offsets[piece][1] <= start:
            piece += 1
        if piece == count or offsets[piece][0] >= stop:
            continue
        if piece == taken:
            following.append(word)
        else:
            words.append(word)
            pieces.append(piece)
            taken = piece
    return Alignment(words, pieces, following)

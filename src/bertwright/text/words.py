"""Chinese words: a segmenter says which characters begin one, and with that which tokens do."""

import importlib
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from bertwright.errors import InputError
from bertwright.text.pieces import Pieces
from bertwright.text.scripts import code_points, has_han, is_han

RJIEBA = "rjieba"

Segment = Callable[[str], Iterable[str]]
"""A text to its words, in order; spaces between them may be left out."""


def find_segmenter(name: str) -> Segment:
    """The segmenter of a name: "rjieba", which is jieba with traditional characters looked up as simplified ones, or "module:function" of the user's own.

    Raises InputError where there is none, or where what it needs is not installed.
    """
    if name == RJIEBA:
        return _jieba()
    module, _, function = name.partition(":")
    if not module or not function:
        raise InputError(f"segmenter {name!r}: take {RJIEBA}, or module:function of your own, which is given a text and returns its words")
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"segmenter {name!r}: there is no module {module} ({error}): install it, or set PYTHONPATH to the folder that it lies in") from None
    segment: Segment | None = getattr(found, function, None)
    if not callable(segment):
        raise InputError(f"segmenter {name!r}: {module} has no function {function}: give one that takes a text and returns its words")
    return segment


def _jieba() -> Segment:
    try:
        import opencc
        import rjieba
    except ImportError as error:
        raise InputError(f"segmenter {RJIEBA} needs {error.name}, which is not installed: pip install 'bertwright[zh]'") from None
    simplified = opencc.OpenCC("t2s").convert

    def segment(text: str) -> list[str]:
        """Its dictionary is in simplified characters; a text that would change its length is looked up as it is."""
        looked_up = simplified(text)
        words: list[str] = rjieba.cut(looked_up if len(looked_up) == len(text) else text)
        if looked_up == text:
            return words
        ends = np.cumsum([len(word) for word in words]).tolist()
        return [text[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    return segment


def word_begins(texts: Sequence[str], segment: Segment) -> NDArray[np.bool_]:
    """bool, one for each character of "\\n".join(texts): whether a word begins there. Of texts without a Chinese character only the first does.

    Raises InputError where the words do not make up the text.
    """
    begins = np.zeros(sum(map(len, texts)) + max(len(texts) - 1, 0), dtype=np.bool_)
    place = 0
    for text in texts:
        if text:
            begins[place] = True
        if has_han(text):
            begins[_starts(text, segment(text)) + place] = True
        place += len(text) + 1
    return begins


def _starts(text: str, segmented: Iterable[str]) -> NDArray[np.int64]:
    """Where each word begins in the text."""
    words = list(segmented)
    if wrong := [word for word in words if not isinstance(word, str)]:
        raise InputError(f"the segmenter gives {wrong[0]!r} among the words of the text {text[:40]!r}: let it return words alone, each a str")
    lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    if "".join(words) == text:
        return (np.cumsum(lengths) - lengths)[lengths > 0]
    found, place = [], 0
    for word in words:
        start = text.find(word, place)
        if start < 0 or text[place:start].strip():
            break
        found.append(start)
        place = start + len(word)
    if text[place:].strip():
        raise InputError(
            f"the segmenter's words do not make up the text {text[:40]!r} (they stop before {text[place : place + 10]!r}): let it return all of the text"
        )
    return np.array(found, dtype=np.int64)


def token_starts(texts: Sequence[str], cut: Sequence[Pieces], begins: NDArray[np.bool_], table: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool [tokens of all texts]: whether a token begins a word. cut: the pieces of each text; begins: of `word_begins`; table: the tokenizer's own.

    The segmenter decides at and right behind Chinese characters, the tokenizer's table elsewhere. A character of several tokens counts once.
    """
    ids = np.fromiter(chain.from_iterable(pieces.ids for pieces in cut), dtype=np.int64)
    counts = np.array([len(pieces.ids) for pieces in cut], dtype=np.int64)
    spans = np.fromiter(chain.from_iterable(chain.from_iterable(pieces.offsets) for pieces in cut), dtype=np.int64).reshape(-1, 2)
    if not len(ids):
        return np.zeros(0, dtype=np.bool_)
    lengths = np.array([len(text) + 1 for text in texts], dtype=np.int64)
    first = spans[:, 0] + np.repeat(np.cumsum(lengths) - lengths, counts)
    han = is_han(code_points("\n".join(texts)))
    place = np.minimum(first, len(han) - 1)
    beside = han[place] | (han[np.maximum(place - 1, 0)] & (place > 0))
    decided = beside & (spans[:, 1] > spans[:, 0])
    anew = np.append(True, first[1:] != first[:-1])
    starts: NDArray[np.bool_] = np.where(decided, begins[place] & anew, table[ids])
    starts[(np.cumsum(counts) - counts)[counts > 0]] = True
    return starts

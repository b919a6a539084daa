"""Words and the text that they stand in: each from the other."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from tokenizers import pre_tokenizers

from bertwright.data.labelled.examples import TagExample
from bertwright.text.pieces import REPLACEMENT, SURROGATE

# Chinese characters as BERT tells them (google-research/bert, tokenization.py, _is_chinese_char).
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002f800-\U0002fa1f"
ONE = re.compile(f"[{HAN}]")
PARTS = re.compile(f"[{HAN}]|[^{HAN}]+")
SPLIT = pre_tokenizers.BertPreTokenizer()

Span = tuple[int, int]


def whole(example: TagExample) -> TagExample:
    """The same with words, text and spans: the text of words joined, or the words of a text cut, where either is not given."""
    if example.words and not example.text:
        text, spans = joined(example.words)
        return replace(example, text=text, spans=spans)
    return words_of(example.text) if example.text and not example.words else example


def joined(words: Sequence[str]) -> tuple[str, tuple[Span, ...]]:
    """The text of words and where each stands in it: a space between two, none between Chinese characters, nor anywhere in a text of single characters with
    Chinese among them."""
    ends = list(accumulate(len(word) for word in words))
    starts = [end - len(word) for end, word in zip(ends, words, strict=True)]
    if ONE.search("".join(words)) is None:
        return " ".join(words), tuple((start + before, end + before) for start, end, before in zip(starts, ends, range(len(words)), strict=True))
    single = all(len(word) <= 1 for word in words)
    apart = [not single and not (_is_han(last[-1:]) and _is_han(first[:1])) for last, first in pairwise(words)]
    before = [0, *accumulate(apart)]
    text = "".join(" " * space + word for space, word in zip([False, *apart], words, strict=True))
    return text, tuple((start + shift, end + shift) for start, end, shift in zip(starts, ends, before, strict=True))


def words_of(text: str) -> TagExample:
    """A text to be tagged, cut as BERT cuts: at white space, each punctuation mark and each Chinese character alone (Devlin et al. 2018, released code).

    So transformers' pipeline finds the words, which takes what begins a piece for the beginning of a word.
    """
    found = SPLIT.pre_tokenize_str(SURROGATE.sub(REPLACEMENT, text))
    spans = [(start + part.start(), start + part.end()) for _, (start, end) in found for part in PARTS.finditer(text[start:end])]
    return TagExample(words=tuple(text[start:end] for start, end in spans), text=text, spans=tuple(spans))


def _is_han(letter: str) -> bool:
    return ONE.match(letter) is not None

"""Texts cut into pieces that remember their characters, and what a template lays around them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import tokenizers

from bertwright.errors import InputError

SURROGATE = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\ufffd"


class Pieces(NamedTuple):
    """A text's tokens without what the template adds.

    offsets: characters [start, end) of each, white space at its ends left out, so that a piece of nothing else has none. Tokens that share a character
    both have it.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]


class Added(NamedTuple):
    """Special tokens that a template adds in one place."""

    ids: tuple[int, ...] = ()
    type_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Template:
    """What a tokenizer lays around one text, or around two: the tokens before, between and after them, and the type ids of either."""

    before: Added
    between: Added
    after: Added
    types: tuple[int, int]

    @property
    def size(self) -> int:
        """Tokens that it adds."""
        return len(self.before.ids) + len(self.between.ids) + len(self.after.ids)

    def around(self, first: Sequence[int], second: Sequence[int] = ()) -> tuple[list[int], list[int] | None]:
        """The ids of a row and its type ids, None where all are 0."""
        ids = [*self.before.ids, *first, *self.between.ids, *second, *self.after.ids]
        if not any((*self.before.type_ids, *self.between.type_ids, *self.after.type_ids, *self.types)):
            return ids, None
        first_types, second_types = [self.types[0]] * len(first), [self.types[1]] * len(second)
        return ids, [*self.before.type_ids, *first_types, *self.between.type_ids, *second_types, *self.after.type_ids]

    def place_of(self, token: int, *, length: int) -> int | None:
        """Where a row of `length` tokens has an added one; None where the template has none such."""
        if token in self.before.ids:
            return self.before.ids.index(token)
        return length - len(self.after.ids) + self.after.ids.index(token) if token in self.after.ids else None


def cut(backend: tokenizers.Tokenizer, texts: Sequence[str]) -> list[Pieces]:
    """The pieces of each text; the batch is spread over the CPU's cores. Half characters count as U+FFFD, one each, so that offsets are those of the text."""
    try:
        encodings = backend.encode_batch(list(texts), add_special_tokens=False)
    except TypeError:  # what the library makes of a lone surrogate
        encodings = backend.encode_batch([SURROGATE.sub(REPLACEMENT, text) for text in texts], add_special_tokens=False)
    return [Pieces(encoding.ids, [_stripped(text, start, end) for start, end in encoding.offsets]) for text, encoding in zip(texts, encodings, strict=True)]


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def template_of(backend: tokenizers.Tokenizer, *, pair: bool) -> Template:
    """The template, read from what is laid around a known text. Raises InputError where that leaves the text no place."""
    bare = len(backend.encode("a", add_special_tokens=False))
    framed = backend.encode("a", "a") if pair else backend.encode("a")
    places = [place for place, added in enumerate(framed.special_tokens_mask) if not added]
    if bare == 0 or len(places) != bare * (1 + pair):
        raise InputError('this tokenizer has no piece for the text "a", so that nothing shows what it lays around texts: take another one')

    def added(start: int, stop: int) -> Added:
        return Added(tuple(framed.ids[start:stop]), tuple(framed.type_ids[start:stop]))

    first, second = places[:bare], places[bare:] or [places[-1] + 1]
    types = (framed.type_ids[first[0]], framed.type_ids[second[0]] if pair else 0)
    return Template(added(0, first[0]), added(first[-1] + 1, second[0]), added(places[-1] + 1, len(framed)), types)

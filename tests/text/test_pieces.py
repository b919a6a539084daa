"""Pieces remember their characters in every family, and the template laid around them gives what `encode` gives."""

from typing import Any

import pytest

from bertwright.text.pieces import Pieces
from bertwright.text.tokenizer import Tokenizer

TEXTS = [" Paris  is the capital", "hello\tworld 北京 1998", "Café!", "a", "", "   "]


@pytest.fixture(scope="module")
def families(small_families: list[Any]) -> list[tuple[str, Tokenizer]]:
    return [(given.model_type, Tokenizer.load(given.folder)) for given in small_families]


def test_the_ids_are_those_of_the_text_alone(families: list[tuple[str, Tokenizer]]) -> None:
    for name, tokenizer in families:
        assert [found.ids for found in tokenizer.pieces(TEXTS)] == tokenizer.encode_ids(TEXTS), name


def test_a_template_lays_around_a_text_what_encode_does(families: list[tuple[str, Tokenizer]]) -> None:
    for name, tokenizer in families:
        single, pair = tokenizer.template(pair=False), tokenizer.template(pair=True)
        first, second = tokenizer.encode_ids(["the capital", "of France"])
        alone, both = tokenizer.encode("the capital"), tokenizer.encode("the capital", "of France")
        assert single.around(first) == (alone.ids, alone.type_ids if any(alone.type_ids) else None), name
        assert pair.around(first, second) == (both.ids, both.type_ids if any(both.type_ids) else None), name
        assert (single.size, pair.size) == (len(alone.ids) - len(first), len(both.ids) - len(first) - len(second)), name
        if tokenizer.has("cls") and tokenizer.cls_id in both.ids:
            assert both.ids[pair.place_of(tokenizer.cls_id, length=len(both.ids)) or 0] == tokenizer.cls_id, name


def test_offsets_hold_no_white_space_and_cover_the_rest(families: list[tuple[str, Tokenizer]]) -> None:
    for name, tokenizer in families:
        for text, found in zip(TEXTS, tokenizer.pieces(TEXTS), strict=True):
            parts = [text[start:end] for start, end in found.offsets]
            assert all(part == part.strip() for part in parts), name
            covered = {place for start, end in found.offsets for place in range(start, end)}
            assert covered == {place for place, letter in enumerate(text) if not letter.isspace()}, name


def test_half_characters_leave_the_offsets_in_step(tokenizer: Tokenizer) -> None:
    text = "ban \ud83d\ude00 \udc00 ben"
    (found,) = tokenizer.pieces([text])
    assert isinstance(found, Pieces)
    assert text[slice(*found.offsets[-1])] == "ben"

"""What a tokenizer's files say that its backend does not hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import tokenizers

from bertwright.text.special import SpecialTokens

Segmenter = Literal["jieba"]


class PieceFile(NamedTuple):
    """A SentencePiece file as it was read, to be written again."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Origin:
    """`name` says in messages which tokenizer it is. `segmenter`: what finds Chinese words before the backend's model does.

    `kept`: keys of tokenizer_config.json that go back into it, such as padding_side.
    """

    name: str = "this tokenizer"
    pieces: PieceFile | None = None
    segmenter: Segmenter | None = None
    kept: Mapping[str, object] = field(default_factory=dict)


class Loaded(NamedTuple):
    """What reading a tokenizer's files yields."""

    backend: tokenizers.Tokenizer
    special: SpecialTokens
    origin: Origin

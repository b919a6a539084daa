"""What a task says of an example: frozen, printable, ready for JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Classified:
    """label: the likeliest one, None of a text that may have several; labels: the one, or all whose probability is at least a half.

    probabilities: by label, in the order of their ids. loss: in nats, where the right label is known.
    """

    label: str | None
    labels: tuple[str, ...]
    probabilities: Mapping[str, float]
    loss: float | None = None

    def to_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"labels": list(self.labels)} if self.label is None else {"label": self.label}
        return {**shown, "probabilities": {name: round(value, 6) for name, value in self.probabilities.items()}, **_loss(self.loss)}


@dataclass(frozen=True, kw_only=True)
class Regressed:
    """A number, in the units of the labels it was trained with. loss: squared error."""

    value: float
    loss: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, **_loss(self.loss)}


@dataclass(frozen=True, kw_only=True)
class Entity:
    """One tagged span: text[start:end]. score: the mean probability of its words' tags."""

    label: str
    text: str
    start: int
    end: int
    score: float

    def to_json(self) -> dict[str, Any]:
        return {"label": self.label, "text": self.text, "start": self.start, "end": self.end, "score": round(self.score, 6)}


@dataclass(frozen=True, kw_only=True)
class Tagged:
    """A BIO tag for each word, and the entities that they make. loss: mean over words, in nats."""

    text: str
    words: tuple[str, ...]
    tags: tuple[str, ...]
    entities: tuple[Entity, ...]
    loss: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {"words": list(self.words), "tags": list(self.tags), "entities": [entity.to_json() for entity in self.entities], **_loss(self.loss)}


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The likeliest span of the context: context[start:end] == text. Empty, with start and end None, where the model knows "no answer" and finds none.

    score: the probability of the span among those looked at; no_answer: that of none, where the model knows it.
    """

    text: str
    start: int | None
    end: int | None
    score: float
    no_answer: float | None = None
    loss: float | None = None

    def to_json(self) -> dict[str, Any]:
        none = {} if self.no_answer is None else {"no_answer": round(self.no_answer, 6)}
        return {"answer": self.text, "start": self.start, "end": self.end, "score": round(self.score, 6), **none, **_loss(self.loss)}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """choice: the number of the likeliest one, from 0, and its text; probabilities: of each."""

    choice: int
    text: str
    probabilities: tuple[float, ...]
    loss: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {"choice": self.choice, "text": self.text, "probabilities": [round(value, 6) for value in self.probabilities], **_loss(self.loss)}


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """The vectors of an example's texts, float32 [texts, hidden_size].

    similarities: cosines of the first with each of the others. rank: of its partner among those of all examples looked at together, from 1, where texts
    belong together. loss: of the cosine against the score, or of the partner among all.
    """

    vectors: NDArray[np.float32] = field(repr=False)
    similarities: tuple[float, ...] = ()
    rank: int | None = None
    loss: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The vector of a text; of several texts how alike they are."""
        if not self.similarities:
            return {"vector": self.vectors[0].tolist()}
        cosines = [round(value, 6) for value in self.similarities]
        return {**({"similarity": cosines[0]} if len(cosines) == 1 else {"similarities": cosines}), **_loss(self.loss)}


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written for a source. loss: mean over the right target's tokens, in nats; tokens: how many those are."""

    text: str
    loss: float | None = None
    tokens: int = 0

    def to_json(self) -> dict[str, Any]:
        return {"text": self.text, **_loss(self.loss)}


Prediction = Classified | Regressed | Tagged | Answered | Chosen | Embedded | Written


def _loss(loss: float | None) -> dict[str, float]:
    return {} if loss is None else {"loss": round(loss, 6)}

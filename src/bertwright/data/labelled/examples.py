"""What one row of labelled data says, by task; a row to predict is the same without its label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bertwright.data.places import Place

TaskName = Literal["classify", "regress", "tag", "answer", "choice", "embed", "generate"]
TASKS: tuple[TaskName, ...] = ("classify", "regress", "tag", "answer", "choice", "embed", "generate")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextExample:
    """classify, regress: a text or a pair. label: a label's name; a tuple of names where a row may have several; a number; None where it is unknown."""

    text: str
    pair: str | None = None
    label: str | tuple[str, ...] | float | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagExample:
    """tag: words, and a tag for each, in BIO whatever the file's scheme was; text: the words as a reader sees them, with `spans` [start, end) of each in it."""

    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    text: str = ""
    spans: tuple[tuple[int, int], ...] = ()
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer as it stands in the context: context[start : start + len(text)] == text."""

    text: str
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionExample:
    """answer: a question about a context. answers: right ones; empty where there is none in the context (SQuAD v2); None where unknown."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...] | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceExample:
    """choice: a text and its possible continuations or answers; label: the number of the right one, from 0."""

    text: str
    choices: tuple[str, ...]
    label: int | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedExample:
    """embed: one text to embed; two that belong together, or that have a score; three: anchor, positive, negative."""

    texts: tuple[str, ...]
    score: float | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteExample:
    """generate: a source and what is to be written; target None where unknown."""

    source: str
    target: str | None = None
    place: Place | None = None


Example = TextExample | TagExample | QuestionExample | ChoiceExample | EmbedExample | WriteExample


@dataclass(frozen=True, kw_only=True)
class LabelledData:
    """The rows of one file (or split), read for a task.

    labels: names in the order of their ids, of classes or BIO tags; empty for other tasks. several: rows may have several labels. columns: the file's column
    for each role ("text", "pair", "label" ...). scheme: that of the file's tags. left_out: how many rows were left out, by the documented reason.
    decisions: how the values of the training file were read, as JSON holds it, for `read_labelled` to read later files alike. said: one line for each thing
    taken for granted in this file.
    """

    name: str
    task: TaskName
    examples: Sequence[Any]
    labels: tuple[str, ...] = ()
    several: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    scheme: str | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    decisions: Mapping[str, Any] = field(default_factory=dict)
    said: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LabelledSplits:
    """What a fine-tuning reads; labels are the training part's in all of them. said: one line for each thing taken for granted, for the user to see."""

    train: LabelledData
    validation: LabelledData
    test: LabelledData | None = None
    metric: str | None = None
    said: tuple[str, ...] = ()

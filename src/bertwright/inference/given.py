"""What a caller may hand to a Predictor, as a task's examples: one input, or a list of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bertwright.data.labelled.examples import ChoiceExample, EmbedExample, QuestionExample, TagExample, TextExample
from bertwright.errors import InputError

Pair = tuple[str, str]


class Given(NamedTuple):
    """The examples, and whether they were one input rather than a list."""

    examples: list[Any]
    single: bool

    def answer(self, predictions: list[Any]) -> Any:
        """A list's predictions, or the one."""
        return predictions[0] if self.single else predictions


def texts_or_pairs(given: str | Pair | Sequence[str | Pair]) -> Given:
    """A text, a tuple of two, or a list of these."""

    def example(one: Any, name: str) -> TextExample:
        if isinstance(one, str):
            return TextExample(text=_text(one, name))
        if _is_texts(one) and len(one) == 2:
            return TextExample(text=_text(one[0], name), pair=_text(one[1], name))
        raise InputError(f"{name} is {_shown(one)}: give a text, or a pair of texts")

    return _all(given, example, single=isinstance(given, str | tuple))


def texts_or_words(given: str | Sequence[str] | Sequence[Sequence[str]]) -> Given:
    """A text to be cut into words, a tuple of words, or a list of texts, of tuples or of lists of words."""

    def example(one: Any, name: str) -> TagExample:
        if isinstance(one, str):
            return TagExample(words=(), text=_text(one, name))
        if _is_texts(one) and one:
            return TagExample(words=tuple(one))
        raise InputError(f"{name} is {_shown(one)}: give a text, or its words")

    return _all(given, example, single=isinstance(given, str | tuple))


def questions(question: str | Sequence[Pair], context: str | None) -> Given:
    """A question and its context, or a list of tuples of them."""

    def example(one: Any, name: str) -> QuestionExample:
        if _is_texts(one) and len(one) == 2:
            return QuestionExample(id=name, question=_text(one[0], name), context=_text(one[1], f"{name}'s context"))
        raise InputError(f"{name} is {_shown(one)}: give a question and the context that answers it")

    if isinstance(question, str):
        if context is None:
            raise InputError("answer needs a question and the context that answers it, or a list of such pairs")
        return Given([example((question, context), "the question")], single=True)
    return _all(question, example, single=False)


def choices(text: str | Sequence[tuple[str, Sequence[str]]], offered: Sequence[str] | None) -> Given:
    """A text and its choices, or a list of tuples of them."""

    def example(one: Any, name: str) -> ChoiceExample:
        if isinstance(one, tuple | list) and len(one) == 2 and isinstance(one[0], str) and _is_texts(one[1]) and one[1]:
            return ChoiceExample(text=one[0], choices=tuple(one[1]))
        raise InputError(f"{name} is {_shown(one)}: give a text and a list of choices")

    if isinstance(text, str):
        if offered is None:
            raise InputError("choose needs a text and its choices, or a list of such pairs")
        return Given([example((text, offered), "the text")], single=True)
    return _all(text, example, single=False)


def texts(given: str | Sequence[str]) -> Given:
    """A text or a list of texts, to be embedded."""

    def example(one: Any, name: str) -> EmbedExample:
        if isinstance(one, str):
            return EmbedExample(texts=(_text(one, name),))
        raise InputError(f"{name} is {_shown(one)}: give a text")

    return _all(given, example, single=isinstance(given, str))


def _all(given: Any, example: Callable[[Any, str], Any], *, single: bool) -> Given:
    """Every input as an example. Raises InputError naming each that cannot be one; what is no list, or has keys, is one such."""
    single = single or isinstance(given, Mapping) or not isinstance(given, Iterable)
    examples: list[Any] = []
    problems: list[str] = []
    for number, one in enumerate([given] if single else given, start=1):
        try:
            examples.append(example(one, "the text" if single else f"text {number}"))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*problems)
    return Given(examples, single)


def _text(text: str, name: str) -> str:
    if not text.strip():
        raise InputError(f"{name} is empty: give some words")
    return text


def _is_texts(one: Any) -> bool:
    return isinstance(one, tuple | list) and all(isinstance(part, str) for part in one)


def _shown(one: Any) -> str:
    said = repr(one)
    return said if len(said) <= 60 else said[:60] + "..."

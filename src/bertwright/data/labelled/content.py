"""What an example holds, whatever its task: the texts a model reads, what makes two of them the same, its labels in words."""

import re
from collections.abc import Hashable, Sequence
from typing import Any

from bertwright.data.labelled.examples import ChoiceExample, EmbedExample, QuestionExample, TagExample, TextExample, WriteExample

LOOKED_AT = 200  # examples that the unit of length is judged by
CHINESE = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")  # and Japanese: written without spaces


def texts_of(example: Any) -> tuple[tuple[str, ...], ...]:
    """The sequences a model reads of an example, each one or two texts."""
    match example:
        case TextExample(text=text, pair=pair):
            return ((text,) if pair is None else (text, pair),)
        case TagExample(words=words, text=text):
            return ((text or " ".join(words),),)
        case QuestionExample(question=question, context=context):
            return ((question, context),)
        case ChoiceExample(text=text, choices=choices):
            return tuple((text, choice) for choice in choices)
        case EmbedExample(texts=texts):
            return tuple((text,) for text in texts)
        case WriteExample(source=source):
            return ((source,),)
    raise TypeError(f"no example of a task: {type(example).__name__}")


def key_of(example: Any) -> Hashable:
    """What two examples have in common when they ask the same of a model."""
    return example.words if isinstance(example, TagExample) else texts_of(example)


def group_of(example: Any) -> Hashable:
    """What keeps rows on one side of a split: the same texts; for questions the same context."""
    return example.context if isinstance(example, QuestionExample) else key_of(example)


def labels_of(example: Any) -> tuple[str, ...]:
    """What is counted of an example: its labels, the types of its entities, whether there is an answer."""
    match example:
        case TextExample(label=str() as label):
            return (label,)
        case TextExample(label=tuple() as labels):
            return labels
        case TagExample(tags=tuple() as tags):
            return tuple(tag.removeprefix("B-") for tag in tags if tag != "O" and not tag.startswith("I-"))
        case QuestionExample(answers=tuple() as answers):
            return ("answered" if answers else "no answer",)
        case ChoiceExample(label=int() as label):
            return (f"choice {label + 1}",)
    return ()


def label_of(example: Any) -> str:
    """All that is to be learnt of an example, as one text: what differs where rows disagree."""
    match example:
        case TextExample(label=tuple() as labels):
            return ", ".join(sorted(labels))
        case TextExample(label=label) | ChoiceExample(label=label):
            return str(label)
        case TagExample(tags=tags):
            return " ".join(tags or ())
        case QuestionExample(answers=answers):
            return " | ".join(sorted({answer.text for answer in answers or ()}))
        case EmbedExample(score=score):
            return str(score)
        case WriteExample(target=target):
            return str(target)
    raise TypeError(f"no example of a task: {type(example).__name__}")


def is_in_characters(examples: Sequence[Any]) -> bool:
    """Whether the texts are written without spaces between words, so that characters are what can be counted."""
    step = max(len(examples) // LOOKED_AT, 1)
    text = "".join(text for example in examples[::step] for texts in texts_of(example) for text in texts)
    letters = sum(character.isalpha() for character in text)
    return len(CHINESE.findall(text)) * 3 > letters > 0


def lengths_in_words(examples: Sequence[Any], *, unit: str) -> list[int]:
    """Words of each row, or characters without spaces; of a row that becomes several sequences, those of the longest."""
    found = []
    for example in examples:
        if isinstance(example, TagExample) and unit == "words":
            found.append(len(example.words))
        else:
            found.append(max(sum(len(text.split()) if unit == "words" else len("".join(text.split())) for text in texts) for texts in texts_of(example)))
    return found

"""What `bertwright predict` asks of a checkpoint, whatever it was trained for: inputs to examples, examples to answers, answers to lines, JSON or cells."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bertwright.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from bertwright.data.labelled.examples import TaskName
    from bertwright.inference.predictor import Predictor
    from bertwright.inference.reader import Reader
    from bertwright.inference.results import FilledText
    from bertwright.tasks.writer import GeneratedText, Writer

Passed = Callable[[int], None]

AT_ONCE = 64  # texts answered together: enough to batch by length, few enough to answer a slow pipe soon


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One input's answer: lines for a reader, an object for JSON, and what it adds to a table's row."""

    lines: list[str]
    json: dict[str, Any]
    cells: dict[str, Any]


class Answering(ABC):
    """A checkpoint answering.

    task: how tables are read for it; at_once: inputs that are worth answering together; truncated: how many lost their end so
    far; known: how tables were read in training.
    """

    task: "TaskName"
    at_once: int
    truncated: int = 0
    known: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def example(self, text: str) -> Any:
        """The example that a typed text means. Raises InputError where it means none."""

    @abstractmethod
    def answers(self, examples: Sequence[Any], *, passed: Passed | None = None) -> list[Answer]:
        """One answer for each example, in their order. Raises InputError for those that cannot have one."""

    @abstractmethod
    def problems(self, example: Any) -> Sequence[str]:
        """One line for each thing that keeps an example from an answer."""


class TaskAnswers(Answering):
    """The task that a checkpoint was fine-tuned for. shown: labels that a line has, the likeliest first."""

    def __init__(self, reader: "Reader", *, shown: int, probabilities: bool) -> None:
        from bertwright.inference.reader import CHUNK
        from bertwright.tasks.registry import decisions_of

        self.known = decisions_of(reader.model)
        self.reader, self.shown, self.probabilities = reader, shown, probabilities
        self.task, self.at_once = reader.task.name, CHUNK

    def example(self, text: str) -> Any:
        from bertwright.data.labelled.examples import ChoiceExample, EmbedExample, QuestionExample, TagExample, TextExample

        parts = [part.strip() for part in text.split("\t")]
        if any(not part for part in parts):
            raise InputError("one side of a tab is empty: give some words on both")
        first, *others = parts
        match self.task:
            case "classify" | "regress" if len(parts) <= 2:
                return TextExample(text=first, pair=others[0] if others else None)
            case "tag" if not others:
                return TagExample(words=(), text=first)
            case "answer" if len(others) == 1:
                return QuestionExample(id="", question=first, context=others[0])
            case "choice" if others:
                return ChoiceExample(text=first, choices=tuple(others))
            case "embed":
                return EmbedExample(texts=tuple(parts))
        raise InputError(_FORMS.get(self.task, "give a text"))

    def answers(self, examples: Sequence[Any], *, passed: Passed | None = None) -> list[Answer]:
        from bertwright.tasks.columns import cells

        read = self.reader.read(examples, passed=passed)
        self.truncated += read.truncated
        return [
            Answer(
                lines=lines(example, found, shown=self.shown),
                json={"input": _input(example), **found.to_json()},
                cells=cells(found, probabilities=self.probabilities),
            )
            for example, found in zip(examples, read.predictions, strict=True)
        ]

    def problems(self, example: Any) -> Sequence[str]:
        return _raised(lambda: self.reader.task.items([example], self.reader.tokenizer, max_length=self.reader.max_length))


_FORMS = {
    "classify": "has more than one tab: give a text, or two with a tab between",
    "regress": "has more than one tab: give a text, or two with a tab between",
    "tag": "has a tab in it: give one text",
    "answer": "is no question with its context: give both with a tab between",
    "choice": "has no choices: give a text and its choices with tabs between",
}


class Filling(Answering):
    """A masked language model: texts with their masks filled. rate: share of the pieces masked at random, None for texts with masks of their own."""

    task: "TaskName" = "generate"
    at_once = AT_ONCE

    def __init__(self, predictor: "Predictor", *, top_k: int, rate: float | None, seed: int) -> None:
        self.predictor, self.top_k, self.rate, self.seed = predictor, top_k, rate, seed

    def example(self, text: str) -> Any:
        from bertwright.data.labelled.examples import WriteExample

        return WriteExample(source=text)

    def answers(self, examples: Sequence[Any], *, passed: Passed | None = None) -> list[Answer]:
        found = self._filled([example.source for example in examples])
        if passed is not None:
            passed(len(found))
        return [Answer(lines=filled_lines(one), json=one.to_json(), cells={"prediction": one.filled}) for one in found]

    def _filled(self, texts: list[str]) -> "list[FilledText]":
        if self.rate is None:
            return self.predictor.fill_masks(texts, top_k=self.top_k)
        return [self.predictor.mask_randomly(text, rate=self.rate, seed=self.seed, top_k=self.top_k) for text in texts]

    def problems(self, example: Any) -> Sequence[str]:
        return _raised(lambda: self._filled([example.source]))


class WritingOn(Answering):
    """A language model: what it writes for each text."""

    task: "TaskName" = "generate"
    at_once = AT_ONCE

    def __init__(self, writer: "Writer") -> None:
        self.writer = writer

    def example(self, text: str) -> Any:
        from bertwright.data.labelled.examples import WriteExample

        return WriteExample(source=text)

    def answers(self, examples: Sequence[Any], *, passed: Passed | None = None) -> list[Answer]:
        found = self.writer.write([example.source for example in examples])
        if passed is not None:
            passed(len(found))
        return [Answer(lines=written_lines(one), json=one.to_json(), cells={"prediction": one.text}) for one in found]

    def problems(self, example: Any) -> Sequence[str]:
        return self.writer.problems(example.source)


def _raised(work: Callable[[], Any]) -> Sequence[str]:
    """What is wrong with the input that this was done with; nothing where it worked."""
    try:
        work()
    except CheckpointError:  # no input's fault
        raise
    except InputError as error:
        return error.problems
    return ()


def _input(example: Any) -> Any:
    """What was asked, as JSON shows it: a text, or the parts of one."""
    names = ("text", "pair", "question", "context", "choices", "texts")
    parts = [part for name in names if (part := getattr(example, name, None)) is not None]
    flat = [one for part in parts for one in (part if isinstance(part, tuple) else (part,))]
    return flat[0] if len(flat) == 1 else flat


def lines(example: Any, found: Any, *, shown: int) -> list[str]:
    """What a reader sees of an answer: one line of a label or number, several of what has parts."""
    from bertwright.tasks.predictions import Answered, Chosen, Classified, Embedded, Regressed, Tagged

    asked = _input(example)
    text = "  |  ".join(asked) if isinstance(asked, list) else asked
    match found:
        case Classified(label=None):
            return [f"{', '.join(f'{name} {found.probabilities[name]:.1%}' for name in found.labels) or 'no label'}  {text}"]
        case Classified():
            best = sorted(found.probabilities.items(), key=lambda item: -item[1])[:shown]
            return [f"{', '.join(f'{name} {value:.1%}' for name, value in best)}  {text}"]
        case Regressed():
            return [f"{found.value:,.0f}  {text}" if abs(found.value) >= 10_000 else f"{found.value:.4g}  {text}"]
        case Tagged():
            entities = [f"  {one.label:<8} {one.text}  {one.score:.1%}  [{one.start}:{one.end}]" for one in found.entities]
            return [found.text, *(entities or ["  no entity"]), ""]
        case Answered():
            where = f"  [{found.start}:{found.end}]" if found.text else ""
            return [example.question, f"  {found.text or 'no answer'}  {found.score:.1%}{where}", ""]
        case Chosen():
            options = zip(example.choices, found.probabilities, strict=True)
            return [example.text, *(f"  {value:6.1%}  {choice}" for choice, value in options), ""]
        case Embedded(similarities=()):
            first = ", ".join(f"{value:.4f}" for value in found.vectors[0][:4])
            return [f"{text}", f"  {found.vectors.shape[1]} numbers: {first}, ... (--json or --out shows all)", ""]
        case Embedded():
            return [f"{', '.join(f'{value:.4f}' for value in found.similarities)}  {text}"]
    return [text, f"  {found.text}", ""]


def filled_lines(filled: "FilledText") -> list[str]:
    """The text, the candidates (one line for each mask where there are several), the text filled, and the original where known."""
    shown = [filled.text]
    if len(filled.masks) == 1 and not filled.answers:
        shown += [f"  {candidate.probability:6.1%}  {candidate.token}" for candidate in filled.masks[0]]
    else:
        was = [f"   (was {answer})" for answer in filled.answers] or [""] * len(filled.masks)
        for number, (candidates, before) in enumerate(zip(filled.masks, was, strict=True), start=1):
            shown.append(f"  {number:>3}  {'  '.join(f'{candidate.token} {candidate.probability:.1%}' for candidate in candidates)}{before}")
    shown.append(f"filled:   {filled.filled}")
    if filled.original is not None:
        shown += [f"original: {filled.original}", f"{filled.right} of {len(filled.answers)} masks filled as in the original"]
    return [*shown, ""]


def written_lines(result: "GeneratedText") -> list[str]:
    """The text, with its number and the score of its beam where there are several."""
    shown = []
    for number, (text, one) in enumerate(zip(result.full_texts, result.sequences, strict=True), start=1):
        score = "" if one.score is None else f"  {one.score:.3f}"
        shown.append((f"{number:>3}{score}  " if len(result.sequences) > 1 else "") + text)
    return [*shown, ""]

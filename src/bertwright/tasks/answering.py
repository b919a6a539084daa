"""Question answering: the span of a context that answers a question, or none."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from bertwright.architecture import SPAN, HeadKind
from bertwright.data.labelled.examples import Answer, QuestionExample, TaskName
from bertwright.data.samples import IntArray
from bertwright.errors import InputError
from bertwright.metrics.answers import answer_metrics
from bertwright.objectives.objective import Losses, Term
from bertwright.tasks.predictions import Answered
from bertwright.tasks.spans import N_BEST, Scores, best_spans
from bertwright.tasks.task import IGNORED, Item, Items, Reading, Row, TaskBatch, call, pad_rows
from bertwright.tasks.windows import Window, shared_tokens, windows
from bertwright.tasks.words import Span
from bertwright.text.pieces import Pieces, Template
from bertwright.text.tokenizer import Tokenizer

QUESTION = 64  # tokens of a question, and 30 of an answer: Devlin et al. 2018, released run_squad.py, max_query_length and max_answer_length
ANSWER = 30


class Looked(NamedTuple):
    """A window of a context: where it begins in its row, the characters of all the context's pieces, and the place that stands for no answer."""

    begin: int
    window: Window
    offsets: Sequence[Span]
    none: int


@dataclass(frozen=True, kw_only=True)
class Answering:
    """The place of an answer's first and last piece, a softmax each over the tokens of a row: the question, and a window of the context (Devlin et al. 2018,
    sections 4.2 and 4.3).

    Windows share `stride` pieces (by default 128, at most a third of a row); one that lacks the answer is to point at the first token, [CLS]. A question keeps
    its first 64 tokens, at most half a row. Of several right answers the first is learnt.
    An answer begins where its window has most context, is at most `max_answer_length` pieces long, and scores as the sum of its two logits; probabilities are a
    softmax over the 20 best of different text. no_answer: the best may be none, where its score, the lowest of any window's, is more than `threshold` above
    that of the best span.
    """

    stride: int | None = None
    max_answer_length: int = ANSWER
    no_answer: bool = False
    threshold: float = 0.0
    metric: str = "f1"
    name: TaskName = "answer"
    heads: tuple[HeadKind, ...] = (SPAN,)
    num_labels: None = None
    terms: tuple[str, ...] = ("loss",)
    decomposes: bool = True

    @property
    def config(self) -> Mapping[str, Any]:
        """Whether there may be no answer, since nothing else in a folder says it."""
        return {"bertwright": {"no_answer": self.no_answer}}

    def items(self, examples: Sequence[QuestionExample], tokenizer: Tokenizer, *, max_length: int) -> Items:
        """One item a window; truncated: questions that lost their end.

        Raises InputError naming every example with an answer that is not where it says, and where `max_length` has no room for a question and a context.
        """
        template = tokenizer.template(pair=True)
        room = max_length - template.size
        if room < 2:
            raise InputError(
                f"max_seq_length {max_length} has no room for a question and a context beside the {template.size} special tokens: take a larger one"
            )
        _check(examples)
        texts = list(dict.fromkeys(text for example in examples for text in (example.question, example.context)))
        pieces = dict(zip(texts, tokenizer.pieces(texts), strict=True))
        cls = tokenizer.cls_id if tokenizer.has("cls") else -1
        found: list[Item] = []
        truncated = lost = 0
        for number, example in enumerate(examples):
            question, context = pieces[example.question].ids, pieces[example.context]
            limit = min(QUESTION, room // 2)
            truncated += len(question) > limit
            place = _answer_pieces(example.answers[0], context.offsets) if example.answers else None
            lost += bool(example.answers) and place is None
            found += self._windows(number, example, question[:limit], context, template, room=room, place=place, cls=cls)
        said = (f"{lost} answers have no piece of their own in this vocabulary: their questions are not scored",) if lost else ()
        return Items(items=found, truncated=truncated, said=said)

    def _windows(
        self, number: int, example: QuestionExample, question: list[int], context: Pieces, template: Template, *, room: int, place: Span | None, cls: int
    ) -> list[Item]:
        """The items of one example; place: the first and last piece of its answer."""
        begin, items = len(template.before.ids) + len(question) + len(template.between.ids), []
        left = room - len(question)
        for window in windows(len(context.ids), room=left, shared=shared_tokens(self.stride, left)):
            row = Row(*template.around(question, context.ids[window.start : window.stop]))
            none = template.place_of(cls, length=len(row.ids)) or 0
            target: Span | None = (none, none)
            if example.answers is None:
                target = None
            elif example.answers and place is None:
                target = (IGNORED, IGNORED)
            elif place is not None and window.start <= place[0] and place[1] < window.stop:
                target = (place[0] - window.start + begin, place[1] - window.start + begin)
            items.append(Item(rows=(row,), target=target, example=number, kept=Looked(begin, window, context.offsets, none)))
        return items

    def batch(self, items: Sequence[Item], *, numbers: IntArray, reading: Reading) -> TaskBatch:
        """targets: places [rows, 2], of the answer's first and last token; the weight is the number of rows that have one."""
        padded = pad_rows([item.rows[0] for item in items], reading)
        if any(item.target is None for item in items):
            return TaskBatch(**padded, numbers=numbers, weights={"loss": float(len(items))})
        places = torch.tensor([item.target for item in items])
        weight = float((places[:, 0] != IGNORED).sum())
        return TaskBatch(**padded, targets={"places": places}, numbers=numbers, weights={"loss": weight})

    def losses(self, model: nn.Module, batch: TaskBatch) -> Losses:
        """The mean of the two cross-entropies of each row. Padding has no share in the softmax, so that a row's loss is the same in any batch."""
        output = call(model, batch)
        of_ends = [
            F.cross_entropy(logits.float().masked_fill(~batch.mask, -torch.inf), places, ignore_index=IGNORED, reduction="sum")
            for logits, places in zip((output.start_logits, output.end_logits), batch.targets["places"].unbind(1), strict=True)
        ]
        return {"loss": Term((of_ends[0] + of_ends[1]) / 2)}

    def outputs(self, model: nn.Module, batch: TaskBatch) -> list[Any]:
        """Start and end logits of each item, [2, length of its row]."""
        output = call(model, batch)
        found = torch.stack([output.start_logits, output.end_logits], 1).float().cpu().numpy()
        return [row[:, :length] for row, length in zip(found, batch.mask.sum(1).tolist(), strict=True)]

    def predictions(self, examples: Sequence[QuestionExample], items: Sequence[Item], outputs: Sequence[Any]) -> list[Answered]:
        """As the class says; the text is cut from the context by characters. Without any span in the context the answer is empty."""
        of_example: list[list[tuple[Item, Scores]]] = [[] for _ in examples]
        for item, output in zip(items, outputs, strict=True):
            of_example[item.example].append((item, output.astype(np.float64)))
        return [self._prediction(example, found) for example, found in zip(examples, of_example, strict=True)]

    def _prediction(self, example: QuestionExample, found: list[tuple[Item, Scores]]) -> Answered:
        spans = [span for item, scores in found for span in self._spans(item.kept, scores)]
        spans.sort(key=lambda span: -span[0])
        best: dict[str, tuple[float, Span]] = {}
        for score, (start, end) in spans:
            best.setdefault(example.context[start:end], (score, (start, end)))
        candidates = list(best.items())[:N_BEST]
        losses = [_loss(scores, item.target) for item, scores in found if item.target is not None and item.target[0] != IGNORED]
        loss = sum(losses) / len(losses) if losses else None
        none = min((scores[0, item.kept.none] + scores[1, item.kept.none] for item, scores in found), default=0.0) if self.no_answer else None
        values = np.array([score for _, (score, _) in candidates] + ([] if none is None else [none]))
        probabilities = np.exp(values - values.max(initial=-np.inf)) if len(values) else values
        probabilities = probabilities / probabilities.sum()
        nothing = None if none is None else float(probabilities[-1])
        if not candidates or (none is not None and none - candidates[0][1][0] > self.threshold):
            return Answered(text="", start=None, end=None, score=nothing or 0.0, no_answer=nothing, loss=loss)
        text, (_, (start, end)) = candidates[0]
        return Answered(text=text, start=start, end=end, score=float(probabilities[0]), no_answer=nothing, loss=loss)

    def _spans(self, kept: Looked, scores: Scores) -> list[tuple[float, Span]]:
        """The best spans of one window, as characters of the context."""
        window = kept.window
        own = scores[:, kept.begin : kept.begin + window.stop - window.start]
        usable = np.array([start < end for start, end in kept.offsets[window.start : window.stop]], dtype=bool)
        found = best_spans(own, usable, first=window.first - window.start, last=window.last - window.start, longest=self.max_answer_length)
        return [(score, (kept.offsets[window.start + begin][0], kept.offsets[window.start + end][1])) for score, begin, end in found]

    def metrics(self, examples: Sequence[QuestionExample], predictions: Sequence[Answered]) -> dict[str, float]:
        """exact_match and f1 in percent; with `no_answer` as SQuAD v2 has them, the best threshold's too."""
        answers = [[answer.text for answer in example.answers or ()] for example in examples]
        sure = [found.no_answer or 0.0 for found in predictions] if self.no_answer else None
        return answer_metrics([found.text for found in predictions], answers, no_answer=sure, second=self.no_answer or None)


def _answer_pieces(answer: Answer, offsets: Sequence[Span]) -> Span | None:
    """The first and last piece that have a character of the answer; None where there is none."""
    first = bisect_right(offsets, answer.start, key=lambda span: span[1])
    last = bisect_left(offsets, answer.start + len(answer.text), key=lambda span: span[0]) - 1
    return (first, last) if first <= last and offsets[first][0] < answer.start + len(answer.text) else None


def _loss(scores: Scores, target: Span) -> float:
    top = scores.max(1, keepdims=True)
    logs = scores - top - np.log(np.exp(scores - top).sum(1, keepdims=True))
    return -float(logs[0, target[0]] + logs[1, target[1]]) / 2


def _check(examples: Sequence[QuestionExample]) -> None:
    problems = []
    for number, example in enumerate(examples):
        for answer in example.answers or ():
            if not answer.text or example.context[answer.start : answer.start + len(answer.text)] != answer.text or answer.start < 0:
                where = example.place or f"example {number + 1}"
                problems.append(f"{where}: the answer {answer.text!r} does not stand at character {answer.start} of its context: mend answer_start")
    if problems:
        raise InputError(*problems)

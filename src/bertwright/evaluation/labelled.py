"""A task's metrics on labelled rows, how sure they are, and what answering without reading would reach."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bertwright.data.labelled.examples import LabelledData
from bertwright.metrics.answers import answer_scores
from bertwright.metrics.arrays import IntArray
from bertwright.metrics.intervals import (
    Intervals,
    answer_intervals,
    bootstrap,
    classification_intervals,
    entity_intervals,
    generation_intervals,
    regression_intervals,
    several_labels_intervals,
)
from bertwright.models import Model
from bertwright.tasks.answering import Answering
from bertwright.tasks.predictions import Answered, Chosen, Classified, Regressed, Tagged
from bertwright.tasks.running import run
from bertwright.tasks.task import Reading, Task
from bertwright.text.tokenizer import Tokenizer

# Draws of an interval whose metric is computed anew for each: it then strays by a twentieth of its width (Efron and Tibshirani 1993, section 13.3).
SLOW_RESAMPLES = 200


@dataclass(frozen=True, kw_only=True)
class Measured:
    """metrics: by name; intervals: (low, high) of those that have one, 95% of the bootstrap; predictions: one for each example, in order.

    baseline: the same metrics of the answer that reads nothing: the rows' commonest label, their mean, no entity, no answer; empty where there is none such.
    truncated: examples that lost their end; said: one line for each other thing done to them.
    """

    metrics: Mapping[str, float]
    intervals: Intervals
    baseline: Mapping[str, float]
    predictions: Sequence[Any]
    truncated: int = 0
    said: tuple[str, ...] = ()


def measure(
    task: Task,
    model: Model,
    data: LabelledData,
    tokenizer: Tokenizer,
    *,
    max_length: int,
    intervals: bool = True,
    passed: Callable[[int], None] | None = None,
) -> Measured:
    """Predicts every labelled row, in the precision the model is in, and compares.

    max_length: tokens a row; longer texts are cut or read in windows, as the task does. passed: told how many items a pass took.
    Raises InputError where there are no rows, or one cannot be encoded.
    """
    items = task.items(data.examples, tokenizer, max_length=max_length)
    outputs = run(task, model, items.items, Reading.of(model.architecture), passed=passed)
    predictions = task.predictions(data.examples, items.items, outputs)
    blind = blind_predictions(task, data)
    metrics = task.metrics(data.examples, predictions)
    found = intervals_of(task, data, predictions) if intervals else {}
    return Measured(
        metrics=metrics,
        intervals={name: bounds for name, bounds in found.items() if name in metrics},
        baseline=_defined(task.metrics(data.examples, blind)) if blind else {},
        predictions=predictions,
        truncated=items.truncated,
        said=items.said,
    )


def intervals_of(task: Task, data: LabelledData, predictions: Sequence[Any]) -> Intervals:
    """The interval of each metric of `predictions`, over resamples of the rows."""
    if task.name == "classify":
        probabilities = np.array([list(prediction.probabilities.values()) for prediction in predictions])
        names = tuple(predictions[0].probabilities)
        numbers = {name: number for number, name in enumerate(names)}
        if predictions[0].label is None:
            several = np.zeros(probabilities.shape, dtype=np.int64)
            for row, example in enumerate(data.examples):
                several[row, [numbers[name] for name in labels_of(example.label)]] = 1
            return several_labels_intervals(several, probabilities, names=names)
        return classification_intervals(np.array([numbers[str(example.label)] for example in data.examples]), probabilities, names=names)
    if task.name == "tag" and task.metrics(data.examples[:1], predictions[:1]).keys() >= {"precision"}:
        return entity_intervals([example.tags for example in data.examples], [prediction.tags for prediction in predictions])
    if task.name == "answer":
        answers = [[answer.text for answer in example.answers or ()] for example in data.examples]
        second = isinstance(task, Answering) and task.no_answer
        return answer_intervals(answer_scores([prediction.text for prediction in predictions], answers, second=second or None))
    if task.name == "generate":
        return generation_intervals([prediction.text for prediction in predictions], [example.target for example in data.examples])
    if task.name == "regress":
        return regression_intervals([float(example.label) for example in data.examples], [prediction.value for prediction in predictions])

    def of_rows(rows: IntArray) -> dict[str, float]:
        return task.metrics([data.examples[row] for row in rows], [predictions[row] for row in rows])

    return bootstrap(of_rows, len(predictions), resamples=SLOW_RESAMPLES)


def blind_predictions(task: Task, data: LabelledData) -> list[Any]:
    """What answering without reading says of each row; empty where no answer stands out."""
    rows = len(data.examples)
    if task.name == "classify":
        return [_commonest(task, data)] * rows
    if task.name == "regress":
        return [Regressed(value=float(np.mean([float(example.label) for example in data.examples])))] * rows
    if task.name == "tag":
        return [Tagged(text=example.text, words=example.words, tags=("O",) * len(example.words), entities=()) for example in data.examples]
    if task.name == "answer":
        return [Answered(text="", start=None, end=None, score=1.0)] * rows
    if task.name == "choice":
        return _commonest_choice(data)
    return []


def labels_of(label: object) -> tuple[str, ...]:
    """The names in a label that may be several."""
    return label if isinstance(label, tuple) else () if label is None else (str(label),)


def _commonest(task: Task, data: LabelledData) -> Classified:
    """The labels' shares as probabilities of every row."""
    counts = Counter(name for example in data.examples for name in labels_of(example.label))
    names = [str(name) for name in task.config["label2id"]]
    shares = {name: counts[name] / len(data.examples) for name in names}
    if any(isinstance(example.label, tuple) for example in data.examples):
        return Classified(label=None, labels=tuple(name for name in names if shares[name] >= 1 / 2), probabilities=shares)
    best = max(names, key=lambda name: shares[name])
    return Classified(label=best, labels=(best,), probabilities=shares)


def _commonest_choice(data: LabelledData) -> list[Chosen]:
    place, _ = Counter(example.label for example in data.examples).most_common(1)[0]
    chosen = []
    for example in data.examples:
        count = len(example.choices)
        choice = min(place, count - 1)
        chosen.append(Chosen(choice=choice, text=example.choices[choice], probabilities=tuple(float(number == choice) for number in range(count))))
    return chosen


def _defined(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics that are numbers: the correlation with a constant is none."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}

"""Between which values a task's metrics would lie on other rows: for each task the quick way, which computes no metric anew for a draw."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bertwright.data.labelled.content import labels_of
from bertwright.data.labelled.examples import LabelledData, TaskName
from bertwright.metrics.answers import answer_scores
from bertwright.metrics.arrays import FloatArray, IntArray
from bertwright.metrics.entities import WORD_METRICS
from bertwright.metrics.intervals import (
    DEFAULT,
    Draws,
    Intervals,
    answer_intervals,
    bootstrap,
    classification_intervals,
    entity_intervals,
    generation_intervals,
    mean_intervals,
    regression_intervals,
    several_labels_intervals,
    weighted_intervals,
    word_intervals,
)
from bertwright.metrics.retrieval import rank_scores
from bertwright.metrics.weighted import Weighted, divided
from bertwright.tasks.task import Task
from bertwright.tasks.writing import LARGEST


def intervals_of(task: Task, data: LabelledData, predictions: Sequence[Any], metrics: Mapping[str, float], *, draws: Draws = DEFAULT) -> Intervals:
    """The interval of each of `metrics`, which are the task's of these predictions, over resamples of the rows.

    A task without a way of its own here is asked for its metrics anew for each draw.
    """
    way = _WAYS.get(data.task)
    if way is None:

        def of_rows(rows: IntArray) -> dict[str, float]:
            return task.metrics([data.examples[row] for row in rows], [predictions[row] for row in rows])

        found = bootstrap(of_rows, len(predictions), resamples=draws.resamples, seed=draws.seed, level=draws.level)
    else:
        found = way(data.examples, predictions, metrics, draws)
    return {name: found[name] for name in metrics if name in found}


def _classes(examples: Sequence[Any], predictions: Sequence[Any], metrics: Mapping[str, float], draws: Draws) -> Intervals:
    names = tuple(predictions[0].probabilities)
    numbers = {name: number for number, name in enumerate(names)}
    probabilities = np.array([list(prediction.probabilities.values()) for prediction in predictions])
    if predictions[0].label is not None:
        return classification_intervals(np.array([numbers[example.label] for example in examples]), probabilities, names=names, draws=draws)
    several = np.zeros(probabilities.shape, dtype=np.int64)
    for row, example in enumerate(examples):
        several[row, [numbers[name] for name in labels_of(example)]] = 1
    return several_labels_intervals(several, probabilities, names=names, draws=draws)


def _numbers(examples: Sequence[Any], predictions: Sequence[Any], metrics: Mapping[str, float], draws: Draws) -> Intervals:
    return regression_intervals([float(example.label) for example in examples], [prediction.value for prediction in predictions], draws=draws)


def _tags(examples: Sequence[Any], predictions: Sequence[Any], metrics: Mapping[str, float], draws: Draws) -> Intervals:
    way = word_intervals if metrics.keys() == set(WORD_METRICS) else entity_intervals
    return way([example.tags for example in examples], [prediction.tags for prediction in predictions], draws=draws)


def _answers(examples: Sequence[Any], predictions: Sequence[Any], metrics: Mapping[str, float], draws: Draws) -> Intervals:
    texts, second = [prediction.text for prediction in predictions], "HasAns_exact" in metrics or "NoAns_exact" in metrics
    scores = answer_scores(texts, [[answer.text for answer in example.answers or ()] for example in examples], second=second)
    sure = [prediction.no_answer or 0.0 for prediction in predictions] if "best_exact" in metrics else None
    return answer_intervals(scores, no_answer=sure, empty=[not text for text in texts], draws=draws)


def _choices(examples: Sequence[Any], predictions: Sequence[Any], metrics: Mapping[str, float], draws: Draws) -> Intervals:
    return mean_intervals({"accuracy": [example.label == found.choice for example, found in zip(examples, predictions, strict=True)]}, draws=draws)


def _vectors(examples: Sequence[Any], predictions: Sequence[Any], metrics: Mapping[str, float], draws: Draws) -> Intervals:
    """Each metric's over the rows that it is of: scored pairs, pairs, triplets."""
    found: Intervals = {}
    if scored := [(example.score, one.similarities[0]) for example, one in zip(examples, predictions, strict=True) if example.score is not None]:
        found |= regression_intervals(*np.array(scored, dtype=np.float64).T, draws=draws)
    if ranks := [one.rank for one in predictions if one.rank is not None]:
        found |= mean_intervals(rank_scores([[rank] for rank in ranks]), draws=draws)
    if triplets := [one.similarities for one in predictions if len(one.similarities) > 1]:
        found |= mean_intervals({"triplet_accuracy": [alike[0] > max(alike[1:]) for alike in triplets]}, draws=draws)
    return found


def _texts(examples: Sequence[Any], predictions: Sequence[Any], metrics: Mapping[str, float], draws: Draws) -> Intervals:
    written, targets = [prediction.text for prediction in predictions], [(example.target or "").strip() for example in examples]
    found = generation_intervals(written, targets, draws=draws)
    found |= mean_intervals({"exact_match": [text == target for text, target in zip(written, targets, strict=True)]}, draws=draws)
    tokens = np.array([0 if prediction.loss is None else prediction.tokens for prediction in predictions], dtype=np.float64)
    losses = np.array([prediction.loss or 0.0 for prediction in predictions])
    return found | weighted_intervals([_token_losses(losses * tokens, tokens)], len(predictions), draws=draws) if tokens.any() else found


def _token_losses(losses: FloatArray, tokens: FloatArray) -> Weighted:
    """The mean loss of a token, and its exponential. losses: summed over each row's tokens."""

    def weighted(weights: FloatArray) -> Mapping[str, FloatArray]:
        count = weights @ tokens
        loss = np.where(count > 0, divided(weights @ losses, count), np.nan)
        return {"loss": loss, "perplexity": np.exp(np.minimum(loss, LARGEST))}

    return weighted


_WAYS: Mapping[TaskName, Callable[[Sequence[Any], Sequence[Any], Mapping[str, float], Draws], Intervals]] = {
    "classify": _classes,
    "regress": _numbers,
    "tag": _tags,
    "answer": _answers,
    "choice": _choices,
    "embed": _vectors,
    "generate": _texts,
}

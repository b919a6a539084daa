"""Between which values a metric would lie on other rows of the same kind: percentile bootstrap (Efron and Tibshirani 1993, section 13.3).

Rows are drawn with replacement, as many as there are; the interval spans the middle `level` of the metric over `resamples` draws. The draws depend on the
number of rows and the seed alone, so two models are compared on the same ones. Metrics that are sums over rows are computed for all draws at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bertwright.metrics import weighted
from bertwright.metrics.answers import AnswerScores, weighted_answers, weighted_thresholds
from bertwright.metrics.arrays import FloatArray, IntArray, classes, numbers, probabilities_of
from bertwright.metrics.classification import THRESHOLD, several
from bertwright.metrics.entities import WORD_METRICS, Tags, count_entities, count_words, weighted_entities
from bertwright.metrics.generation import weighted_generation
from bertwright.metrics.weighted import Weighted

RESAMPLES = 1000
LEVEL = 0.95
CHUNK = 2**19  # numbers held at once, 4 MB: larger pieces fall out of the processor's cache
AREAS_AT_MOST = 2.5e8  # draws x rows x classes; the AUC sorts, and beyond this its interval would take longer than all others together

Intervals = dict[str, tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Draws:
    """How an interval is found: so many resamples, from this seed, with this share of them inside."""

    resamples: int = RESAMPLES
    seed: int = 0
    level: float = LEVEL

    def indices(self, size: int) -> Iterator[IntArray]:
        """The rows drawn, in pieces of [draws, size], `resamples` of them in all."""
        generator = np.random.default_rng(self.seed)
        step = max(1, CHUNK // size)
        for start in range(0, self.resamples, step):
            yield generator.integers(size, size=(min(step, self.resamples - start), size))

    def weights(self, size: int) -> Iterator[FloatArray]:
        """How often each row is drawn: the same draws as `indices`, as pieces of [draws, size]."""
        for drawn in self.indices(size):
            flat = drawn + size * np.arange(len(drawn))[:, None]
            yield np.bincount(flat.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)

    def bounds(self, values: Mapping[str, FloatArray]) -> Intervals:
        """The interval of each metric, over the draws in which it is defined; left out where that is none."""
        shares = ((1 - self.level) / 2, (1 + self.level) / 2)
        found = {}
        for name, drawn in values.items():
            defined = drawn[np.isfinite(drawn)]
            if defined.size:
                low, high = np.quantile(defined, shares)
                found[name] = (float(low), float(high))
        return found


DEFAULT = Draws()


def bootstrap(
    function: Callable[[IntArray], Mapping[str, float]], size: int, *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> dict[str, tuple[float, float]]:
    """The interval (low, high) of each metric that `function` computes from drawn rows.

    function: takes row numbers [size], some of them several times, and gives metrics by name; one that it leaves out counts as undefined in that draw.
    """
    draws = Draws(resamples=resamples, seed=seed, level=level)
    found = [function(rows) for piece in draws.indices(size) for rows in piece]
    names = list(dict.fromkeys(name for metrics in found for name in metrics))
    return draws.bounds({name: np.array([metrics.get(name, np.nan) for metrics in found]) for name in names})


def weighted_intervals(metrics: Sequence[Weighted], size: int, *, draws: Draws = DEFAULT) -> Intervals:
    """The intervals of metrics that are known for many weightings of `size` rows at once."""
    found: dict[str, list[FloatArray]] = {}
    for weights in draws.weights(size):
        for metric in metrics:
            for name, values in metric(weights).items():
                found.setdefault(name, []).append(values)
    return draws.bounds({name: np.concatenate(values) for name, values in found.items()})


def classification_intervals(labels: ArrayLike, probabilities: ArrayLike, *, names: Sequence[str], draws: Draws = DEFAULT) -> Intervals:
    """The intervals of `classification_metrics`, from the same arguments; auc's is left out where rows x classes x resamples are above 250 million."""
    truth = classes(labels, count=len(names))
    given = probabilities_of(probabilities, rows=len(truth), count=len(names))
    metrics = [weighted.classification(truth, given)]
    if given.size * draws.resamples <= AREAS_AT_MOST:
        metrics.append(weighted.class_areas(truth, given))
    return weighted_intervals(metrics, len(truth), draws=draws)


def several_labels_intervals(
    labels: ArrayLike, probabilities: ArrayLike, *, names: Sequence[str], threshold: float = THRESHOLD, draws: Draws = DEFAULT
) -> Intervals:
    """The intervals of `several_labels_metrics`, from the same arguments; auc's is left out where rows x labels x resamples are above 250 million."""
    truth, given = several(labels, probabilities, count=len(names))
    metrics = [weighted.several_labels(truth, given, threshold=threshold)]
    if given.size * draws.resamples <= AREAS_AT_MOST:
        metrics.append(weighted.areas(given, truth))
    return weighted_intervals(metrics, len(truth), draws=draws)


def regression_intervals(labels: ArrayLike, predicted: ArrayLike, *, draws: Draws = DEFAULT) -> Intervals:
    """The intervals of `regression_metrics`, from the same arguments."""
    truth = numbers(labels, name="labels")
    said = numbers(predicted, name="predictions", rows=len(truth))
    return weighted_intervals([weighted.regression(truth, said)], len(truth), draws=draws)


def entity_intervals(gold: Sequence[Tags], predicted: Sequence[Tags], *, draws: Draws = DEFAULT) -> Intervals:
    """The intervals of `entity_metrics`, from the same arguments; whole sentences are drawn."""
    counts = count_entities(gold, predicted)
    return weighted_intervals([weighted_entities(counts)], len(counts.words), draws=draws)


def word_intervals(gold: Sequence[Tags], predicted: Sequence[Tags], *, draws: Draws = DEFAULT) -> Intervals:
    """The intervals of `word_metrics`, from the same arguments; whole sentences are drawn."""
    counts = count_words(gold, predicted)
    found = weighted_intervals([weighted_entities(counts)], len(counts.words), draws=draws)
    return {name: found[name] for name in WORD_METRICS}


def answer_intervals(scores: AnswerScores, *, no_answer: ArrayLike | None = None, empty: ArrayLike | None = None, draws: Draws = DEFAULT) -> Intervals:
    """The intervals of `answer_metrics`, from `answer_scores`; with no_answer, as there, and which predictions are empty, those of the best thresholds too."""
    metrics, questions = [weighted_answers(scores)], len(scores.exact)
    if no_answer is not None and scores.second:
        if empty is None:
            raise ValueError("no_answer is given: say too which predictions are empty")
        metrics.append(weighted_thresholds(scores, numbers(no_answer, name="no_answer values", rows=questions), np.asarray(empty, dtype=bool)))
    return weighted_intervals(metrics, questions, draws=draws)


def generation_intervals(written: Sequence[str], targets: Sequence[str], *, draws: Draws = DEFAULT) -> Intervals:
    """The intervals of `generation_metrics`, from the same arguments."""
    return weighted_intervals([weighted_generation(written, targets)], len(written), draws=draws)


def mean_intervals(values: Mapping[str, ArrayLike], *, draws: Draws = DEFAULT) -> Intervals:
    """The intervals of the means of numbers that every row has, by name: reciprocal ranks, right choices, losses. values: [rows] each."""
    columns = {name: numbers(each, name=name) for name, each in values.items()}
    return weighted_intervals([weighted.means(columns)], len(next(iter(columns.values()))), draws=draws)

"""The metrics of rows that count several times or not at all, for many such weightings at once: what a bootstrap asks for.

Weights are whole numbers as float64 [draws, rows]; every metric comes out as [draws], NaN where it is undefined in a draw.
"""

from collections.abc import Callable, Mapping

import numpy as np

from bertwright.metrics.arrays import BoolArray, FloatArray, IntArray
from bertwright.metrics.classification import CALIBRATION_BINS, bins_of, decision_losses, one_hot, ranked, row_losses

Weighted = Callable[[FloatArray], Mapping[str, FloatArray]]


def classification(labels: IntArray, probabilities: FloatArray) -> Weighted:
    """`classification_metrics` without auc. Every metric follows from sums over rows, so a draw costs one row of a matrix product."""
    count = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    truth, said = one_hot(labels, count), one_hot(predicted, count)
    number, confidence, correct = bins_of(labels, probabilities, CALIBRATION_BINS)
    gaps = one_hot(number, CALIBRATION_BINS) * (correct - confidence)[:, None]
    sums = np.hstack([truth & said, truth, said, gaps, row_losses(labels, probabilities)[:, None]])

    def weighted(weights: FloatArray) -> Mapping[str, FloatArray]:
        hits, actual, predicted, gaps, losses = np.split(weights @ sums, np.cumsum([count, count, count, CALIBRATION_BINS]), axis=1)
        rows = weights.sum(axis=1)
        precision, recall, f1 = scores(hits, actual, predicted)
        occurring = ((actual + predicted) > 0).sum(axis=1)
        right = hits.sum(axis=1)
        found = {
            "accuracy": right / rows,
            "balanced_accuracy": recall.sum(axis=1) / (actual > 0).sum(axis=1),
            "f1_macro": f1.sum(axis=1) / occurring,
            "f1_weighted": (f1 * actual).sum(axis=1) / rows,
            "f1_micro": right / rows,
            "precision_macro": precision.sum(axis=1) / occurring,
            "recall_macro": recall.sum(axis=1) / occurring,
            "mcc": correlation_of_counts(right, actual, predicted),
            "calibration_error": np.abs(gaps).sum(axis=1) / rows,
            "loss": losses[:, 0] / rows,
        }
        return found | ({"f1": f1[:, 1], "precision": precision[:, 1], "recall": recall[:, 1]} if count == 2 else {})

    return weighted


def several_labels(labels: BoolArray, probabilities: FloatArray, *, threshold: float) -> Weighted:
    """`several_labels_metrics` without auc."""
    said = probabilities >= threshold
    count = labels.shape[1]
    row_f1 = scores((labels & said).sum(axis=1), labels.sum(axis=1), said.sum(axis=1))[2]
    by_row = np.stack([(labels == said).all(axis=1), (labels != said).mean(axis=1), row_f1, decision_losses(labels, probabilities)], axis=1)
    sums = np.hstack([labels & said, labels, said, by_row])

    def weighted(weights: FloatArray) -> Mapping[str, FloatArray]:
        hits, actual, predicted, by_row = np.split(weights @ sums, np.cumsum([count] * 3), axis=1)
        exact, wrong, f1_samples, losses = by_row.T / weights.sum(axis=1)
        precision, recall, f1 = scores(hits, actual, predicted)
        return {
            "accuracy": exact,
            "hamming_loss": wrong,
            "f1_macro": f1.mean(axis=1),
            "f1_micro": scores(hits.sum(axis=1), actual.sum(axis=1), predicted.sum(axis=1))[2],
            "f1_weighted": divided((f1 * actual).sum(axis=1), actual.sum(axis=1)),
            "f1_samples": f1_samples,
            "precision_macro": precision.mean(axis=1),
            "recall_macro": recall.mean(axis=1),
            "loss": losses,
        }

    return weighted


def class_areas(labels: IntArray, probabilities: FloatArray) -> Weighted:
    """The auc of `classification_metrics`."""
    return areas(*ranked(labels, probabilities))


def areas(score: FloatArray, truth: BoolArray) -> Weighted:
    """The mean area under the ROC curve of the columns that have rows of both kinds in a draw: won pairs, those with the same score half, over all pairs."""
    columns = [_pairs(values, kind) for values, kind in zip(score.T, truth.T, strict=True)]

    def weighted(weights: FloatArray) -> Mapping[str, FloatArray]:
        by_row = np.ascontiguousarray(weights.T)  # whole draws move and add up side by side
        total, defined = np.zeros(len(weights)), np.zeros(len(weights))
        for positive, negative, below, not_above in columns:
            sums = np.zeros((len(negative) + 1, len(weights)))
            np.cumsum(by_row[negative], axis=0, out=sums[1:])
            chosen = by_row[positive]
            wins = np.einsum("rd,rd->d", chosen, sums[below]) + np.einsum("rd,rd->d", chosen, sums[not_above])
            pairs = chosen.sum(axis=0) * sums[-1]
            total += divided(wins / 2, pairs)
            defined += pairs > 0
        return {"auc": np.divide(total, defined, out=np.full(len(weights), np.nan), where=defined > 0)}

    return weighted


def _pairs(score: FloatArray, kind: BoolArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """The rows of a kind, the others by ascending score, and for each of the former how many of the latter lie below it and not above it."""
    positive, others = np.flatnonzero(kind), np.flatnonzero(~kind)
    negative = others[np.argsort(score[others], kind="stable")]
    below, not_above = (np.searchsorted(score[negative], score[positive], side=side) for side in ("left", "right"))
    return positive, negative, below, not_above


def regression(labels: FloatArray, predicted: FloatArray) -> Weighted:
    """`regression_metrics`."""
    x, y = labels - labels.mean(), predicted - predicted.mean()  # large offsets would swallow the digits of the squares
    errors = labels - predicted
    groups = [_groups(values) for values in (labels, predicted)]
    sums = np.stack([x, y, x * x, y * y, x * y, errors**2, np.abs(errors)], axis=1)

    def weighted(weights: FloatArray) -> Mapping[str, FloatArray]:
        rows = weights.sum(axis=1)
        sum_x, sum_y, xx, yy, xy, squares, distances = (weights @ sums).T
        sizes = [np.add.reduceat(weights[:, order], starts, axis=1) for order, starts, _ in groups]
        varied = [(each > 0).sum(axis=1) > 1 for each in sizes]
        spreads = [np.where(some, total - part**2 / rows, 0.0) for some, total, part in zip(varied, (xx, yy), (sum_x, sum_y), strict=True)]
        # Mean ranks among equals; their mean is (rows + 1) / 2.
        first, second = ((np.cumsum(each, axis=1) - each / 2 - rows[:, None] / 2)[:, group] for each, (_, _, group) in zip(sizes, groups, strict=True))
        products = [np.einsum("dr,dr,dr->d", weights, *pair) for pair in ((first, second), (first, first), (second, second))]
        return {
            "pearson": divided(xy - sum_x * sum_y / rows, np.sqrt(spreads[0] * spreads[1])),
            "spearman": divided(products[0], np.sqrt(products[1] * products[2])),
            "mse": squares / rows,
            "mae": distances / rows,
            "r2": np.where(varied[0], 1 - divided(squares, spreads[0]), squares == 0),
        }

    return weighted


def means(values: Mapping[str, FloatArray]) -> Weighted:
    """The mean of numbers that every row has: by name, [rows]."""
    names, columns = list(values), np.stack(list(values.values()), axis=1)
    return lambda weights: dict(zip(names, (weights @ columns / weights.sum(axis=1)[:, None]).T, strict=True))


def scores(hits: FloatArray, actual: FloatArray, predicted: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision, recall and F1 of counts of any shape; 0 where undefined."""
    return divided(hits, predicted), divided(hits, actual), divided(2 * hits, actual + predicted)


def divided(above: FloatArray, below: FloatArray) -> FloatArray:
    """The quotients; 0 where the divisor is 0."""
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=np.asarray(below) > 0)


def correlation_of_counts(right: FloatArray, actual: FloatArray, predicted: FloatArray) -> FloatArray:
    """Matthews' correlation of several classes (Gorodkin 2004, as scikit-learn computes it). actual, predicted: rows of each class [draws, classes]."""
    rows = actual.sum(axis=1)
    together = right * rows - (actual * predicted).sum(axis=1)
    spreads = (rows**2 - (predicted**2).sum(axis=1)) * (rows**2 - (actual**2).sum(axis=1))
    return divided(together, np.sqrt(spreads))


def _groups(values: FloatArray) -> tuple[IntArray, IntArray, IntArray]:
    """The rows in ascending order, where each group of equal values starts there, and for each row the number of its group."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]]
    number = np.empty(len(values), dtype=np.int64)
    number[order] = np.cumsum(first) - 1
    return order, np.flatnonzero(first), number

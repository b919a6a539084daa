"""How near predicted numbers are to the right ones."""

import numpy as np
from numpy.typing import ArrayLike

from bertwright.metrics.arrays import FloatArray, numbers


def regression_metrics(labels: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Correlations and errors by name. labels, predicted: [rows], in the same units; mse in their square, mae in them.

    pearson, spearman: 0 where one side is constant, for nothing is explained then. r2: as scikit-learn has it; of constant labels 1 for no error, else 0.
    Raises InputError where there are no rows or a number is not finite, ValueError for shapes that do not fit.
    """
    truth = numbers(labels, name="labels")
    said = numbers(predicted, name="predictions", rows=len(truth))
    errors = truth - said
    squares, spread = float(errors @ errors), 0.0 if _constant(truth) else float(((truth - truth.mean()) ** 2).sum())
    return {
        "pearson": pearson(truth, said),
        "spearman": pearson(average_ranks(truth), average_ranks(said)),
        "mse": squares / len(truth),
        "mae": float(np.abs(errors).mean()),
        "r2": 1 - squares / spread if spread else float(squares == 0),
    }


def pearson(first: FloatArray, second: FloatArray) -> float:
    """Pearson's correlation, in -1..1; 0 where one side is constant."""
    if _constant(first) or _constant(second):
        return 0.0
    x, y = first - first.mean(), second - second.mean()
    x, y = x / np.abs(x).max(), y / np.abs(y).max()  # tiny numbers must not vanish when squared
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1, 1))


def average_ranks(values: FloatArray) -> FloatArray:
    """Ranks from 1, the mean one among equals."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ranks: FloatArray = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    return ranks


def _constant(values: FloatArray) -> bool:
    return bool((values == values[0]).all())

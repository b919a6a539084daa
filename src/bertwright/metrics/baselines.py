"""What a model would reach that looks at no text: the numbers that others are to be held against."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bertwright.metrics.arrays import classes, numbers
from bertwright.metrics.classification import classification_metrics, several_labels_metrics
from bertwright.metrics.entities import Tags, entity_metrics
from bertwright.metrics.regression import regression_metrics


def majority_baseline(train: ArrayLike, labels: ArrayLike, *, names: Sequence[str]) -> dict[str, float]:
    """`classification_metrics` of answering every row with the classes' shares in the training labels, and so with the most frequent class.

    train, labels: int [rows] each. The loss is that of the shares; the AUC is 0.5.
    """
    shares = np.bincount(classes(train, count=len(names)), minlength=len(names)) / np.size(train)
    return classification_metrics(labels, np.tile(shares, (np.size(labels), 1)), names=names)


def chance_baseline(names: Sequence[str]) -> dict[str, float]:
    """The accuracy, plain and balanced, that a fair die with a side for each class is expected to reach."""
    return {"accuracy": 1 / len(names), "balanced_accuracy": 1 / len(names)}


def several_labels_baseline(train: ArrayLike, labels: ArrayLike, *, names: Sequence[str]) -> dict[str, float]:
    """`several_labels_metrics` of answering every row with each label's share in the training rows. train, labels: 0 and 1 [rows, labels] each."""
    shares = np.asarray(train, dtype=np.float64).mean(axis=0)
    return several_labels_metrics(labels, np.tile(shares, (len(np.asarray(labels)), 1)), names=names)


def mean_baseline(train: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """`regression_metrics` of answering every row with the mean of the training labels. train, labels: [rows] each."""
    mean = numbers(train, name="training labels").mean()
    return regression_metrics(labels, np.full(np.size(labels), mean))


def outside_baseline(gold: Sequence[Tags]) -> dict[str, float]:
    """`entity_metrics` of finding no entity at all."""
    return entity_metrics(gold, [["O"] * len(tags) for tags in gold])


def choice_baseline(choices: Sequence[int]) -> dict[str, float]:
    """The accuracy that guessing is expected to reach. choices: how many each question offers."""
    return {"accuracy": float(np.mean(1 / numbers(choices, name="numbers of choices")))}

"""How good the classes are that a model gives to texts: one class a text, or several."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bertwright.metrics.arrays import BoolArray, FloatArray, IntArray, classes, probabilities_of

CALIBRATION_BINS = 15  # Guo et al. 2017, "On calibration of modern neural networks", section 4
THRESHOLD = 0.5  # a text that may have several labels has those that are likelier than not
SMALLEST = float(np.finfo(np.float32).tiny)  # below it a float32 softmax gives 0, whose logarithm would be no loss


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """One class: precision, recall and F1 in 0..1 (0 where undefined), the rows that have it, and the rows that are said to."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The rows whose confidence lies in (low, high]: how many, their mean confidence and accuracy; both 0 where there are none."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def classification_metrics(labels: ArrayLike, probabilities: ArrayLike, *, names: Sequence[str]) -> dict[str, float]:
    """The metrics of one class a row, by name, each as scikit-learn defines it by default.

    labels: int [rows]; probabilities: [rows, classes]; names: of the classes. Averages over classes are over those that occur in the labels or the
    predictions. auc: with two classes that of the second one, with more the mean of one class against the rest over the classes that have rows; left out where
    no class has rows and others beside it. f1, precision, recall: of the second of two classes. loss: mean cross-entropy in nats.
    Raises InputError where there are no rows, ValueError for shapes that do not fit.
    """
    truth = classes(labels, count=len(names))
    given = probabilities_of(probabilities, rows=len(truth), count=len(names))
    predicted = given.argmax(axis=1)
    from sklearn import metrics as sk

    with _quiet():
        macro = sk.precision_recall_fscore_support(truth, predicted, average="macro", zero_division=0)
        found = {
            "accuracy": sk.accuracy_score(truth, predicted),
            "balanced_accuracy": sk.balanced_accuracy_score(truth, predicted),
            "f1_macro": macro[2],
            "f1_weighted": sk.f1_score(truth, predicted, average="weighted", zero_division=0),
            "f1_micro": sk.f1_score(truth, predicted, average="micro", zero_division=0),
            "precision_macro": macro[0],
            "recall_macro": macro[1],
            "mcc": sk.matthews_corrcoef(truth, predicted),
        }
        if len(names) == 2:
            precision, recall, f1, _ = sk.precision_recall_fscore_support(truth, predicted, average="binary", pos_label=1, zero_division=0)
            found |= {"f1": f1, "precision": precision, "recall": recall}
        areas = _areas(*ranked(truth, given))
    if areas:
        found["auc"] = np.mean(areas)
    found |= {"calibration_error": calibration_error(truth, given), "loss": row_losses(truth, given).mean()}
    return {name: float(value) for name, value in found.items()}


def several_labels_metrics(labels: ArrayLike, probabilities: ArrayLike, *, names: Sequence[str], threshold: float = THRESHOLD) -> dict[str, float]:
    """The metrics of rows that may have several labels, by name, each as scikit-learn defines it by default.

    labels: bool or 0 and 1 [rows, labels]; probabilities: the same shape; a row is said to have the labels at or above `threshold`. accuracy: rows with
    exactly their labels. hamming_loss: share of wrong decisions. auc: the mean over the labels that some rows have and some have not; left out where there is
    none. loss: mean binary cross-entropy of all decisions in nats. Raises InputError where there are no rows, ValueError for shapes that do not fit.
    """
    truth, given = several(labels, probabilities, count=len(names))
    predicted = given >= threshold
    from sklearn import metrics as sk

    with _quiet():
        found = {
            "accuracy": sk.accuracy_score(truth, predicted),
            "hamming_loss": sk.hamming_loss(truth, predicted),
            **{f"f1_{average}": sk.f1_score(truth, predicted, average=average, zero_division=0) for average in ("macro", "micro", "weighted", "samples")},
            "precision_macro": sk.precision_score(truth, predicted, average="macro", zero_division=0),
            "recall_macro": sk.recall_score(truth, predicted, average="macro", zero_division=0),
        }
        areas = _areas(given, truth)
    if areas:
        found["auc"] = np.mean(areas)
    found["loss"] = decision_losses(truth, given).mean()
    return {name: float(value) for name, value in found.items()}


def per_class(labels: ArrayLike, predicted: ArrayLike, names: Sequence[str]) -> list[ClassScores]:
    """Precision, recall, F1 and counts of each class, in the order of `names`. labels, predicted: int [rows], or bool [rows, classes] of several labels."""
    truth, said = np.asarray(labels), np.asarray(predicted)
    from sklearn.metrics import precision_recall_fscore_support

    with _quiet():
        scores = precision_recall_fscore_support(truth, said, labels=range(len(names)), average=None, zero_division=0)
    counts = said.sum(axis=0) if said.ndim == 2 else np.bincount(said, minlength=len(names))
    return [
        ClassScores(name=name, precision=float(p), recall=float(r), f1=float(f1), support=int(support), predicted=int(count))
        for name, p, r, f1, support, count in zip(names, *scores, counts, strict=True)
    ]


def confusion(labels: ArrayLike, predicted: ArrayLike, count: int) -> IntArray:
    """How many rows of each class are said to be of each: int [count, count], a row for each true class, a column for each predicted one."""
    truth, said = classes(labels, count=count), classes(predicted, count=count, name="predictions")
    return np.bincount(truth * count + said, minlength=count * count).reshape(count, count)


def reliability(labels: ArrayLike, probabilities: ArrayLike, bins: int = CALIBRATION_BINS) -> list[Bin]:
    """How right a model is where it is how sure: `bins` of equal width over the probability of the predicted class."""
    given = np.asarray(probabilities, dtype=np.float64)
    truth = classes(labels, count=given.shape[-1])
    number, confidence, correct = bins_of(truth, given, bins)
    counts = np.bincount(number, minlength=bins)
    sums = [np.bincount(number, weights=values, minlength=bins) for values in (confidence, correct)]
    means = [np.divide(each, counts, out=np.zeros(bins), where=counts > 0) for each in sums]
    return [Bin(low=k / bins, high=(k + 1) / bins, count=int(counts[k]), confidence=float(means[0][k]), accuracy=float(means[1][k])) for k in range(bins)]


def calibration_error(labels: IntArray, probabilities: FloatArray, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error: the distance of accuracy and confidence in bins of equal width, weighted by their rows (Guo et al. 2017, equation 3)."""
    return sum(each.count * abs(each.accuracy - each.confidence) for each in reliability(labels, probabilities, bins)) / len(labels)


def bins_of(labels: IntArray, probabilities: FloatArray, bins: int) -> tuple[IntArray, FloatArray, BoolArray]:
    """For each row the number of its bin, the probability of its predicted class, and whether that is right."""
    confidence = probabilities.max(axis=1)
    number = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return number, confidence, probabilities.argmax(axis=1) == labels


def row_losses(labels: IntArray, probabilities: FloatArray) -> FloatArray:
    """The cross-entropy of each row in nats: [rows]."""
    right: FloatArray = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    return -np.log(np.maximum(right, SMALLEST))


def decision_losses(labels: BoolArray, probabilities: FloatArray) -> FloatArray:
    """The mean binary cross-entropy of each row's decisions in nats: [rows]."""
    losses: FloatArray = -np.log(np.maximum(np.where(labels, probabilities, 1 - probabilities), SMALLEST)).mean(axis=1)
    return losses


def one_hot(labels: ArrayLike, count: int) -> BoolArray:
    """bool [rows, count]."""
    return np.asarray(classes(labels, count=count)[:, None] == np.arange(count))


def several(labels: ArrayLike, probabilities: ArrayLike, *, count: int) -> tuple[BoolArray, FloatArray]:
    """Labels and probabilities of rows that may have several labels, checked: [rows, count] each."""
    truth = np.asarray(labels)
    if count < 2:
        raise ValueError(f"rows that may have several labels need two names or more, not {count}")
    if truth.ndim != 2 or truth.shape[1] != count or not np.isin(truth, (0, 1)).all():
        raise ValueError(f"labels are {truth.dtype} of the shape {truth.shape}: 0 and 1 for each row and each of {count} labels are needed")
    classes(np.zeros(len(truth), dtype=np.int64), count=1)  # refuses no rows
    return truth.astype(bool), probabilities_of(probabilities, rows=len(truth), count=count)


def ranked(labels: IntArray, probabilities: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Scores and truth of the columns whose areas make up the AUC: the second of two classes, else every class: [rows, columns] each."""
    kept = slice(1, 2) if probabilities.shape[1] == 2 else slice(None)
    return probabilities[:, kept], one_hot(labels, probabilities.shape[1])[:, kept]


def _areas(scores: FloatArray, truth: BoolArray) -> list[float]:
    """The area under the ROC curve of each column that has rows of both kinds."""
    from sklearn.metrics import roc_auc_score

    return [float(roc_auc_score(column, score)) for column, score in zip(truth.T, scores.T, strict=True) if 0 < column.sum() < len(column)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without scikit-learn's remarks on classes that do not occur or on many classes among few rows: both are ordinary in a split or a resample."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield

"""Classes are measured as scikit-learn measures them, whatever classes a split lacks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from bertwright.errors import InputError
from bertwright.metrics.classification import classification_metrics, confusion, per_class, reliability, several_labels_metrics


def drawn(seed: int, rows: int, count: int, *, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and the probabilities of a model that knows something."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(count, size=rows)
    scores = generator.normal(size=(rows, count)) + strength * np.eye(count)[labels]
    chances = np.exp(scores)
    return labels, chances / chances.sum(axis=1, keepdims=True)


def names(count: int) -> list[str]:
    return [f"class {number}" for number in range(count)]


@pytest.mark.parametrize("count", [2, 3, 6])
def test_every_metric_is_scikit_learns(count: int) -> None:
    labels, probabilities = drawn(count, 300, count)
    found = classification_metrics(labels, probabilities, names=names(count))
    predicted = probabilities.argmax(axis=1)
    expected = {
        "accuracy": sk.accuracy_score(labels, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predicted),
        "f1_macro": sk.f1_score(labels, predicted, average="macro"),
        "f1_weighted": sk.f1_score(labels, predicted, average="weighted"),
        "f1_micro": sk.f1_score(labels, predicted, average="micro"),
        "precision_macro": sk.precision_score(labels, predicted, average="macro"),
        "recall_macro": sk.recall_score(labels, predicted, average="macro"),
        "mcc": sk.matthews_corrcoef(labels, predicted),
        "auc": sk.roc_auc_score(labels, probabilities[:, 1]) if count == 2 else sk.roc_auc_score(labels, probabilities, multi_class="ovr"),
        "loss": sk.log_loss(labels, probabilities),
        "calibration_error": found["calibration_error"],
    }
    if count == 2:
        expected |= {"f1": sk.f1_score(labels, predicted), "precision": sk.precision_score(labels, predicted), "recall": sk.recall_score(labels, predicted)}
    assert found == pytest.approx(expected, abs=1e-12)


@given(rows=st.integers(1, 40), count=st.integers(2, 25), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_classes_that_do_not_occur_give_numbers_and_no_warnings(rows: int, count: int, seed: int) -> None:
    labels, probabilities = drawn(seed, rows, count)
    found = classification_metrics(labels, probabilities, names=names(count))
    assert all(np.isfinite(value) for value in found.values())
    assert all(0 <= value <= 1 + 1e-12 for name, value in found.items() if name not in ("mcc", "loss"))
    assert ("auc" in found) == (len(set(labels)) > 1)
    assert ("f1" in found) == (count == 2)


def test_f1_of_two_classes_is_that_of_the_second() -> None:
    labels, predicted = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 0])
    found = classification_metrics(labels, np.eye(2)[predicted], names=["no", "yes"])
    assert (found["f1"], found["precision"], found["recall"]) == (0.5, 0.5, 0.5)
    assert found["accuracy"] == pytest.approx(0.6)


def test_calibration_error_by_hand() -> None:
    # Three rows at 0.95 of which two are right, one at 0.55 that is wrong: 3/4 x |2/3 - 0.95| + 1/4 x |0 - 0.55|.
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.05, 0.95], [0.55, 0.45]])
    found = classification_metrics([0, 0, 0, 1], probabilities, names=["a", "b"])
    assert found["calibration_error"] == pytest.approx(0.75 * (0.95 - 2 / 3) + 0.25 * 0.55)


def test_one_who_is_too_sure_here_and_too_unsure_there_is_not_calibrated() -> None:
    # Four rows at 0.9 that are all right, four at 0.6 of which two are: over all, 0.75 is right and 0.75 was said.
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 4)
    found = classification_metrics([0, 0, 0, 0, 0, 0, 1, 1], probabilities, names=["a", "b"])
    assert found["calibration_error"] == pytest.approx(0.1)
    assert sum(each.count > 0 for each in reliability([0] * 8, probabilities)) == 2


def test_a_calibrated_model_has_little_calibration_error_and_a_sure_one_much() -> None:
    generator = np.random.default_rng(0)
    second = generator.uniform(size=20_000)
    labels = (generator.uniform(size=20_000) < second).astype(int)
    honest = np.stack([1 - second, second], axis=1)
    assert classification_metrics(labels, honest, names=["a", "b"])["calibration_error"] < 0.015
    assert classification_metrics(labels, np.eye(2)[(second > 0.5).astype(int)], names=["a", "b"])["calibration_error"] > 0.2


def test_bins_hold_every_row_once_and_the_edges_below() -> None:
    bins = reliability([0, 0, 1], [[1.0, 0.0], [0.6, 0.4], [0.5, 0.5]], bins=5)
    assert [each.count for each in bins] == [0, 0, 2, 0, 1]
    assert (bins[2].low, bins[2].high, bins[2].confidence, bins[2].accuracy) == (0.4, 0.6, pytest.approx(0.55), 0.5)


def test_a_probability_of_zero_is_a_large_but_finite_loss() -> None:
    found = classification_metrics([1, 1], [[1.0, 0.0], [0.0, 1.0]], names=["a", "b"])
    assert 40 < found["loss"] < 50


def test_confusion_has_a_row_for_each_true_class() -> None:
    assert confusion([0, 0, 1], [0, 2, 1], 3).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_per_class_is_scikit_learns_table() -> None:
    labels, probabilities = drawn(1, 200, 4)
    rows = per_class(labels, probabilities.argmax(axis=1), names(4))
    report = sk.classification_report(labels, probabilities.argmax(axis=1), target_names=names(4), output_dict=True)
    for row in rows:
        assert (row.precision, row.recall, row.f1, row.support) == pytest.approx(tuple(report[row.name].values()))
    assert sum(row.predicted for row in rows) == 200


def test_a_class_that_nobody_has_stands_in_the_table_with_zeros() -> None:
    absent = per_class([0, 1], [0, 0], ["a", "b", "c"])[2]
    assert (absent.f1, absent.support, absent.predicted) == (0, 0, 0)


def test_per_class_of_several_labels() -> None:
    truth = np.array([[1, 1, 0], [0, 1, 0]])
    rows = per_class(truth, np.array([[1, 0, 0], [1, 1, 0]]), ["a", "b", "c"])
    assert [(row.precision, row.recall, row.support, row.predicted) for row in rows] == [(0.5, 1, 1, 2), (1, 0.5, 2, 1), (0, 0, 0, 0)]


def test_several_labels_are_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(2, size=(200, 5))
    probabilities = np.clip(0.3 * labels + 0.7 * generator.uniform(size=labels.shape), 0.001, 0.999)
    predicted = probabilities >= 0.5
    found = several_labels_metrics(labels, probabilities, names=names(5))
    assert found == pytest.approx(
        {
            "accuracy": sk.accuracy_score(labels, predicted),
            "hamming_loss": sk.hamming_loss(labels, predicted),
            "f1_macro": sk.f1_score(labels, predicted, average="macro"),
            "f1_micro": sk.f1_score(labels, predicted, average="micro"),
            "f1_weighted": sk.f1_score(labels, predicted, average="weighted"),
            "f1_samples": sk.f1_score(labels, predicted, average="samples", zero_division=0),
            "precision_macro": sk.precision_score(labels, predicted, average="macro"),
            "recall_macro": sk.recall_score(labels, predicted, average="macro"),
            "auc": sk.roc_auc_score(labels, probabilities),
            "loss": np.mean([sk.log_loss(labels[:, column], probabilities[:, column]) for column in range(5)]),
        },
        abs=1e-12,
    )


def test_labels_that_all_rows_have_do_not_stop_the_auc_of_the_others() -> None:
    labels = np.array([[1, 0], [1, 1], [1, 0]])
    found = several_labels_metrics(labels, np.array([[0.9, 0.1], [0.8, 0.7], [0.4, 0.2]]), names=["a", "b"])
    assert found["auc"] == 1
    assert "auc" not in several_labels_metrics(labels[:, [0, 0]], np.full((3, 2), 0.4), names=["a", "b"])


@pytest.mark.parametrize(
    ("labels", "probabilities", "said"),
    [
        ([0, 2], np.eye(2), "between 0 and 2: with 2 classes"),
        ([0, 1], np.eye(3)[:2], "probabilities have the shape"),
        ([0.5, 1.0], np.eye(2), "one class number a row"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(labels: list[int], probabilities: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        classification_metrics(labels, probabilities, names=["a", "b"])


def test_nothing_to_measure_is_said() -> None:
    with pytest.raises(InputError, match="no labelled rows"):
        classification_metrics([], np.zeros((0, 2)), names=["a", "b"])
    with pytest.raises(InputError, match="no labelled rows"):
        several_labels_metrics(np.zeros((0, 2)), np.zeros((0, 2)), names=["a", "b"])
    with pytest.raises(InputError, match="1 of 4 probabilities are no finite numbers"):
        classification_metrics([0, 1], [[np.nan, 1], [0, 1]], names=["a", "b"])

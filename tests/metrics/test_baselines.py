"""What no look at the text reaches, by hand and against scikit-learn's dummies."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import f1_score, log_loss

from bertwright.metrics.baselines import chance_baseline, choice_baseline, majority_baseline, mean_baseline, outside_baseline, several_labels_baseline


def test_the_majority_of_training_answers_every_row() -> None:
    train, labels = np.array([2, 2, 2, 0, 1]), np.array([0, 0, 2, 1])
    found = majority_baseline(train, labels, names=["a", "b", "c"])
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((5, 1)), train)
    assert found["accuracy"] == 0.25
    assert found["f1_macro"] == pytest.approx(f1_score(labels, dummy.predict(np.zeros((4, 1))), average="macro", zero_division=0))
    assert found["loss"] == pytest.approx(log_loss(labels, dummy.predict_proba(np.zeros((4, 1)))))
    assert (found["mcc"], found["auc"]) == (0, 0.5)


def test_chance_has_a_side_for_each_class() -> None:
    assert chance_baseline(["a", "b", "c", "d"]) == {"accuracy": 0.25, "balanced_accuracy": 0.25}
    assert choice_baseline([2, 4]) == {"accuracy": 0.375}


def test_labels_that_most_rows_have_are_given_to_all() -> None:
    found = several_labels_baseline([[1, 0], [1, 0], [0, 1]], [[1, 0], [0, 0]], names=["a", "b"])
    assert (found["accuracy"], found["hamming_loss"], found["f1_micro"]) == (0.5, 0.25, pytest.approx(2 / 3))


def test_the_mean_of_training_answers_every_row() -> None:
    found = mean_baseline([1.0, 3.0], [2.0, 4.0])
    assert found == {"pearson": 0, "spearman": 0, "mse": 2, "mae": 1, "r2": -1}


def test_no_entity_is_right_about_the_words_outside() -> None:
    assert outside_baseline([["O", "B-A"], ["O", "O"]]) == {"precision": 0, "recall": 0, "f1": 0, "f1_macro": 0, "accuracy": 0.75}

"""Intervals cover the truth as often as they say, and the quick way to them is the slow way's equal."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bertwright.metrics.classification import classification_metrics, several_labels_metrics
from bertwright.metrics.intervals import Draws, bootstrap, classification_intervals, mean_intervals, regression_intervals, several_labels_intervals
from bertwright.metrics.regression import regression_metrics

FEW = Draws(resamples=60, seed=3)


def slowly(metrics: Callable[[np.ndarray], dict[str, float]], size: int) -> dict[str, Any]:
    """The intervals of metrics of each of the quick way's draws: equal to its own but for rounding."""
    found = bootstrap(metrics, size, resamples=FEW.resamples, seed=FEW.seed)
    return {name: pytest.approx(bounds, abs=1e-9) for name, bounds in found.items()}


@pytest.mark.parametrize(("count", "rows"), [(2, 50), (3, 12), (7, 60)])
@pytest.mark.parametrize("ties", [False, True])
def test_intervals_of_classes_are_those_of_metrics_on_resamples(count: int, rows: int, ties: bool) -> None:
    generator = np.random.default_rng(count)
    labels = generator.integers(count, size=rows)
    probabilities = generator.dirichlet(np.ones(count), size=rows)
    if ties:
        probabilities = np.maximum(probabilities.round(1), 0.05)
    names = [str(number) for number in range(count)]
    expected = slowly(lambda drawn: classification_metrics(labels[drawn], probabilities[drawn], names=names), rows)
    assert classification_intervals(labels, probabilities, names=names, draws=FEW) == expected


def test_intervals_of_several_labels_are_those_of_metrics_on_resamples() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(2, size=(30, 4)) * [1, 1, 1, 0]
    probabilities = generator.uniform(size=(30, 4))
    expected = slowly(lambda drawn: several_labels_metrics(labels[drawn], probabilities[drawn], names=list("abcd")), 30)
    assert several_labels_intervals(labels, probabilities, names=list("abcd"), draws=FEW) == expected


@pytest.mark.parametrize("rows", [3, 40])
def test_intervals_of_numbers_are_those_of_metrics_on_resamples(rows: int) -> None:
    generator = np.random.default_rng(rows)
    labels = generator.integers(4, size=rows).astype(float)
    predicted = (labels + generator.normal(size=rows)).round(1)
    expected = slowly(lambda drawn: regression_metrics(labels[drawn], predicted[drawn]), rows)
    assert regression_intervals(labels, predicted, draws=FEW) == expected


def test_intervals_of_means_are_those_of_means_of_resamples() -> None:
    values = np.random.default_rng(0).uniform(size=25)
    assert mean_intervals({"mrr": values}, draws=FEW) == slowly(lambda drawn: {"mrr": float(values[drawn].mean())}, 25)


def test_a_95_percent_interval_covers_the_true_accuracy_19_times_in_20() -> None:
    # 400 data sets of 150 rows from a model that is right with probability 0.8: the share covered has a standard error of about 1.1%.
    generator = np.random.default_rng(0)
    covered, simulations = 0, 400
    for _ in range(simulations):
        right = (generator.uniform(size=150) < 0.8).astype(float)
        low, high = mean_intervals({"accuracy": right}, draws=Draws(resamples=500))["accuracy"]
        covered += low <= 0.8 <= high
    assert 0.91 <= covered / simulations <= 0.98


def test_an_interval_is_as_wide_as_the_normal_one_and_narrower_at_a_lower_level() -> None:
    right = np.arange(2000) % 10 < 8
    low, high = mean_intervals({"accuracy": right})["accuracy"]
    assert high - low == pytest.approx(2 * 1.96 * (0.8 * 0.2 / 2000) ** 0.5, rel=0.1)
    inner = mean_intervals({"accuracy": right}, draws=Draws(level=0.5))["accuracy"]
    assert low < inner[0] < 0.8 < inner[1] < high


def test_an_interval_is_of_a_thousand_draws_unless_told() -> None:
    values = np.random.default_rng(0).uniform(size=50)
    found = mean_intervals({"x": values})
    assert found == mean_intervals({"x": values}, draws=Draws(resamples=1000)) != mean_intervals({"x": values}, draws=Draws(resamples=200))
    assert bootstrap(lambda drawn: {"x": float(values[drawn].mean())}, 50)["x"] == pytest.approx(found["x"])


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    values = {"x": np.random.default_rng(0).uniform(size=50)}
    assert mean_intervals(values) == mean_intervals(values) != mean_intervals(values, draws=Draws(seed=1))


def test_a_metric_undefined_in_every_draw_has_no_interval() -> None:
    found = classification_intervals([0, 0, 0], np.full((3, 2), 0.5), names=["a", "b"], draws=FEW)
    assert "auc" not in found
    assert found["accuracy"] == (1, 1)


def test_a_metric_undefined_in_some_draws_has_the_interval_of_the_others() -> None:
    assert bootstrap(lambda drawn: {"a": 1.0} if 0 in drawn else {}, 3, resamples=50) == {"a": (1.0, 1.0)}


def test_2000_rows_take_less_than_a_second() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(6), size=2000)
    labels = generator.integers(6, size=2000)
    started = time.process_time()
    found = classification_intervals(labels, probabilities, names=list("abcdef"))
    assert time.process_time() - started < 1
    assert {"auc", "f1_macro", "calibration_error"} <= found.keys()

"""Numbers are measured as scipy and scikit-learn measure them."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from bertwright.errors import InputError
from bertwright.metrics.regression import average_ranks, regression_metrics

VALUES = st.lists(st.tuples(st.integers(-5, 5), st.floats(-1e3, 1e3)), min_size=2, max_size=30)


@given(rows=VALUES)
@settings(max_examples=100, deadline=None)
def test_errors_are_scikit_learns_and_correlations_are_scipys(rows: list[tuple[int, float]]) -> None:
    labels, predicted = np.array(rows, dtype=float).T
    found = regression_metrics(labels, predicted)
    assert found["mse"] == pytest.approx(sk.mean_squared_error(labels, predicted))
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(labels, predicted))
    assert found["r2"] == pytest.approx(sk.r2_score(labels, predicted), rel=1e-6)
    if len(set(labels)) > 1 and len(set(predicted)) > 1:
        assert found["spearman"] == pytest.approx(scipy.stats.spearmanr(labels, predicted).statistic, abs=1e-9)
    else:
        assert found["spearman"] == found["pearson"] == 0


def test_pearson_is_scipys() -> None:
    generator = np.random.default_rng(0)
    labels = generator.normal(size=100)
    predicted = labels + generator.normal(size=100)
    assert regression_metrics(labels, predicted)["pearson"] == pytest.approx(scipy.stats.pearsonr(labels, predicted).statistic, abs=1e-12)


def test_a_large_offset_does_not_swallow_the_correlation() -> None:
    labels = np.arange(10.0)
    assert regression_metrics(labels, labels * 1e-3 + 1e9)["pearson"] == pytest.approx(1, abs=1e-6)


def test_numbers_too_small_to_be_squared_have_a_correlation() -> None:
    labels, predicted = [1.0, 3.0, 2.0, 4.0], np.array([1.0, 2.0, 3.0, 5.0])
    assert regression_metrics(labels, predicted * 1e-200)["pearson"] == pytest.approx(scipy.stats.pearsonr(labels, predicted).statistic)


def test_constant_predictions_explain_nothing() -> None:
    found = regression_metrics([1.0, 2.0, 3.0], [0.1, 0.1, 0.1])
    assert (found["pearson"], found["spearman"]) == (0, 0)


def test_constant_labels_have_an_r2_all_the_same() -> None:
    assert regression_metrics([2.0, 2.0], [2.0, 2.0])["r2"] == 1
    assert regression_metrics([2.0, 2.0], [2.0, 3.0])["r2"] == 0


def test_equal_values_share_their_rank() -> None:
    assert average_ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1, 3.5, 2]


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="1 of 2 predictions are no finite numbers"):
        regression_metrics([1.0, 2.0], [np.inf, 1.0])
    with pytest.raises(InputError, match="no labelled rows"):
        regression_metrics([], [])
    with pytest.raises(ValueError, match="2 of them"):
        regression_metrics([1.0, 2.0], [1.0])

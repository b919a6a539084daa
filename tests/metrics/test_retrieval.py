"""Ranks and nDCG against scikit-learn and values found by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from bertwright.errors import InputError
from bertwright.metrics.retrieval import rank_scores


def test_scores_by_hand() -> None:
    found = rank_scores([[2, 4], [1]], recall_at=(1, 2, 4), ndcg_at=3)
    assert found["mrr"].tolist() == [0.5, 1]
    assert [found[f"recall@{k}"].tolist() for k in (1, 2, 4)] == [[0, 1], [0.5, 1], [1, 1]]
    assert found["ndcg@3"].tolist() == pytest.approx([(1 / np.log2(3)) / (1 + 1 / np.log2(3)), 1])


@given(queries=st.integers(1, 5), documents=st.integers(2, 14), k=st.integers(1, 20), seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_ndcg_is_scikit_learns(queries: int, documents: int, k: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    near = generator.normal(size=(queries, documents))
    truth = generator.integers(2, size=near.shape)
    truth[np.arange(queries), generator.integers(documents, size=queries)] = 1
    places = (-near).argsort(axis=1).argsort(axis=1) + 1
    found = rank_scores([row[wanted == 1] for row, wanted in zip(places, truth, strict=True)], ndcg_at=k)
    assert found[f"ndcg@{k}"].mean() == pytest.approx(ndcg_score(truth, near, k=k))


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(InputError, match="1 of 2 queries have no relevant document, the first is number 1"):
        rank_scores([[1], []])
    with pytest.raises(InputError, match="no queries"):
        rank_scores([])

"""Ranks, nDCG and similarity against scikit-learn, scipy and values found by hand."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from bertwright.errors import InputError
from bertwright.metrics.retrieval import cosines, pair_cosines, rank_scores, retrieval_metrics, retrieval_scores, similarity_metrics


def test_ranks_by_hand() -> None:
    # Ranks of the relevant ones: 2 and 4 of the first query, 1 of the second.
    near = [[0.9, 0.8, 0.7, 0.6], [0.1, 0.2, 0.3, 0.4]]
    found = retrieval_scores(near, [{1, 3}, {3}], recall_at=(1, 2, 4), ndcg_at=3)
    assert found["mrr"].tolist() == [0.5, 1]
    assert [found[f"recall@{k}"].tolist() for k in (1, 2, 4)] == [[0, 1], [0.5, 1], [1, 1]]
    assert found["ndcg@3"].tolist() == pytest.approx([(1 / np.log2(3)) / (1 + 1 / np.log2(3)), 1])


def test_ranks_alone_are_enough() -> None:
    near, relevant = [[0.9, 0.8, 0.7, 0.6], [0.1, 0.2, 0.3, 0.4]], [{1, 3}, {3}]
    expected = retrieval_scores(near, relevant)
    assert {name: values.tolist() for name, values in rank_scores([[2, 4], [1]]).items()} == {name: values.tolist() for name, values in expected.items()}


@given(queries=st.integers(1, 5), documents=st.integers(2, 14), k=st.integers(1, 20), seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_ndcg_is_scikit_learns(queries: int, documents: int, k: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    near = generator.normal(size=(queries, documents))
    truth = generator.integers(2, size=near.shape)
    truth[np.arange(queries), generator.integers(documents, size=queries)] = 1
    found = retrieval_metrics(near, [np.flatnonzero(row).tolist() for row in truth], ndcg_at=k)
    assert found[f"ndcg@{k}"] == pytest.approx(ndcg_score(truth, near, k=k))


def test_vectors_that_are_all_the_same_find_no_more_than_chance() -> None:
    count = 200
    found = retrieval_metrics(np.zeros((count, count)), [{number} for number in range(count)])
    assert found["recall@10"] == 10 / count
    assert found["mrr"] == pytest.approx(sum(1 / rank for rank in range(1, count + 1)) / count)


def test_similarity_is_scipys() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, 50, 8))
    second += first
    scores = generator.integers(6, size=50).astype(float)
    near = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in zip(first, second, strict=True)]
    found = similarity_metrics(first.astype(np.float32), second.astype(np.float32), scores)
    assert found["spearman"] == pytest.approx(scipy.stats.spearmanr(near, scores).statistic, abs=1e-6)
    assert found["pearson"] == pytest.approx(scipy.stats.pearsonr(near, scores).statistic, abs=1e-6)


def test_a_vector_of_zeros_is_near_to_nothing() -> None:
    assert cosines([[0.0, 0.0], [3.0, 4.0]], [[1.0, 0.0]]).tolist() == [[0], [0.6]]
    assert pair_cosines([[3.0, 4.0]], [[6.0, 8.0]]).tolist() == [pytest.approx(1)]


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(InputError, match="1 of 2 queries have no relevant document, the first is number 1"):
        retrieval_metrics(np.eye(2), [{0}, set()])
    with pytest.raises(InputError, match="no queries"):
        retrieval_metrics(np.zeros((0, 2)), [])
    with pytest.raises(ValueError, match="document 2 is named"):
        retrieval_metrics(np.eye(2), [{0}, {2}])
    with pytest.raises(ValueError, match="one row for each of 1"):
        retrieval_metrics(np.eye(2), [{0}])
    with pytest.raises(ValueError, match="needs a partner"):
        pair_cosines(np.eye(2), np.eye(3))
    with pytest.raises(ValueError, match="2 pairs of vectors have 1 scores"):
        similarity_metrics(np.eye(2), np.eye(2), [1.0])

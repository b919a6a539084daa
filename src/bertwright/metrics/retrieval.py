"""How well vectors find what belongs together: ranks of relevant texts, and similarity beside a gold score."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bertwright.errors import InputError
from bertwright.metrics.arrays import FloatArray, IntArray, numbers
from bertwright.metrics.regression import average_ranks, pearson

Similarities = NDArray[np.floating[Any]]

RECALL_AT = (1, 5, 10)
NDCG_AT = 10


def cosines(first: ArrayLike, second: ArrayLike) -> FloatArray:
    """The cosine of each row of one side with each of the other: [n, hidden_size] and [m, hidden_size] -> [n, m]; 0 for a vector of zeros."""
    one, other = (_unit(np.asarray(side, dtype=np.float64)) for side in (first, second))
    return one @ other.T


def similarity_metrics(first: ArrayLike, second: ArrayLike, scores: ArrayLike) -> dict[str, float]:
    """spearman and pearson of the cosines of paired vectors with their scores, as semantic textual similarity is measured (Cer et al. 2017).

    first, second: [pairs, hidden_size]; scores: [pairs], on any scale. Raises InputError where there are no pairs, ValueError for shapes that do not fit.
    """
    gold, found = numbers(scores, name="scores"), pair_cosines(first, second)
    if len(gold) != len(found):
        raise ValueError(f"{len(found)} pairs of vectors have {len(gold)} scores: one each is needed")
    return {"spearman": pearson(average_ranks(found), average_ranks(gold)), "pearson": pearson(found, gold)}


def pair_cosines(first: ArrayLike, second: ArrayLike) -> FloatArray:
    """The cosine of each row with its partner: [pairs, hidden_size] twice -> [pairs]."""
    one, other = (_unit(np.asarray(side, dtype=np.float64)) for side in (first, second))
    if one.shape != other.shape:
        raise ValueError(f"the two sides have the shapes {one.shape} and {other.shape}: each vector needs a partner")
    found: FloatArray = np.einsum("ph,ph->p", one, other)
    return found


def rank_scores(ranks: Sequence[Sequence[int] | IntArray], *, recall_at: Sequence[int] = RECALL_AT, ndcg_at: int = NDCG_AT) -> dict[str, FloatArray]:
    """For each query mrr (one over the rank of the first relevant document), ndcg@k and recall@k for each k: [queries] by name.

    ranks: for each query those of all its relevant documents, from 1. ndcg: each relevant document gains 1, discounted by log2(rank + 1) (Järvelin and
    Kekäläinen 2002). recall: the share of the relevant documents among the first k.
    Raises InputError where there are no queries, and for those without a relevant document.
    """
    if not len(ranks):
        raise InputError("there are no queries to measure: give pairs of texts that belong together")
    without = [number for number, each in enumerate(ranks) if not len(each)]
    if without:
        raise InputError(f"{len(without)} of {len(ranks)} queries have no relevant document, the first is number {without[0]}: leave them out")
    found = [np.asarray(each, dtype=np.int64) for each in ranks]
    scores = {"mrr": np.array([1 / each.min() for each in found]), f"ndcg@{ndcg_at}": np.array([_ndcg(each, ndcg_at) for each in found])}
    return scores | {f"recall@{k}": np.array([float((each <= k).mean()) for each in found]) for k in recall_at}


def retrieval_scores(
    similarities: ArrayLike, relevant: Sequence[Collection[int]], *, recall_at: Sequence[int] = RECALL_AT, ndcg_at: int = NDCG_AT
) -> dict[str, FloatArray]:
    """`rank_scores` of the ranks that similarities give: [queries] by name.

    similarities: [queries, documents], higher is nearer; relevant: the numbers of each query's documents. Of documents equally near the earlier ranks first.
    Raises as `rank_scores`, and ValueError for numbers of documents that there are not.
    """
    near = np.asarray(similarities)
    if near.ndim != 2 or len(near) != len(relevant):
        raise ValueError(f"similarities have the shape {near.shape}: one row for each of {len(relevant)} queries is needed")
    strange = [document for wanted in relevant for document in wanted if not 0 <= document < near.shape[1]]
    if strange:
        raise ValueError(f"document {strange[0]} is named as relevant: there are {near.shape[1]}, numbered from 0")
    ranks = [_ranks(row, np.array(sorted(set(wanted)), dtype=np.int64)) for row, wanted in zip(near, relevant, strict=True)]
    return rank_scores(ranks, recall_at=recall_at, ndcg_at=ndcg_at)


def retrieval_metrics(
    similarities: ArrayLike, relevant: Sequence[Collection[int]], *, recall_at: Sequence[int] = RECALL_AT, ndcg_at: int = NDCG_AT
) -> dict[str, float]:
    """The means of `retrieval_scores` over the queries; their intervals are `mean_intervals` of the same scores."""
    return {name: float(values.mean()) for name, values in retrieval_scores(similarities, relevant, recall_at=recall_at, ndcg_at=ndcg_at).items()}


def _ranks(row: Similarities, wanted: IntArray) -> IntArray:
    """The ranks of the wanted documents of a query, from 1."""
    score = row[wanted][:, None]
    earlier = np.arange(len(row)) < wanted[:, None]
    ranks: IntArray = 1 + ((row > score) | ((row == score) & earlier)).sum(axis=1)
    return ranks


def _ndcg(ranks: IntArray, k: int) -> float:
    best = (1 / np.log2(np.arange(1, min(k, len(ranks)) + 1) + 1)).sum()
    return float((1 / np.log2(ranks[ranks <= k] + 1)).sum() / best)


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: FloatArray = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit

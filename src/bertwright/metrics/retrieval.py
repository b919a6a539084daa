"""How well vectors find what belongs together: the ranks of relevant texts."""

from collections.abc import Sequence

import numpy as np

from bertwright.errors import InputError
from bertwright.metrics.arrays import FloatArray, IntArray

RECALL_AT = (1, 5, 10)
NDCG_AT = 10


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


def _ndcg(ranks: IntArray, k: int) -> float:
    best = (1 / np.log2(np.arange(1, min(k, len(ranks)) + 1) + 1)).sum()
    return float((1 / np.log2(ranks[ranks <= k] + 1)).sum() / best)

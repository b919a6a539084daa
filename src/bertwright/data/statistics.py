"""The numbers of the corpus report, from finished arrays of offsets, counts and digests; nothing here looks at a token twice."""

import numpy as np
from numpy.typing import NDArray

from bertwright.data.report import QUANTILES, Rows

SIMULATED_ROWS = 100_000
SPECIAL_IN_PAIR = 3  # [CLS] A [SEP] B [SEP]


def quantiles(lengths: NDArray[np.int64]) -> dict[str, float]:
    """The named quantiles and the mean; zeros when there are no lengths."""
    if not len(lengths):
        return {name: 0.0 for name, _ in QUANTILES} | {"mean": 0.0}
    values = np.quantile(lengths, [share for _, share in QUANTILES])
    return {name: float(value) for (name, _), value in zip(QUANTILES, values, strict=True)} | {"mean": float(lengths.mean())}


def pair_rows(sentences: NDArray[np.int64], documents: NDArray[np.int64], *, max_seq_length: int) -> Rows:
    """Truncation and padding of rows that take whole sentences of a document until they are full (Devlin et al. 2018, appendix A.2).

    sentences: [S + 1] token offsets; documents: [D + 1] sentence offsets. Looks at the first `SIMULATED_ROWS` rows of documents spread over the corpus.
    """
    room = max(max_seq_length - SPECIAL_IN_PAIR, 1)
    rows = taken = kept = 0
    count = len(documents) - 1
    order = np.random.default_rng(0).permutation(count) if count else np.empty(0, dtype=np.int64)
    for document in order:
        first, last = int(documents[document]), int(documents[document + 1])
        offsets = np.asarray(sentences[first : last + 1])
        place = 0
        while place < len(offsets) - 1 and rows < SIMULATED_ROWS:
            end = min(int(offsets.searchsorted(offsets[place] + room)), len(offsets) - 1)
            length = int(offsets[end] - offsets[place])
            rows, taken, kept = rows + 1, taken + length, kept + min(length, room)
            place = end
        if rows >= SIMULATED_ROWS:
            break
    if not rows:
        return Rows(max_seq_length=max_seq_length, truncated=0.0, padding=0.0)
    return Rows(max_seq_length=max_seq_length, truncated=1 - kept / taken, padding=1 - (kept + rows * SPECIAL_IN_PAIR) / (rows * max(max_seq_length, 4)))


def entropy(counts: NDArray[np.int64]) -> float:
    """The entropy of token frequencies, in nats."""
    shares = counts[counts > 0] / max(int(counts.sum()), 1)
    return float(-(shares * np.log(shares)).sum())


def repeated(digests: NDArray[np.uint64]) -> int:
    """How many of the documents repeat another one of them."""
    return len(digests) - len(np.unique(digests))


def leaked(validation: NDArray[np.uint64], train: NDArray[np.uint64]) -> int:
    """How many validation documents stand in the training documents too."""
    wanted = np.unique(validation)
    if not len(wanted) or not len(train):
        return 0
    places = np.searchsorted(wanted, train)
    places[places == len(wanted)] = 0
    met = np.zeros(len(wanted), dtype=np.bool_)
    met[places[wanted[places] == train]] = True
    return int(met[np.searchsorted(wanted, validation)].sum())

"""The best spans by the scores of their two ends."""

import numpy as np
from numpy.typing import NDArray

N_BEST = 20  # Devlin et al. 2018, released run_squad.py, n_best_size

Scores = NDArray[np.float64]


def best_spans(scores: Scores, usable: NDArray[np.bool_], *, first: int, last: int, longest: int) -> list[tuple[float, int, int]]:
    """The N_BEST best (score, first token, last token), best first.

    scores: [2, tokens], of beginning and of ending at each; a span's is their sum. usable: [tokens], where a span may begin and end. A span begins in
    [first, last) and has at most `longest` tokens.
    """
    count = scores.shape[1]
    reach = min(longest, count)
    if first >= last or reach < 1:
        return []
    starts = np.where(usable, scores[0], -np.inf)[first:last]
    ends = np.concatenate([np.where(usable, scores[1], -np.inf), np.full(reach - 1, -np.inf)])
    sums = starts[:, None] + np.lib.stride_tricks.sliding_window_view(ends, reach)[first:last]
    flat = sums.reshape(-1)
    chosen = np.argpartition(flat, -min(N_BEST, len(flat)))[-N_BEST:]
    chosen = chosen[np.argsort(-flat[chosen], kind="stable")]
    begins, lengths = np.divmod(chosen, reach)
    found = zip(flat[chosen].tolist(), (begins + first).tolist(), (begins + first + lengths).tolist(), strict=True)
    return [span for span in found if span[0] > -np.inf]

"""The rows held out of training where no validation file is given: drawn by label, the same for the same seed."""

from collections.abc import Hashable, Sequence

import numpy as np

MOST = 2  # times the share asked for: labels of few rows may raise it so far


def hold_out(groups: Sequence[Hashable], strata: Sequence[Hashable], *, fraction: float, seed: int) -> list[int]:
    """The rows to hold out, ascending: of each stratum (a label) a share of `fraction`, and one group of those too small for that.

    Such single groups are taken of the larger strata first, and only until twice `fraction` of all groups is held out. A stratum of one group stays in
    training whole. groups: rows of one group (the same text, the same paragraph) stay together; a group counts for the stratum of its first row.
    """
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    by_stratum: dict[Hashable, list[list[int]]] = {}
    for rows in members.values():
        by_stratum.setdefault(strata[rows[0]], []).append(rows)
    random = np.random.default_rng(seed)
    held: list[int] = []
    counts = {name: min(round(len(each) * fraction), len(each) - 1) for name, each in by_stratum.items()}
    room = max(round(MOST * fraction * len(members)), 1) - sum(counts.values())
    small = sorted((name for name, each in by_stratum.items() if counts[name] < 1 < len(each)), key=lambda name: -len(by_stratum[name]))
    for name in small[: max(room, 0)]:
        counts[name] = 1
    for name, each in by_stratum.items():
        for index in random.permutation(len(each))[: counts[name]]:
            held += each[index]
    return sorted(held)

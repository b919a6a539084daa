"""The rows held out of training where no validation file is given: drawn by label, the same for the same seed."""

from collections.abc import Hashable, Sequence

import numpy as np


def hold_out(groups: Sequence[Hashable], strata: Sequence[Hashable], *, fraction: float, seed: int) -> list[int]:
    """The rows to hold out, ascending: of each stratum (a label) a share of `fraction`, and at least one group.

    groups: rows of one group (the same text, the same paragraph) stay together; a group counts for the stratum of its first row.
    A stratum of one group stays in training whole.
    """
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    by_stratum: dict[Hashable, list[list[int]]] = {}
    for rows in members.values():
        by_stratum.setdefault(strata[rows[0]], []).append(rows)
    random = np.random.default_rng(seed)
    held: list[int] = []
    for each in by_stratum.values():
        count = min(max(round(len(each) * fraction), 1), len(each) - 1)
        for index in random.permutation(len(each))[:count]:
            held += each[index]
    return sorted(held)

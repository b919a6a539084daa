"""Overlapping windows over texts that are longer than a row."""

from itertools import pairwise
from typing import NamedTuple

# Devlin et al. 2018 (released run_squad.py) move a row of 384 on by 128 tokens; transformers' examples let neighbours share as many. Half a window is the most
# that is of use: beyond it a token stands in three.
SHARED = 128


class Window(NamedTuple):
    """Tokens [start, stop) of a text. Those of [first, last) have more context here, on their shorter side, than in any other window."""

    start: int
    stop: int
    first: int
    last: int


def windows(count: int, *, room: int, shared: int) -> list[Window]:
    """As few windows of `room` tokens as cover `count` with at least `shared` of them in both of two neighbours; all full, where one is not enough.

    Every token belongs to [first, last) of exactly one. Raises ValueError where `shared` leaves a window nothing of its own.
    """
    if not 0 <= shared < room:
        raise ValueError(f"windows of {room} tokens cannot share {shared}")
    if count <= room:
        return [Window(0, count, 0, count)]
    steps = -(-(count - room) // (room - shared))
    starts = [number * (count - room) // steps for number in range(steps + 1)]
    # Of the tokens in both, the first window has the earlier half: there their way to its end is longer than to the other's start.
    cuts = [0, *((start + room - 1 + following) // 2 + 1 for start, following in pairwise(starts)), count]
    return [Window(start, start + room, first, last) for start, (first, last) in zip(starts, pairwise(cuts), strict=True)]


def shared_tokens(stride: int | None, room: int) -> int:
    """The tokens that neighbours share, at most half a window; by default 128, at most a third of it."""
    return min(SHARED, room // 3) if stride is None else min(stride, room // 2)

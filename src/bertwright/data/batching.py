"""Which sequences go through a model together."""

from collections.abc import Iterator, Sequence


def batches(lengths: Sequence[int], *, tokens: int) -> Iterator[list[int]]:
    """Numbers of sequences, longest first, so many at once that their padded size stays within `tokens`."""
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    start = 0
    while start < len(order):
        size = max(1, tokens // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size

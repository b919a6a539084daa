"""Several texts in one sequence of samples: exact quotas in each block of a thousand."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from bertwright.data import keys as draws
from bertwright.data.keys import KeyArray
from bertwright.data.samples import IntArray, Samples, concatenate
from bertwright.data.stream import Stream

BLOCK = 1000


def quotas(shares: Sequence[float]) -> IntArray:
    """How many of a block's samples each share gets, by the largest remainders; shares add up to 1. Raises ValueError where one gets none."""
    exact = np.asarray(shares, dtype=np.float64) * BLOCK
    found = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(-(exact - found), kind="stable")
    found[order[: BLOCK - int(found.sum())]] += 1
    if found.sum() != BLOCK or (found < 1).any():
        raise ValueError(f"shares {list(shares)} do not divide {BLOCK} samples: they must add up to 1, each {1 / BLOCK} or more")
    return found


class Mixture:
    """Streams by name, each with its share; the first is the one that the run's epochs count.

    Every block of 1,000 samples holds exactly each stream's quota, in an order drawn for it from the seed and the block's number, and each stream goes on
    from block to block. So sample n of the run is sample m of one stream, found from n alone.
    """

    def __init__(self, streams: Mapping[str, Stream], shares: Sequence[float], *, seed: int) -> None:
        self.names, self.streams, self.seed = tuple(streams), tuple(streams.values()), seed
        self.quotas = quotas(shares)
        self._order = lru_cache(maxsize=8)(self._order_of)

    def _order_of(self, block: int) -> IntArray:
        """Which stream each sample of the block comes from, [BLOCK]."""
        return np.repeat(np.arange(len(self.streams)), self.quotas)[draws.permutation(BLOCK, draws.key_of(self.seed, draws.MIXTURE, block))]

    def _before(self, number: int) -> IntArray:
        """How many samples of each stream come before sample `number`, [streams]."""
        block, rest = divmod(number, BLOCK)
        counted: IntArray = block * self.quotas + np.bincount(self._order(block)[:rest], minlength=len(self.streams))
        return counted

    def take(self, first: int, last: int) -> tuple[Samples, KeyArray, IntArray]:
        """As `Stream.take`."""
        blocks = np.concatenate([self._order(block) for block in range(first // BLOCK, (last - 1) // BLOCK + 1)])
        which = blocks[first % BLOCK :][: last - first]
        starts, counts = self._before(first), np.bincount(which, minlength=len(self.streams))
        parts = [stream.take(start, start + count) for stream, start, count in zip(self.streams, starts.tolist(), counts.tolist(), strict=True) if count]
        places = np.empty(len(which), dtype=np.int64)
        places[np.argsort(which, kind="stable")] = np.arange(len(which))
        samples = reordered(concatenate([samples for samples, _, _ in parts]), places)
        return samples, np.concatenate([keys for _, keys, _ in parts])[places], np.arange(first, last)

    def epoch_of(self, number: int) -> int:
        """The first stream's epoch at sample `number` of the run."""
        return self.streams[0].epoch_of(int(self._before(number)[0]))

    def passes(self, number: int) -> float:
        """How often the first stream's text was read through before sample `number`."""
        return self.streams[0].passes(int(self._before(number)[0]))

    def epochs(self, number: int) -> dict[str, float]:
        """How often each text was read through before sample `number`, by name."""
        return {name: stream.passes(count) for name, stream, count in zip(self.names, self.streams, self._before(number).tolist(), strict=True)}

    def sample_at(self, passes: float) -> float:
        """The number of samples of the run after which the first stream's text was read through so often."""
        wanted = int(np.ceil(self.streams[0].sample_at(passes)))
        if not wanted:
            return 0.0
        block, rest = divmod(wanted - 1, int(self.quotas[0]))
        return float(block * BLOCK + np.flatnonzero(self._order(block) == 0)[rest] + 1)


def reordered(samples: Samples, places: IntArray) -> Samples:
    """The rows at these places, in their order."""
    columns = {field.name: getattr(samples, field.name) for field in dataclasses.fields(samples)}
    return dataclasses.replace(samples, **{name: column[places] for name, column in columns.items() if column is not None})

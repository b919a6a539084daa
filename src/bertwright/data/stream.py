"""The run's samples in their order: numbered from 0 over all epochs, the same for any batch size, rank or restart."""

import bisect
import queue
import threading
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar, cast

import numpy as np

from bertwright.data import keys as draws
from bertwright.data.keys import KeyArray
from bertwright.data.samples import IntArray, Samples, Source, concatenate

T = TypeVar("T")


class SampleStream(Protocol):
    """The samples of a run by their numbers, from one text or several."""

    def take(self, first: int, last: int) -> tuple[Samples, KeyArray, IntArray]:
        """Samples `first` to `last` (exclusive) of the run, their keys uint64 [batch], and their numbers."""

    def epoch_of(self, number: int) -> int:
        """The epoch that sample `number` lies in."""

    def passes(self, number: int) -> float:
        """How often the text was read through before sample `number`."""

    def epochs(self, number: int) -> dict[str, float]:
        """The same of each text, by name, where there are several; else nothing."""

    def sample_at(self, passes: float) -> float:
        """The number of samples after which the text was read through so often."""


class Stream:
    """Turns numbers of samples in the run into samples and their keys. Sample n lies in the epoch whose range holds n."""

    def __init__(self, source: Source, *, seed: int) -> None:
        self.source, self.seed = source, seed
        self._ends: list[int] = []
        # The loop asks for epochs while a thread that makes batches ahead does.
        self._growing = threading.Lock()

    def epoch_end(self, epoch: int) -> int:
        """The number after the epoch's last sample."""
        while len(self._ends) <= epoch:
            self._grow()
        return self._ends[epoch]

    def epoch_of(self, number: int) -> int:
        """The epoch that sample `number` lies in. Raises ValueError on a source without samples, which has no such epoch."""
        while not self._ends or self._ends[-1] <= number:
            self._grow()
        return bisect.bisect_right(self._ends, number)

    def passes(self, number: int) -> float:
        """How often the text was read through before sample `number`."""
        epoch = self.epoch_of(number)
        begin = self.epoch_end(epoch - 1) if epoch else 0
        return epoch + (number - begin) / (self.epoch_end(epoch) - begin)

    def epochs(self, number: int) -> dict[str, float]:
        """Nothing: there is one text."""
        return {}

    def sample_at(self, passes: float) -> float:
        """The number of samples after which the text was read through so often."""
        whole = int(passes)
        before = self.epoch_end(whole - 1) if whole else 0
        return before + (passes - whole) * (self.epoch_end(whole) - before)

    def _grow(self) -> None:
        with self._growing:
            size = self.source.size(len(self._ends))
            if size == 0 and self._ends[-1:] == [0]:
                raise ValueError("the source has no samples")
            self._ends.append((self._ends[-1] if self._ends else 0) + size)

    def take(self, first: int, last: int) -> tuple[Samples, KeyArray, IntArray]:
        """Samples `first` to `last` (exclusive) of the run, their keys uint64 [batch], and their numbers."""
        parts, keys, start = [], [], first
        while start < last:
            epoch = self.epoch_of(start)
            end = min(last, self.epoch_end(epoch))
            begin = self.epoch_end(epoch - 1) if epoch else 0
            numbers = np.arange(start - begin, end - begin)
            parts.append(self.source.take(epoch, numbers))
            keys.append(draws.draw(draws.key_of(self.seed, epoch), numbers, draws.SAMPLE))
            start = end
        return concatenate(parts), np.concatenate(keys), np.arange(first, last)


class Ahead(Generic[T]):
    """An iterator run in a thread, `depth` items before they are asked for. What it raises is raised here, in its turn; `close` stops it."""

    def __init__(self, items: Iterator[T], *, depth: int) -> None:
        self._ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(maxsize=depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._fill, args=(items,), daemon=True)
        self._thread.start()

    def _fill(self, items: Iterator[T]) -> None:
        try:
            for item in items:
                if not self._put((item, None)):
                    return
        except BaseException as error:  # handed to the reader, whatever it is
            self._put((None, error))
        else:
            self._put((None, StopIteration()))

    def _put(self, entry: tuple[T | None, BaseException | None]) -> bool:
        while not self._stopped.is_set():
            try:
                self._ready.put(entry, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        item, error = self._ready.get()
        if error is not None:
            raise error
        return cast(T, item)

    def close(self) -> None:
        """Ends the thread; items it had ready are dropped."""
        self._stopped.set()
        self._thread.join()

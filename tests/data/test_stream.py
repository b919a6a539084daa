"""Samples are numbered through all epochs, and batches are made ahead without losing their errors."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from bertwright.data.samples import IntArray, Samples
from bertwright.data.stream import Ahead, Stream


class Numbered:
    """Epoch e has e + 2 samples; the first id of each says which one it is: 100 e + number."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def size(self, epoch: int) -> int:
        self.asked.append(epoch)
        time.sleep(0.001)  # long enough for another thread to come in between
        return epoch + 2

    def take(self, epoch: int, numbers: IntArray) -> Samples:
        assert numbers.min() >= 0
        assert numbers.max() < epoch + 2
        ids = np.zeros((len(numbers), 4), dtype=np.int64)
        ids[:, 0] = 100 * epoch + numbers
        sequences = np.tile([0, 0, 1, 2], (len(numbers), 1)) if epoch % 2 else None
        return Samples(ids=ids, lengths=np.full(len(numbers), 3), sequences=sequences)


EXPECTED = [100 * epoch + number for epoch in range(6) for number in range(epoch + 2)]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 13, 27])
def test_samples_go_on_from_epoch_to_epoch_in_any_batch_size(batch_size: int) -> None:
    stream = Stream(Numbered(), seed=1)
    parts = [stream.take(first, min(first + batch_size, len(EXPECTED))) for first in range(0, len(EXPECTED), batch_size)]
    assert np.concatenate([samples.ids[:, 0] for samples, _, _ in parts]).tolist() == EXPECTED
    assert np.concatenate([numbers for _, _, numbers in parts]).tolist() == list(range(len(EXPECTED)))
    whole = Stream(Numbered(), seed=1).take(0, len(EXPECTED))[1]
    assert np.array_equal(np.concatenate([keys for _, keys, _ in parts]), whole)
    assert len(set(whole.tolist())) == len(EXPECTED), "two samples share a key"


def test_keys_hang_on_the_seed() -> None:
    assert not np.isin(Stream(Numbered(), seed=1).take(0, 9)[1], Stream(Numbered(), seed=2).take(0, 9)[1]).any()


def test_padding_stays_apart_where_epochs_with_and_without_sequences_meet() -> None:
    samples = Stream(Numbered(), seed=1).take(0, 5)[0]
    assert samples.sequences is not None
    assert samples.sequences[:2, :3].tolist() == [[0, 0, 0]] * 2
    assert all(row[3] not in row[:3] for row in samples.sequences.tolist())


def test_epochs_are_found_from_any_number() -> None:
    stream = Stream(Numbered(), seed=0)
    assert [stream.epoch_of(number) for number in (13, 0, 1, 2, 4, 5, 12)] == [3, 0, 0, 1, 1, 2, 3]
    assert [stream.epoch_end(epoch) for epoch in (3, 0)] == [14, 2]


def test_a_source_without_samples_is_no_endless_search() -> None:
    class Empty(Numbered):
        def size(self, epoch: int) -> int:
            return 0

    assert Stream(Empty(), seed=0).epoch_end(0) == 0
    with pytest.raises(ValueError, match="no samples"):
        Stream(Empty(), seed=0).epoch_of(0)


def test_two_threads_count_epochs_as_one_does() -> None:
    stream = Stream(Numbered(), seed=0)
    threads = [threading.Thread(target=stream.epoch_of, args=(400,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [stream.epoch_end(epoch) for epoch in range(20)] == np.cumsum(np.arange(20) + 2).tolist()


def test_ahead_gives_the_items_in_order_and_ends() -> None:
    ahead = Ahead(iter(range(20)), depth=3)
    assert list(ahead) == list(range(20))
    ahead.close()


def test_an_error_comes_in_its_turn() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise ZeroDivisionError("of the producer")

    ahead = Ahead(broken(), depth=4)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(ZeroDivisionError, match="of the producer"):
        next(ahead)
    ahead.close()


def test_ahead_works_no_further_ahead_than_told_and_close_ends_its_thread() -> None:
    made: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            made.append(len(made))
            yield made[-1]

    before = threading.active_count()
    ahead = Ahead(endless(), depth=2)
    next(ahead)
    time.sleep(0.05)
    assert len(made) <= 4
    ahead.close()
    assert threading.active_count() == before

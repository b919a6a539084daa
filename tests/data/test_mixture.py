"""Texts are mixed in exact quotas, each goes on from block to block, and stages follow each other; all found from a sample's number alone."""

import numpy as np
import pytest

from bertwright.data.mixture import BLOCK, Mixture, quotas
from bertwright.data.samples import IntArray, Samples
from bertwright.data.stages import Stage, Staged
from bertwright.data.stream import Stream


class Marked:
    """`size` samples an epoch of so many tokens; the ids of each say its text, epoch and number."""

    def __init__(self, mark: int, size: int, *, length: int = 4) -> None:
        self.mark, self.count, self.length = mark, size, length

    def size(self, epoch: int) -> int:
        return self.count

    def take(self, epoch: int, numbers: IntArray) -> Samples:
        assert len(numbers)
        ids = np.zeros((len(numbers), self.length), dtype=np.int64)
        ids[:, 0], ids[:, 1], ids[:, 2] = self.mark, epoch, numbers
        sequences = np.zeros_like(ids) if self.mark else None
        return Samples(ids=ids, lengths=np.full(len(numbers), self.length), sequences=sequences)


def mixture(*, seed: int = 3) -> Mixture:
    streams = {name: Stream(Marked(mark, size), seed=seed + mark) for mark, (name, size) in enumerate([("wiki", 300), ("books", 5000), ("rare", 40)])}
    return Mixture(streams, [0.7, 0.25, 0.05], seed=seed)


@pytest.mark.parametrize("shares", [[1.0], [0.7, 0.3], [1 / 3, 1 / 3, 1 / 3], [0.999, 0.001], [0.1] * 10, [0.2505, 0.7495]])
def test_quotas_are_the_shares_of_a_block(shares: list[float]) -> None:
    found = quotas(shares)
    assert found.sum() == BLOCK
    assert np.abs(found - np.array(shares) * BLOCK).max() < 1


def test_a_share_too_small_for_a_block_is_no_share() -> None:
    with pytest.raises(ValueError, match="do not divide"):
        quotas([0.9999, 0.0001])


def test_every_block_holds_exactly_the_quotas_and_each_text_goes_on_where_it_was() -> None:
    samples, keys, numbers = mixture().take(0, 4 * BLOCK)
    marks = samples.ids[:, 0].reshape(4, BLOCK)
    for block in marks:
        assert np.bincount(block).tolist() == [700, 250, 50]
    assert not np.array_equal(marks[0], marks[1]), "every block has the same order"
    assert len(set(map(tuple, marks[0].reshape(-1, 10).tolist()))) > 20, "texts do not alternate at random"
    for mark, size in enumerate((300, 5000, 40)):
        own = samples.ids[samples.ids[:, 0] == mark]
        assert (own[:, 1] * size + own[:, 2]).tolist() == list(range(len(own)))
    assert numbers.tolist() == list(range(4 * BLOCK))
    assert len(set(keys.tolist())) == len(keys), "two samples share a key"


@pytest.mark.parametrize("first", [0, 1, 998, 1003, 2500])
def test_any_part_is_that_part_of_the_whole(first: int) -> None:
    whole, keys, _ = mixture().take(0, 4000)
    part, own_keys, numbers = mixture().take(first, first + 1100)
    assert np.array_equal(part.ids, whole.ids[first : first + 1100])
    assert np.array_equal(own_keys, keys[first : first + 1100])
    assert numbers[0] == first
    single, _, _ = mixture().take(first, first + 1)
    assert np.array_equal(single.ids, whole.ids[first : first + 1])


def test_the_order_hangs_on_the_seed() -> None:
    assert not np.array_equal(mixture(seed=3).take(0, 50)[0].ids[:, 0], mixture(seed=4).take(0, 50)[0].ids[:, 0])


@pytest.mark.parametrize("number", [0, 1, 700, 1000, 2345])
def test_epochs_are_counted_for_each_text(number: int) -> None:
    mixed = mixture()
    marks = mixed.take(0, 2400)[0].ids[:number, 0]
    seen = [(marks == mark).sum() for mark in range(3)]
    assert mixed.epochs(number) == pytest.approx({"wiki": seen[0] / 300, "books": seen[1] / 5000, "rare": seen[2] / 40})
    assert mixed.epoch_of(number) == seen[0] // 300
    assert mixed.passes(number) == pytest.approx(seen[0] / 300)


@pytest.mark.parametrize("passes", [0.5, 1.0, 2.0, 7.0])
def test_passes_end_at_the_sample_that_is_their_last(passes: float) -> None:
    mixed = mixture()
    end = int(mixed.sample_at(passes))
    assert mixed.passes(end) == pytest.approx(passes)
    assert mixed.passes(end - 1) < passes


def staged() -> Staged:
    return Staged([Stage(0, 4, Stream(Marked(0, 30), seed=1)), Stage(100, 6, Stream(Marked(1, 20, length=6), seed=2)), Stage(150, 8, mixture())])


def test_stages_follow_each_other_each_from_its_own_beginning() -> None:
    stages = staged()
    samples, _, numbers = stages.take(90, 100)
    assert samples.ids[:, 1:3].tolist() == [[3, number] for number in range(10)]
    assert numbers.tolist() == list(range(90, 100))
    samples, _, numbers = stages.take(100, 130)
    assert samples.ids.shape[1] == 6
    assert samples.ids[:, 2].tolist() == [*range(20), *range(10)]
    assert numbers.tolist() == list(range(100, 130))
    with pytest.raises(ValueError, match="two stages"):
        stages.take(99, 101)


def test_passes_add_up_over_stages() -> None:
    stages = staged()
    assert [stages.passes(number) for number in (0, 30, 100, 110, 150)] == pytest.approx([0, 1, 100 / 30, 100 / 30 + 0.5, 100 / 30 + 2.5])
    assert [stages.epoch_of(number) for number in (0, 29, 30, 100, 115)] == [0, 0, 1, 3, 4]
    assert stages.epochs(151).keys() == {"wiki", "books", "rare"}
    for passes in (0.5, 3.0, 4.0, 7.0):
        assert stages.passes(int(np.ceil(stages.sample_at(passes)))) == pytest.approx(passes, abs=0.06)

"""What a fine-tuning reads: every item once an epoch, in batches of like length, the same ones however it is cut."""

from typing import Any

import numpy as np
import pytest

from bertwright.data.samples import IntArray
from bertwright.tasks.regression import Regression
from bertwright.tasks.task import Item, Reading, Row
from bertwright.training.labelled_source import SORTED_TOGETHER, LabelledItems

SIZE = 8


def source(lengths: IntArray | int, *, seed: int = 1, batch_size: int = SIZE) -> LabelledItems:
    """Items of these lengths, or so many of one length; their targets are their numbers."""
    lengths = np.full(lengths, 4) if isinstance(lengths, int) else lengths
    items = [Item((Row([7] * length),), float(number), number) for number, length in enumerate(lengths.tolist())]
    return LabelledItems(Regression(), items, Reading(pad_id=0, types=1, limit=None), batch_size=batch_size, seed=seed)


def epoch(items: LabelledItems, number: int) -> IntArray:
    return items.take(number, np.arange(items.size(number))).ids[:, 0]


def lengths_of(count: int) -> IntArray:
    """From 3 to 80, most of them short, as those of sentences are."""
    return np.clip(np.random.default_rng(0).lognormal(2.6, 0.6, count), 3, 80).astype(np.int64)


def mean_range(items: LabelledItems, order: IntArray) -> float:
    """The mean of each batch's longest row less its shortest."""
    whole = items.lengths[order[: len(order) // SIZE * SIZE]].reshape(-1, SIZE)
    return float((whole.max(1) - whole.min(1)).mean())


@pytest.mark.parametrize("total", [1, 2, 7, 8, 9, 15, 16, 17, 100, 255, 256, 257, 300, 600, 1025])
@pytest.mark.parametrize("batch_size", [1, 8, 32])
def test_every_item_comes_once_an_epoch(total: int, batch_size: int) -> None:
    items = source(lengths_of(total), batch_size=batch_size)
    assert items.size(0) == total
    for number in (0, 1, 2, 7):
        assert sorted(epoch(items, number).tolist()) == list(range(total))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    items = source(400)
    orders = [epoch(items, 0), epoch(items, 1), epoch(source(400, seed=2), 0), np.arange(400)]
    for place, one in enumerate(orders):
        for other in orders[:place]:
            assert (one == other).mean() < 0.05
            assert not {frozenset(batch) for batch in one.reshape(-1, SIZE).tolist()} & {frozenset(batch) for batch in other.reshape(-1, SIZE).tolist()}
    assert np.array_equal(epoch(source(400), 1), orders[1])


def test_items_of_one_length_are_drawn_at_random() -> None:
    """A batch's rows stand apart in the file, however it is sorted."""
    gaps = np.abs(np.diff(epoch(source(2000), 0)))
    assert gaps.mean() == pytest.approx(2000 / 3, rel=0.1)


def test_batches_are_alike_in_length() -> None:
    items = source(lengths_of(2048))
    chance = mean_range(items, np.random.default_rng(1).permutation(2048))
    for number in (0, 1, 5):
        assert mean_range(items, epoch(items, number)) < chance / 5


def test_batches_of_a_window_do_not_come_by_length() -> None:
    items = source(lengths_of(SIZE * SORTED_TOGETHER))
    means = items.lengths[epoch(items, 0)].reshape(-1, SIZE).mean(1)
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5


def test_the_rows_that_share_a_batch_with_the_next_epoch_are_any_rows() -> None:
    """Sorted ones would be the longest, each time: 7 rows over of 103, whose mean length must be that of all."""
    lengths = lengths_of(103)
    means = []
    for seed in range(150):
        items = source(lengths, seed=seed)
        means.append(items.lengths[epoch(items, 0)[-7:]].mean())
    noise = lengths.std() / np.sqrt(7 * 150)
    assert abs(np.mean(means) - lengths.mean()) < 4 * noise
    assert np.std(means) == pytest.approx(lengths.std() / np.sqrt(7), rel=0.25)


def test_little_is_padded_across_epochs() -> None:
    """Of the places that batches of random rows pad, batches by length pad a sixth, those that span two epochs among them."""
    items = source(lengths_of(1030))
    read = np.concatenate([epoch(items, number) for number in range(8)])

    def padding(order: IntArray) -> float:
        rows = items.lengths[order].reshape(-1, SIZE)
        return float((rows.max(1, keepdims=True) - rows).sum() / rows.sum())

    assert padding(read) < padding(np.random.default_rng(1).permutation(read)) / 6
    assert padding(read) < 0.1


@pytest.mark.parametrize("micro", [1, 3, 5, 8])
def test_a_sample_is_the_same_in_whatever_part_of_a_batch(micro: int) -> None:
    items = source(lengths_of(50))
    whole = items.take(1, np.arange(8, 16)).ids[:, 0].tolist()
    found = []
    for begin in range(8, 16, micro):
        numbers = np.arange(begin, min(begin + micro, 16))
        batch: Any = items.batch(items.take(1, numbers), np.zeros(len(numbers), dtype=np.uint64), numbers)
        assert batch.weights == {"loss": float(len(numbers))}
        assert batch.mask.sum(1).tolist() == items.lengths[batch.targets["labels"].long().numpy()].tolist()
        found += batch.targets["labels"].tolist()
    assert found == whole


def test_any_order_of_asking_gives_the_same_samples() -> None:
    """Reading ahead, or starting again in the middle of a later epoch."""
    straight, jumping, some = source(lengths_of(50)), source(lengths_of(50)), np.array([5, 40])
    forward = [straight.take(number, some).ids.tolist() for number in range(6)]
    assert [jumping.take(number, some).ids.tolist() for number in (5, 0, 4, 1, 3, 2)] == [forward[number] for number in (5, 0, 4, 1, 3, 2)]

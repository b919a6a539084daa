"""Rows are cut to what they hold, and get the simplest layout that tells their tokens apart."""

import dataclasses

import numpy as np
import pytest
import torch

from bertwright.blocks.layout import Packed, Padded
from bertwright.data.batch import Batch, layout_of, shown_length
from bertwright.data.samples import Samples
from bertwright.tasks.task import TaskBatch


def samples(lengths: list[int], width: int, *, sequences: bool = False) -> Samples:
    ids = np.where(np.arange(width) < np.array(lengths)[:, None], 7, 0)
    return Samples(ids=ids, lengths=np.array(lengths), sequences=np.zeros_like(ids) if sequences else None)


@pytest.mark.parametrize(("lengths", "width", "shown"), [([3, 9], 32, 16), ([16], 32, 16), ([17], 20, 20), ([5], 5, 5), ([32, 1], 32, 32)])
def test_rows_are_cut_to_the_longest_rounded_up_and_never_beyond_what_they_have(lengths: list[int], width: int, shown: int) -> None:
    assert shown_length(samples(lengths, width)) == shown


def test_full_rows_need_no_mask_shorter_ones_do_and_packed_ones_say_who_is_where() -> None:
    full = layout_of(samples([8, 8], 12), 8)
    assert isinstance(full, Padded)
    assert full.mask is None
    shorter = layout_of(samples([8, 3], 12), 8)
    assert isinstance(shorter, Padded)
    assert shorter.mask is not None
    assert shorter.mask.tolist() == [[True] * 8, [True] * 3 + [False] * 5]
    packed = layout_of(samples([8, 3], 12, sequences=True), 8)
    assert isinstance(packed, Packed)
    assert packed.sequences.shape == (2, 8)


def test_a_batch_cannot_be_changed_and_stays_where_it_is_on_a_cpu() -> None:
    batch = Batch(input_ids=torch.zeros(1, 4, dtype=torch.long), layout=Padded(), numbers=np.arange(1), tokens=4, weights={})
    assert batch.to(torch.device("cpu")) is batch
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch.tokens = 5  # type: ignore[misc]  # which is what is tested


def test_every_tensor_of_a_batch_moves() -> None:
    ids = torch.zeros(1, 4, dtype=torch.long)
    packed = Batch(input_ids=ids, layout=Packed(ids), numbers=np.arange(1), tokens=4, weights={}, prediction_labels=ids[0])
    items = TaskBatch(input_ids=ids, layout=Padded(ids.bool()), numbers=np.arange(1), tokens=4, weights={}, mask=ids.bool(), targets={"labels": ids[0]})
    for batch, count in ((packed, 4), (items, 4)):
        moved: list[torch.Tensor] = []
        batch.each(lambda tensor, moved=moved: moved.append(tensor) or tensor)
        assert len(moved) == count
    meta = items.to(torch.device("meta"))
    assert {meta.input_ids.device.type, meta.mask.device.type, meta.targets["labels"].device.type, meta.layout.mask.device.type} == {"meta"}

"""Batches for a GPU are copied from memory that it can read while both go on; a CPU's stay where they are."""

import pytest
import torch

from bertwright.data.batch import Batch
from bertwright.data.stream import Stream
from bertwright.training.config import PretrainConfig
from bertwright.training.course import Course
from bertwright.training.devices import Device
from bertwright.training.feed import updates
from bertwright.training.fit import LabelledRows
from bertwright.training.schedule import Progress


@pytest.mark.parametrize(("device", "pinned"), [("cuda", 2), ("cpu", 0)])
def test_batches_for_a_gpu_are_pinned_where_they_are_made(device: str, pinned: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Batch] = []
    monkeypatch.setattr(Batch, "pinned", lambda self: asked.append(self) or self)
    rows = LabelledRows([[5, 6, 7], [8, 9], [10, 11], [12]], [1.0, 2.0, 3.0, 4.0], pad_id=0, loss=lambda model, batch: torch.zeros(()))
    course = Course.of(PretrainConfig(batch_size=4, micro_batch_size=2))
    made = next(updates(Stream(rows, seed=0), rows, course, Device(torch.device(device), torch.float32), first=Progress()))
    assert len(made) == 2
    assert len(asked) == pinned

"""What a classification tells of each update beside its loss: the share of rows that it gets right while it learns."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bertwright.tasks.classification import Classification
from bertwright.tasks.task import Item, Reading, Row

READING = Reading(pad_id=0, types=1, limit=None)


class Fixed(nn.Module):
    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, *given: Any, **asked: Any) -> Any:
        return SimpleNamespace(logits=self.logits)


@pytest.mark.parametrize("r_drop", [0.0, 1.0])
@pytest.mark.parametrize(
    ("several", "targets", "logits", "right"),
    [
        (False, [0, 1, 1], [[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]], 2),
        (True, [[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], [[2.0, -1.0], [1.0, -3.0], [-1.0, -2.0]], 2),
    ],
)
def test_right_rows_are_counted_and_are_no_part_of_the_loss(several: bool, targets: list[Any], logits: list[list[float]], right: int, r_drop: float) -> None:
    task = Classification(labels=("a", "b"), several=several, r_drop=r_drop, weights=(3.0, 0.5))
    items = [Item((Row([5, 6]),), target, number) for number, target in enumerate(targets)]
    batch = task.batch(items, numbers=np.arange(3), reading=READING)
    losses = task.losses(Fixed(logits), batch)
    assert losses.keys() == batch.weights.keys() == set(task.terms)
    assert (losses["accuracy"].sum.item(), batch.weights["accuracy"], losses["accuracy"].trained) == (right, 3.0, False)
    assert losses["loss"].trained

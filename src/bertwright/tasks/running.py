"""A task's items through a model, longest first, so that no row is padded much."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from bertwright.data.batching import batches
from bertwright.tasks.task import Item, Reading, Task

# Padded tokens a pass: enough to keep a device busy, few enough that the activations stay in its caches.
TOKENS = 4096


@torch.inference_mode()
def run(
    task: Task, model: nn.Module, items: Sequence[Item], reading: Reading, *, tokens: int = TOKENS, passed: Callable[[int], None] | None = None
) -> list[Any]:
    """The task's output for each item, in the items' order; the model is in evaluation mode meanwhile. passed: told how many items a pass took."""
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    found: list[Any] = [None] * len(items)
    try:
        for chosen in batches([item.length * len(item.rows) for item in items], tokens=tokens):
            batch = task.batch([items[number] for number in chosen], numbers=np.array(chosen), reading=reading)
            for number, output in zip(chosen, task.outputs(model, batch.to(device)), strict=True):
                found[number] = output
            if passed is not None:
                passed(len(chosen))
    finally:
        model.train(was_training)
    return found

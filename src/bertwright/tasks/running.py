"""A task's items through a model, longest first, so that no row is padded much."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from bertwright.data.batching import batches
from bertwright.tasks.passes import cores, each
from bertwright.tasks.task import Item, Reading, Task

# Padded tokens a pass: enough to keep a device busy, few enough that the activations stay in its caches. On a CPU a pass has a core to itself.
CPU_TOKENS = 1024
TOKENS = 32768


@dataclass(frozen=True, kw_only=True)
class Apart:
    """The distinct rows of some items, each an item of its own; places: of each item's rows, which ones they are."""

    items: list[Item]
    places: list[tuple[int, ...]]

    def together(self, outputs: Sequence[Any]) -> list[Any]:
        """The outputs, [1, size] each, of the items that the rows came from: [rows, size]."""
        return [np.concatenate([outputs[place] for place in places]) for places in self.places]


@runtime_checkable
class ReadsApart(Protocol):
    """A task whose rows are read each by itself, so that equal ones need be read only once, among others of their own length."""

    def apart(self, items: Sequence[Item]) -> Apart:
        """The distinct rows of the items."""


def run(
    task: Task, model: nn.Module, items: Sequence[Item], reading: Reading, *, tokens: int | None = None, passed: Callable[[int], None] | None = None
) -> list[Any]:
    """The task's output for each item, in the items' order; the model is in evaluation mode meanwhile.

    tokens: at most so many a pass, padding included; by default what suits the device. passed: told how many items a pass took.
    """
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    apart = task.apart(items) if isinstance(task, ReadsApart) else None
    read = items if apart is None else apart.items
    # Passes of a CPU have few different lengths to share, and every place of padding costs its part.
    reading = replace(reading, step=1) if device.type == "cpu" else reading

    def work(chosen: list[int]) -> tuple[list[int], list[Any]]:
        with torch.inference_mode():
            batch = task.batch([read[number] for number in chosen], numbers=np.array(chosen), reading=reading)
            return chosen, task.outputs(model, batch.to(device))

    passes = list(batches([item.length * len(item.rows) for item in read], tokens=tokens or (CPU_TOKENS if device.type == "cpu" else TOKENS)))
    found: list[Any] = [None] * len(read)
    done = 0
    try:
        for chosen, outputs in each(work, passes, side_by_side=cores(device)):
            for number, output in zip(chosen, outputs, strict=True):
                found[number] = output
            before, done = done, done + len(chosen)
            if passed is not None:
                passed(done * len(items) // len(read) - before * len(items) // len(read))
    finally:
        model.train(was_training)
    return found if apart is None else apart.together(found)

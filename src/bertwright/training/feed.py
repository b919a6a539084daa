"""The batches of a training, made ahead of the device, in passes that fit into its memory."""

import time
from collections.abc import Iterator

import torch

from bertwright.data.batch import Batch
from bertwright.data.stream import Ahead, SampleStream
from bertwright.errors import OutOfMemory
from bertwright.objectives.objective import Trainable
from bertwright.training.course import Course
from bertwright.training.devices import Device
from bertwright.training.schedule import Progress

# Batches made ahead of the device.
AHEAD = 4


def updates(stream: SampleStream, objective: Trainable, course: Course, device: Device, *, first: Progress) -> Iterator[list[Batch]]:
    """This process' micro-batches of each update, after `first`, without end."""
    step, sample = first.step, first.samples
    while True:
        total, micro = course.size(step), course.at_once(sample)
        share = total // device.world_size
        start = sample + device.rank * share
        batches = [objective.batch(*stream.take(begin, min(begin + micro, start + share))) for begin in range(start, start + share, micro)]
        yield [batch.pinned() for batch in batches] if device.device.type == "cuda" else batches
        step, sample = step + 1, sample + total


class Feed:
    """The micro-batches of one update after the other, from `first` on. waited: seconds that the last ones were waited for."""

    def __init__(self, stream: SampleStream, objective: Trainable, course: Course, device: Device, *, first: Progress) -> None:
        self.stream, self.objective, self.course, self.device = stream, objective, course, device
        self._ahead, self.waited = self._from(first), 0.0

    def _from(self, first: Progress) -> Ahead[list[Batch]]:
        return Ahead(updates(self.stream, self.objective, self.course, self.device, first=first), depth=AHEAD)

    def next(self) -> list[Batch]:
        """Those of the next update."""
        began = time.monotonic()
        found = next(self._ahead)
        self.waited = time.monotonic() - began
        return found

    def halve(self, first: Progress, error: OutOfMemory) -> int:
        """Begins again after `first` with half as many sequences a pass, and says how many. Raises the error with its mend where there is nothing to halve."""
        rows = self.course.at_once(first.samples)
        if rows == 1 or not self.objective.decomposes:
            why = "with one sequence a pass" if rows == 1 else "and this objective needs a batch as one pass"
            raise OutOfMemory(f"out of memory {why}: give --gradient_checkpointing, shorter rows, a smaller batch_size or a smaller model ({error})") from None
        self.close()
        self.course = self.course.halved()
        if self.device.device.type == "cuda":
            torch.cuda.empty_cache()
        self._ahead = self._from(first)
        return self.course.at_once(first.samples)

    def close(self) -> None:
        """Ends what makes batches ahead."""
        self._ahead.close()

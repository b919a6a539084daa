"""A task's items as the samples and the objective of a training, in batches of like length."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from torch import nn

from bertwright.architecture import HeadKind
from bertwright.data import keys as draws
from bertwright.data.batch import Batch
from bertwright.data.keys import KeyArray
from bertwright.data.samples import IntArray, Samples, Source, Vocabulary
from bertwright.data.shards import Split
from bertwright.objectives.objective import Losses, Trainable
from bertwright.tasks.task import Item, Reading, Task, TaskBatch

# Batches among which rows are sorted by length: enough that a batch's rows are alike, few enough that an epoch's order stays random.
SORTED_TOGETHER = 32


class LabelledItems:
    """The items of a task, each once an epoch, and what is trained for with them.

    An epoch's order is a permutation keyed by seed and epoch, in which every 32 batches are sorted by length, cut into batches and shuffled as batches;
    a batch may span epochs, and then holds rows that were drawn at random from the one and the other.
    """

    segments: int = 0
    simpler: Trainable | None = None

    def __init__(self, task: Task, items: Sequence[Item], reading: Reading, *, batch_size: int, seed: int) -> None:
        self.task, self.items, self.reading, self.batch_size, self.seed = task, items, reading, batch_size, seed
        self.lengths = np.array([item.length for item in items], dtype=np.int64)
        self._order = lru_cache(maxsize=2)(self._order_of)

    @property
    def heads(self) -> tuple[HeadKind, ...]:
        return self.task.heads

    @property
    def terms(self) -> tuple[str, ...]:
        return self.task.terms

    @property
    def decomposes(self) -> bool:
        return self.task.decomposes

    def source(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> Source:
        """Itself: its samples are its own items, whatever the shards hold."""
        return self

    def size(self, epoch: int) -> int:
        return len(self.items)

    def take(self, epoch: int, numbers: IntArray) -> Samples:
        """Samples whose one id is the item's number."""
        chosen = self._order(epoch)[numbers]
        return Samples(ids=chosen[:, None], lengths=np.ones(len(chosen), dtype=np.int64))

    def _order_of(self, epoch: int) -> IntArray:
        size, total = self.batch_size, len(self.items)
        order = draws.permutation(total, draws.key_of(self.seed, epoch))
        # The first ones complete the batch that the epoch before began.
        start = min(-epoch * total % size, total)
        parts = [order[:start]]
        for window, begin in enumerate(range(start, total, size * SORTED_TOGETHER)):
            among = order[begin : begin + size * SORTED_TOGETHER]
            whole = len(among) // size
            # Taken before they are sorted: the longest ones would share their batch with the next epoch's rows, in every epoch.
            among, rest = among[: whole * size], among[whole * size :]
            among = among[np.argsort(self.lengths[among], kind="stable")]
            shuffled = draws.permutation(whole, draws.key_of(self.seed, epoch, draws.ROWS, window))
            parts += [among.reshape(whole, size)[shuffled].reshape(-1), rest]
        return np.concatenate(parts)

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> Batch:
        return self.task.batch([self.items[number] for number in samples.ids[:, 0].tolist()], numbers=numbers, reading=self.reading)

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        if not isinstance(batch, TaskBatch):
            raise ValueError("this batch has no targets")
        return self.task.losses(model, batch)

"""Any module, trained on labelled rows with the project's loop: what stands on an encoder may be the user's own."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bertwright.architecture import HeadKind
from bertwright.blocks.layout import Padded
from bertwright.data import keys as draws
from bertwright.data.batch import Batch, shown_length
from bertwright.data.keys import KeyArray
from bertwright.data.samples import IntArray, Samples, Source, Vocabulary
from bertwright.data.shards import Split
from bertwright.data.stream import Stream
from bertwright.errors import InputError
from bertwright.objectives.objective import Losses, Term, Trainable
from bertwright.training.config import PretrainConfig
from bertwright.training.devices import device_of_this_process
from bertwright.training.events import Observer, Watchers
from bertwright.training.loop import Loop
from bertwright.training.schedule import budget_of
from bertwright.training.signals import Signals
from bertwright.training.state import TrainState
from bertwright.training.step import Updater

# The largest of the rates that fine-tuning is tried with (Devlin et al. 2018, appendix A.3), and its middle batch size.
LEARNING_RATE, BATCH_SIZE = 5e-5, 32


@dataclass(frozen=True, kw_only=True)
class LabelledBatch(Batch):
    """A batch with its rows' labels. mask: bool [batch, length], true on real tokens; labels: [batch, ...]."""

    mask: Tensor
    labels: Tensor


class LabelledRows:
    """Rows of ids, each with a label, as samples and as what is trained for. Every epoch has an order of its own.

    rows: ids of each text, special tokens included; labels: an array or list with one entry a row (numbers, or rows of numbers), floats as float32;
    pad_id: what shorter rows are filled up with. loss: (model, LabelledBatch) -> the sum over the batch's rows, a tensor of one number; the loop divides
    by the rows.
    Raises InputError where rows and labels do not pair up, or there are none.
    """

    heads: tuple[HeadKind, ...] = ()
    terms: tuple[str, ...] = ("loss",)
    segments: int = 0
    decomposes: bool = True
    simpler: Trainable | None = None

    def __init__(self, rows: Sequence[Sequence[int]], labels: Any, *, pad_id: int, loss: Callable[[nn.Module, LabelledBatch], Tensor], seed: int = 0) -> None:
        given = np.asarray(labels)
        self.labels = torch.from_numpy(given.astype(np.float32) if given.dtype.kind == "f" else given)
        if len(rows) != len(self.labels):
            raise InputError(f"there are {len(rows)} rows and {len(self.labels)} labels: give one label for each row")
        if not all(len(row) for row in rows) or not rows:
            raise InputError("there is a row without ids, or no row: give each at least one")
        self.lengths = np.array([len(row) for row in rows], dtype=np.int64)
        self.ids = np.full((len(rows), self.lengths.max()), pad_id, dtype=np.int64)
        for number, row in enumerate(rows):
            self.ids[number, : len(row)] = row
        self.score = loss
        self._order = lru_cache(maxsize=2)(lambda epoch: draws.permutation(len(rows), draws.key_of(seed, epoch)))

    def source(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> Source:
        """Itself: its samples are its own rows, whatever the shards hold."""
        return self

    def size(self, epoch: int) -> int:
        return len(self.ids)

    def take(self, epoch: int, numbers: IntArray) -> Samples:
        chosen = self._order(epoch)[numbers]
        return Samples(ids=self.ids[chosen], lengths=self.lengths[chosen])

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> LabelledBatch:
        length = shown_length(samples)
        mask = torch.from_numpy(np.arange(length) < samples.lengths[:, None])
        chosen = np.array([self._order(number // len(self.ids))[number % len(self.ids)] for number in numbers.tolist()])
        return LabelledBatch(
            input_ids=torch.from_numpy(samples.ids[:, :length].copy()),
            layout=Padded(mask),
            mask=mask,
            labels=self.labels[torch.from_numpy(chosen)],
            weights={"loss": float(len(numbers))},
            numbers=numbers,
            tokens=int(samples.lengths.sum()),
        )

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        if not isinstance(batch, LabelledBatch):
            raise ValueError("this batch has no labels")
        return {"loss": Term(self.score(model, batch))}


def fit(model: nn.Module, objective: Trainable, *, config: PretrainConfig, source: Source | None = None, observers: Sequence[Observer] = ()) -> TrainState:
    """Trains any module in place, and leaves it in float32 and in the mode that it had. What has `requires_grad` false stays as it is, bit for bit.

    objective: what is trained for; source: its samples, which `LabelledRows` holds itself. config: the keys of pre-training; left out are one epoch, 32 rows a
    step, a rate of 5e-5 and float32. Those about a model, shards, objective, evaluation and run folder are not read, and nothing is written. observers: called
    with every training event. After an exception, Ctrl-C too, the module has the weights of the last step. Returns how far it went.
    Raises InputError for a config that cannot stand or a module without anything to train, NonFiniteError where the loss is no number.
    """
    if problems := config.problems():
        raise InputError(*problems)
    if source is None:
        if not isinstance(objective, LabelledRows):
            raise ValueError("this objective has no samples of its own: give the source")
        source = objective
    device = device_of_this_process(bf16=bool(config.bf16), fp16=config.fp16)
    resolved = _resolve(config, processes=device.world_size)
    modes = {module: module.training for module in model.modules()}
    updater = Updater.of(model.to(device.device), objective, resolved, device)
    stream = Stream(source, seed=config.seed)
    loop = Loop(
        updater=updater,
        stream=stream,
        config=resolved,
        budget=budget_of(resolved, stream.sample_at),
        device=device,
        signals=Signals(),
        evaluations=1,
        evaluate=dict,
        save=lambda state, best: None,
        tell=Watchers(observers if device.leads else ()),
    )
    try:
        model.train()
        return loop.run(TrainState())
    finally:
        updater.parameters.give_back()
        for module, mode in modes.items():
            module.training = mode


def _resolve(config: PretrainConfig, *, processes: int) -> PretrainConfig:
    rows, rate = config.batch_size or BATCH_SIZE, config.learning_rate or LEARNING_RATE
    if rows % processes:
        raise InputError(f"batch_size {rows} is not divisible by {processes} processes: take a multiple of {processes}")
    share = rows // processes
    return dataclasses.replace(
        config,
        batch_size=rows,
        micro_batch_size=min(config.micro_batch_size or share, share),
        learning_rate=rate,
        muon_learning_rate=config.muon_learning_rate or rate,
    )

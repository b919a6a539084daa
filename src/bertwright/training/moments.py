"""The moments of a training, told as it passes them: its begin and end, and those of each epoch and batch."""

from bertwright.data.stream import SampleStream
from bertwright.training.events import Watchers
from bertwright.training.schedule import Progress
from bertwright.training.state import TrainState
from bertwright.training.step import StepResult


class Moments:
    """What a loop passes. Epochs are numbered from 0; one that is cut off by the training's end ends with it."""

    def __init__(self, watchers: Watchers, stream: SampleStream) -> None:
        self.watchers, self.stream = watchers, stream
        self.epoch: int | None = None
        self.watched = watchers.hear_of_moments()

    def train_begin(self, state: TrainState) -> None:
        """Nothing is done yet, or everything that a checkpoint holds."""
        progress = state.progress
        self.watchers.tell("train_begin", progress.step, samples=progress.samples, tokens=progress.tokens, seconds=progress.seconds)

    def batch_begin(self, progress: Progress) -> None:
        """An update is about to be made, perhaps the first of its epoch."""
        if not self.watched:
            return
        epoch = self.stream.epoch_of(progress.samples)
        if epoch != self.epoch:
            self.watchers.tell("epoch_begin", progress.step + 1, epoch=epoch)
        self.epoch = epoch
        self.watchers.tell("batch_begin", progress.step + 1, epoch=epoch, samples=progress.samples)

    def batch_end(self, progress: Progress, result: StepResult) -> None:
        """An update has been made; nothing that follows it is done yet."""
        if not self.watched or self.epoch is None:
            return
        terms = {f"{name}_loss": value for name, value in result.terms.items()}
        told = {"epoch": self.epoch, "loss": result.loss, **terms, **result.told, "grad_norm": result.grad_norm, "tokens": result.tokens}
        self.watchers.tell("batch_end", progress.step, **told)

    def step_over(self, state: TrainState) -> None:
        """All that belongs to the last update is done; perhaps its epoch is."""
        if self.watched and self.epoch is not None and self.stream.epoch_of(state.progress.samples) != self.epoch:
            self._epoch_end(state)

    def train_end(self, state: TrainState) -> None:
        """The last checkpoint is written."""
        progress = state.progress
        self._epoch_end(state)
        self.watchers.tell("train_end", progress.step, samples=progress.samples, tokens=progress.tokens, seconds=progress.seconds, **state.metrics)

    def _epoch_end(self, state: TrainState) -> None:
        if self.epoch is not None:
            self.watchers.tell("epoch_end", state.progress.step, epoch=self.epoch, **state.metrics)
        self.epoch = None

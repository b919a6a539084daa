"""The training loop. It reads like the sentence that describes it, and knows no objective by name."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from bertwright.data.stream import SampleStream
from bertwright.errors import Interrupted, OutOfMemory
from bertwright.training.course import Course
from bertwright.training.devices import Device
from bertwright.training.events import Event, Watchers
from bertwright.training.feed import Feed
from bertwright.training.moments import Moments
from bertwright.training.schedule import Budget, Progress, Schedule
from bertwright.training.settings import TrainingConfig
from bertwright.training.signals import Signals
from bertwright.training.state import TrainState
from bertwright.training.step import StepResult, Updater

# Under long budgets a checkpoint is written at least this often, in seconds.
SAVE_AT_LEAST = 900.0


@dataclass(frozen=True)
class Rhythm:
    """When something is due: every `count` steps, at each epoch's end, or `times` times in the budget."""

    every: int | str | None
    times: int

    def due(self, before: Progress, after: Progress, budget: Budget, stream: SampleStream) -> bool:
        """Whether the step from `before` to `after` passed such a point."""
        if isinstance(self.every, int):
            return after.step % self.every == 0
        if self.every == "epoch":
            return stream.epoch_of(before.samples) != stream.epoch_of(after.samples)
        return int(before.fraction(budget) * self.times) != int(after.fraction(budget) * self.times)


def loss_of(metrics: dict[str, float]) -> float:
    """The usual judge of an evaluation: its loss."""
    return metrics["eval_loss"]


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Everything a run needs to go from a state to its budget's end, or to where evaluations no longer get better.

    evaluate, save: the run's own; there is nothing to be judged in an empty evaluation. judge: what makes one evaluation better than another, lower is better.
    patience: evaluations without a better one after which training ends; None: never. schedule: of the learning rate, and course:
    what an update takes, where they are not the config's own. measure_first: evaluate before the first step, too, which is told and judged by nobody.
    """

    updater: Updater
    stream: SampleStream
    config: TrainingConfig
    budget: Budget
    device: Device
    signals: Signals
    evaluations: int
    evaluate: Callable[[], dict[str, float]]
    save: Callable[[TrainState, bool], None]
    tell: Watchers
    judge: Callable[[dict[str, float]], float] = loss_of
    patience: int | None = None
    schedule: Schedule | None = None
    course: Course | None = None
    measure_first: bool = False

    def finished(self, state: TrainState) -> bool:
        """Whether nothing is left to do: the budget is used up, or patience is."""
        return state.progress.fraction(self.budget) >= 1 or self._stale(state)

    def run(self, state: TrainState) -> TrainState:
        """Trains until it is finished; the last state is saved. Raises Interrupted, saved, after a signal; NonFiniteError, nothing changed."""
        config, rhythm = self.config, Rhythm(self.config.eval_steps, self.evaluations)
        saving, logging = Rhythm(config.save_steps, self.evaluations), Rhythm(config.logging_steps, 0)
        started, saved_at = time.monotonic() - state.progress.seconds, time.monotonic()
        course = self.course or Course.of(config)
        schedule = self.schedule or Schedule(config.lr_scheduler_type, config.warmup_steps, config.decay_steps)
        last, evaluated, moments = False, -1, Moments(self.tell, self.stream)
        moments.train_begin(state)
        if self.measure_first:
            self._measured(state)
        feed = Feed(self.stream, self.updater.objective, course, self.device, first=state.progress)
        try:
            while not self.finished(state):
                before, began = state.progress, time.monotonic()
                factor = schedule.factor(before, self.budget)
                moments.batch_begin(before)
                result = self._step(feed, before, factor)
                seconds, unsaved, stop = self._agree(time.monotonic() - started, time.monotonic() - saved_at, self.signals.pending)
                progress = Progress(before.step + 1, before.samples + course.size(before.step), before.tokens + result.tokens, seconds)
                state, last = dataclasses.replace(state, progress=progress), progress.fraction(self.budget) >= 1
                moments.batch_end(progress, result)
                if last or progress.step == 1 or logging.due(before, progress, self.budget, self.stream):
                    self._log(progress, result, factor, elapsed=time.monotonic() - began, waited=feed.waited)
                best = False
                if last or rhythm.due(before, progress, self.budget, self.stream):
                    (state, best), evaluated = self._evaluated(state), progress.step
                    last = last or self._stale(state)
                if last or best or stop or unsaved > SAVE_AT_LEAST or saving.due(before, progress, self.budget, self.stream):
                    self.save(state, best)
                    saved_at = time.monotonic()
                moments.step_over(state)
                if stop and not last:
                    moments.train_end(state)
                    raise Interrupted(int(stop), f"stopped by signal {stop:.0f} after step {progress.step}, saved: the same command goes on from there")
                if self.budget.unit == "seconds":  # evaluation and saving are part of the minutes
                    state = dataclasses.replace(state, progress=dataclasses.replace(progress, seconds=self._agree(time.monotonic() - started)[0]))
        finally:
            feed.close()
        if not last:  # evaluating or saving used up the last of the minutes: what is saved must say so
            state, best = (state, False) if evaluated == state.progress.step else self._evaluated(state)
            self.save(state, best)
        moments.train_end(state)
        return state

    def _step(self, feed: Feed, before: Progress, factor: float) -> StepResult:
        """One update, in passes that fit into the memory."""
        while True:
            try:
                return self.updater.step(feed.next(), number=before.step, factor=factor)
            except OutOfMemory as error:
                rows = feed.halve(before, error)
                text = f"out of memory: {rows} {'sequences' if rows > 1 else 'sequence'} a pass from now on, as many an update as before"
                self.tell(Event("note", before.step, {"text": text}))

    def _stale(self, state: TrainState) -> bool:
        return self.patience is not None and state.evaluations_since_best >= self.patience

    def _agree(self, *values: float) -> list[float]:
        """The largest of each value over all processes, so that all of them decide alike."""
        shared: list[float] = self.device.largest(torch.tensor(values, dtype=torch.float64, device=self.device.device)).tolist()
        return shared

    def _log(self, progress: Progress, result: StepResult, factor: float, *, elapsed: float, waited: float) -> None:
        fraction = progress.fraction(self.budget)
        values: dict[str, float | int | str] = {
            "loss": result.loss,
            **{f"{name}_loss": value for name, value in result.terms.items()},
            **result.told,
            "learning_rate": self.updater.optimizers.learning_rate * factor,
            "grad_norm": result.grad_norm,
            "tokens_per_second": result.tokens / max(elapsed, 1e-9),
            "data_wait": waited / max(elapsed, 1e-9),
            "seconds": progress.seconds,
            "samples": progress.samples,
            "tokens": progress.tokens,
            "epoch": self.stream.epoch_of(progress.samples),
            **{f"{name}_epochs": value for name, value in self.stream.epochs(progress.samples).items()},
            "fraction": fraction,
            "seconds_left": (progress.seconds - self.budget.seconds_before) * (1 - fraction) / max(fraction, 1e-9),
        }
        self.tell(Event("train", progress.step, values))

    def _measured(self, state: TrainState) -> dict[str, float]:
        with self.updater.averaged():
            metrics = self.evaluate()
        if metrics:
            self.tell(Event("evaluate", state.progress.step, dict(metrics)))
        return metrics

    def _evaluated(self, state: TrainState) -> tuple[TrainState, bool]:
        if self.updater.average is not None:
            self.updater.average.reached()
        metrics = self._measured(state)
        if not metrics:
            return state, False
        (value,) = self._agree(self.judge(metrics))
        state, best = state.judged(metrics, value)
        if self._stale(state):
            since = f"none of {self.patience} evaluations was better than that of step {state.best_step}" if state.best_step else "no evaluation gave a number"
            self.tell(Event("note", state.progress.step, {"text": f"stopped early after step {state.progress.step}: {since}"}))
        return state, best

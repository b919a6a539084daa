"""What each update takes: how many sequences, and how many of them at once on a device; where rows get longer and batches larger."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bertwright.training.settings import TrainingConfig


@dataclass(frozen=True)
class Course:
    """A pure function of the step, so that a resume needs no more than its number.

    batch_size: sequences an update, over all devices, once the ramp is over; ramp: the number of the first sample of each update of the ramp, and of the one
    after it; rows: (first sample, sequences of a pass on one device) of each stage.
    """

    batch_size: int
    rows: tuple[tuple[int, int], ...]
    ramp: tuple[int, ...] = (0,)

    @classmethod
    def of(cls, config: TrainingConfig) -> "Course":
        """A config's batch size and passes, from the first step to the last."""
        return cls(config.batch_size or 1, ((0, config.micro_batch_size or 1),))

    def first(self, step: int) -> int:
        """The number of the first sample of update `step`, counted from 0."""
        grown = len(self.ramp) - 1
        return self.ramp[step] if step <= grown else self.ramp[-1] + (step - grown) * self.batch_size

    def size(self, step: int) -> int:
        """The sequences of update `step`."""
        return self.first(step + 1) - self.first(step)

    def updates(self, samples: float) -> float:
        """How many updates so many samples are."""
        if samples < self.ramp[-1]:
            return bisect.bisect_left(self.ramp, samples)
        return len(self.ramp) - 1 + (samples - self.ramp[-1]) / self.batch_size

    def at_once(self, sample: int) -> int:
        """The sequences of a pass, in the update that begins with this sample."""
        return self.rows[bisect.bisect_right([first for first, _ in self.rows], sample) - 1][1]

    def halved(self) -> "Course":
        """The same updates in passes of half as many sequences, at least one."""
        return replace(self, rows=tuple((first, max(1, rows // 2)) for first, rows in self.rows))

    def start_from(self, sample: float) -> int:
        """The first sample of the earliest update that does not begin before this one: where a stage can begin."""
        place = bisect.bisect_left(self.ramp, sample)
        if place < len(self.ramp):
            return self.ramp[place]
        return self.ramp[-1] + -int((self.ramp[-1] - sample) // self.batch_size) * self.batch_size


def ramp_over_steps(start: int, full: int, steps: float, *, of: int) -> tuple[int, ...]:
    """The first samples of updates that grow linearly from `start` to `full` sequences over so many steps; sizes are multiples of `of`, rounded down."""
    firsts = [0]
    for step in range(int(steps)):
        firsts.append(firsts[-1] + _grown(start, full, step / steps, of=of))
    return tuple(firsts)


def ramp_over_samples(start: int, full: int, samples: float, *, of: int) -> tuple[int, ...]:
    """As `ramp_over_steps`, over so many samples."""
    firsts = [0]
    while firsts[-1] < samples:
        firsts.append(firsts[-1] + _grown(start, full, firsts[-1] / samples, of=of))
    return tuple(firsts)


def _grown(start: int, full: int, share: float, *, of: int) -> int:
    return max(of, int(start + (full - start) * share) // of * of)


def stage_samples(shares: Sequence[float], tokens_per_sample: Sequence[float], *, samples: float) -> list[float]:
    """How many of a run's samples each stage takes, so that it reads its share of the tokens; their sum is `samples`."""
    each = [share / tokens for share, tokens in zip(shares, tokens_per_sample, strict=True)]
    return [samples * value / sum(each) for value in each]

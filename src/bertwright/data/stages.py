"""Rows of one length first and of another later: a stream for each stage, one after the other."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from bertwright.data.keys import KeyArray
from bertwright.data.samples import IntArray, Samples
from bertwright.data.stream import SampleStream


@dataclass(frozen=True)
class Stage:
    """A stream from sample `first` of the run on; `length`: tokens a row."""

    first: int
    length: int
    stream: SampleStream


class Staged:
    """The streams of stages, each begun at its own sample 0. Rows are asked for within one stage at a time."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = tuple(stages)
        self._firsts = [stage.first for stage in stages]

    def _stage(self, number: int) -> int:
        return bisect.bisect_right(self._firsts, number) - 1

    def take(self, first: int, last: int) -> tuple[Samples, KeyArray, IntArray]:
        """As `Stream.take`; numbers are those of the run. Raises ValueError for samples of two stages, whose rows have two lengths."""
        stage = self.stages[self._stage(first)]
        if self._stage(last - 1) != self._stage(first):
            raise ValueError(f"samples {first} to {last - 1} lie in two stages")
        samples, keys, numbers = stage.stream.take(first - stage.first, last - stage.first)
        return samples, keys, numbers + stage.first

    def epoch_of(self, number: int) -> int:
        """The passes that are begun at sample `number`, counted from 0 over all stages."""
        return int(self.passes(number))

    def passes(self, number: int) -> float:
        """How often the text was read through before sample `number`, in all stages together."""
        return sum(stage.stream.passes(seen) for stage, seen in self._seen(number))

    def epochs(self, number: int) -> dict[str, float]:
        """As `Mixture.epochs`, in all stages together."""
        found: dict[str, float] = {}
        for stage, seen in self._seen(number):
            found = {name: found.get(name, 0.0) + value for name, value in stage.stream.epochs(seen).items()}
        return found

    def sample_at(self, passes: float) -> float:
        """The number of samples of the run after which the text was read through so often."""
        for stage, end in zip(self.stages, [*self._firsts[1:], None], strict=True):
            within = stage.stream.passes(end - stage.first) if end is not None else passes
            if passes <= within:
                break
            passes -= within
        return stage.first + stage.stream.sample_at(passes)

    def _seen(self, number: int) -> list[tuple[Stage, int]]:
        """The stages that are begun at sample `number`, and how many samples of each come before it."""
        ends = [*self._firsts[1:], number]
        return [(stage, min(number, end) - stage.first) for stage, end in zip(self.stages, ends, strict=True) if number >= stage.first]

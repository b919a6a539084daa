"""Budgets are used up in their own unit, and the learning rate follows them up and down."""

import itertools

import pytest

from bertwright.data.stream import Stream
from bertwright.training.loop import Rhythm
from bertwright.training.schedule import Budget, Progress, Unit, learning_rate_factor


@pytest.mark.parametrize(("unit", "amount"), [("steps", 40), ("samples", 320), ("tokens", 4000), ("seconds", 80.0)])
def test_a_budget_counts_its_own_unit(unit: Unit, amount: float) -> None:
    progress = Progress(step=10, samples=80, tokens=1000, seconds=20.0)
    assert progress.fraction(Budget(unit, amount)) == 0.25
    assert progress.fraction(Budget(unit, amount / 100)) == 1.0


@pytest.mark.parametrize("warmup", [0.1, 10])
def test_the_rate_rises_over_the_warm_up_and_falls_to_zero_at_the_end(warmup: float) -> None:
    budget = Budget("steps", 100)
    factors = [learning_rate_factor(Progress(step=step), budget, warmup=warmup) for step in range(101)]
    assert 0 < factors[0] <= 0.1, "the first step must move, and little"
    top = max(range(101), key=factors.__getitem__)
    assert 9 <= top <= 10
    assert factors[top] >= 0.9
    assert factors[: top + 1] == sorted(factors[: top + 1])
    falls = [before - after for before, after in zip(factors[top:-1], factors[top + 1 :], strict=True)]
    assert falls == pytest.approx([falls[0]] * len(falls))
    assert factors[-1] == 0.0
    assert max(factors) <= 1.0


def test_without_warm_up_the_first_step_has_the_peak_rate() -> None:
    assert learning_rate_factor(Progress(), Budget("tokens", 100), warmup=0) == 1.0


def test_a_constant_rate_stays_up() -> None:
    factors = [learning_rate_factor(Progress(step=step), Budget("steps", 100), warmup=0.1, kind="constant") for step in range(100)]
    assert factors[10:] == [1.0] * 90
    assert factors[5] == 0.5


def test_under_minutes_the_rate_follows_the_seconds_trained() -> None:
    budget = Budget("seconds", 100.0)
    assert learning_rate_factor(Progress(step=3, seconds=55.0), budget, warmup=0.1) == pytest.approx(0.5)
    assert learning_rate_factor(Progress(step=999, seconds=5.0), budget, warmup=0.1) == pytest.approx(0.5)


class Epochs:
    """Five samples an epoch."""

    def size(self, epoch: int) -> int:
        return 5


def due(rhythm: Rhythm, batch_size: int, steps: int) -> list[int]:
    budget, stream = Budget("steps", steps), Stream(Epochs(), seed=0)  # type: ignore[arg-type]  # no sample is taken
    points = [Progress(step=step, samples=step * batch_size) for step in range(steps + 1)]
    return [after.step for before, after in itertools.pairwise(points) if rhythm.due(before, after, budget, stream)]


def test_a_count_is_due_every_so_many_steps() -> None:
    assert due(Rhythm(3, 10), 4, 10) == [3, 6, 9]


@pytest.mark.parametrize(("batch_size", "expected"), [(1, [5, 10]), (2, [3, 5, 8, 10]), (5, list(range(1, 11))), (12, list(range(1, 11)))])
def test_epoch_is_due_once_at_the_step_that_ends_one(batch_size: int, expected: list[int]) -> None:
    assert due(Rhythm("epoch", 10), batch_size, 10) == expected


def test_none_is_due_as_often_as_the_run_says() -> None:
    assert due(Rhythm(None, 4), 1, 40) == [10, 20, 30, 40]
    assert due(Rhythm(None, 0), 1, 40) == []

"""Budgets are used up in their own unit, and the learning rate follows them up and down."""

import itertools
import math

import pytest

from bertwright.data.stream import Stream
from bertwright.training.loop import Rhythm
from bertwright.training.schedule import Budget, Progress, Schedule, Unit
from bertwright.training.settings import SCHEDULERS


@pytest.mark.parametrize(("unit", "amount"), [("steps", 40), ("samples", 320), ("tokens", 4000), ("seconds", 80.0)])
def test_a_budget_counts_its_own_unit(unit: Unit, amount: float) -> None:
    progress = Progress(step=10, samples=80, tokens=1000, seconds=20.0)
    assert progress.fraction(Budget(unit, amount)) == 0.25
    assert progress.fraction(Budget(unit, amount / 100)) == 1.0


@pytest.mark.parametrize("warmup", [0.1, 10])
def test_the_rate_rises_over_the_warm_up_and_falls_to_zero_at_the_end(warmup: float) -> None:
    budget = Budget("steps", 100)
    factors = [Schedule(warmup=warmup).factor(Progress(step=step), budget) for step in range(101)]
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
    assert Schedule().factor(Progress(), Budget("tokens", 100)) == 1.0


def test_a_constant_rate_stays_up() -> None:
    factors = [Schedule("constant", 0.1).factor(Progress(step=step), Budget("steps", 100)) for step in range(100)]
    assert factors[10:] == [1.0] * 90
    assert factors[5] == 0.5


def test_under_minutes_the_rate_follows_the_seconds_trained() -> None:
    budget = Budget("seconds", 100.0)
    assert Schedule(warmup=0.1).factor(Progress(step=3, seconds=55.0), budget) == pytest.approx(0.5)
    assert Schedule(warmup=0.1).factor(Progress(step=999, seconds=5.0), budget) == pytest.approx(0.5)


def factors(schedule: Schedule, *, unit: Unit = "steps") -> list[float]:
    """At 0, 1, ... 99 of 100 steps, or of 100 tokens."""
    return [schedule.factor(Progress(step=used, tokens=used), Budget(unit, 100)) for used in range(100)]


@pytest.mark.parametrize(("warmup", "unit"), [(0.1, "steps"), (0.1, "tokens"), (10, "steps")])
def test_cosine_falls_by_half_a_wave_after_the_warm_up(warmup: float, unit: Unit) -> None:
    found = factors(Schedule("cosine", warmup), unit=unit)
    assert found[10:] == pytest.approx([0.5 * (1 + math.cos(math.pi * (step - 10) / 90)) for step in range(10, 100)])
    assert found[4] == pytest.approx(0.5 if warmup == 10 else 0.4)


@pytest.mark.parametrize(("decay", "unit"), [(0.2, "steps"), (0.2, "tokens"), (20, "steps")])
def test_wsd_stays_up_and_falls_by_the_root_at_the_end(decay: float, unit: Unit) -> None:
    found = factors(Schedule("wsd", 0.1, decay), unit=unit)
    assert found[10:81] == pytest.approx([1.0] * 71)
    assert found[81:] == pytest.approx([1 - math.sqrt((step - 80) / 20) for step in range(81, 100)])


def test_the_inverse_root_is_that_of_the_time_in_warm_ups() -> None:
    shares, steps = factors(Schedule("inverse_sqrt", 0.1)), factors(Schedule("inverse_sqrt", 10))
    assert shares[10:] == pytest.approx([math.sqrt(10 / step) for step in range(10, 100)])
    assert steps[9:] == pytest.approx([math.sqrt(10 / (step + 1)) for step in range(9, 100)])
    assert steps[:9] == pytest.approx([(step + 1) / 10 for step in range(9)])


def test_a_cool_down_falls_from_where_it_began_to_nothing_over_its_own_budget() -> None:
    budget, schedule = Budget("steps", 50, start=200), Schedule("cooldown", peak=0.7)
    assert [schedule.factor(Progress(step=step), budget) for step in (200, 212, 225, 250)] == pytest.approx(
        [0.7, 0.7 * (1 - math.sqrt(0.24)), 0.7 * (1 - math.sqrt(0.5)), 0.0]
    )


@pytest.mark.parametrize("kind", SCHEDULERS)
@pytest.mark.parametrize("warmup", [0.05, 1, 7])
@pytest.mark.parametrize("unit", ["steps", "tokens", "seconds"])
def test_no_schedule_leaves_nought_to_one_or_stands_still_at_first(kind: str, warmup: float, unit: Unit) -> None:
    points = [Progress(step=step, tokens=step, seconds=float(step)) for step in range(101)]
    found = [Schedule(kind, warmup).factor(point, Budget(unit, 100)) for point in points]
    assert found[0] > 0
    assert all(0 <= factor <= 1 for factor in found)
    top = found.index(max(found))
    assert found[top:] == sorted(found[top:], reverse=True)


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

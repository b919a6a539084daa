"""Updates grow as they are told, stages begin where an update does, and both take their share of the budget."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from bertwright.errors import InputError
from bertwright.training.config import PretrainConfig
from bertwright.training.course import Course, ramp_over_samples, ramp_over_steps, stage_samples
from bertwright.training.curriculum import stages_of
from bertwright.training.shares import shares_of


def sizes(course: Course, steps: int) -> list[int]:
    return [course.size(step) for step in range(steps)]


def test_without_a_ramp_every_update_is_alike() -> None:
    course = Course(8, ((0, 3),))
    assert sizes(course, 5) == [8] * 5
    assert [course.first(step) for step in (0, 1, 100)] == [0, 8, 800]
    assert course.at_once(0) == course.at_once(10**9) == 3


@pytest.mark.parametrize("of", [1, 4])
def test_a_ramp_over_steps_grows_linearly_to_the_full_size(of: int) -> None:
    course = Course(64, ((0, 8),), ramp_over_steps(16, 64, 20, of=of))
    found = sizes(course, 40)
    assert found[0] == 16
    assert found[20:] == [64] * 20
    assert found == sorted(found)
    assert all(abs(size - (16 + 48 * step / 20)) < of for step, size in enumerate(found[:20]))
    assert all(size % of == 0 for size in found)
    assert [course.first(step) for step in range(41)] == [sum(found[:step]) for step in range(41)]


def test_a_ramp_over_samples_grows_with_the_samples_seen() -> None:
    course = Course(64, ((0, 8),), ramp_over_samples(16, 64, 1000, of=2))
    found, seen = sizes(course, 60), 0
    for size in found:
        assert size == 64 if seen >= 1000 else abs(size - (16 + 48 * seen / 1000)) < 2
        seen += size


@pytest.mark.parametrize("ramp", [(0,), ramp_over_steps(2, 8, 5, of=1)])
@pytest.mark.parametrize("sample", [0.0, 0.5, 7.9, 8.0, 8.1, 100.3, 4000.0])
def test_a_stage_begins_with_the_next_update(sample: float, ramp: tuple[int, ...]) -> None:
    course = Course(8, ((0, 3),), ramp)
    firsts = [course.first(step) for step in range(600)]
    assert course.start_from(sample) == min(first for first in firsts if first >= sample)


def test_the_rows_of_a_pass_are_those_of_the_stage() -> None:
    course = Course(8, ((0, 8), (80, 4), (160, 2)))
    assert [course.at_once(sample) for sample in (0, 79, 80, 159, 160, 10**6)] == [8, 8, 4, 4, 2, 2]


def test_stages_read_their_shares_of_the_tokens() -> None:
    counts = stage_samples([0.9, 0.1], [120.0, 480.0], samples=1000)
    assert sum(counts) == pytest.approx(1000)
    tokens = [counts[0] * 120, counts[1] * 480]
    assert tokens[0] / sum(tokens) == pytest.approx(0.9)


@pytest.mark.parametrize("given", [("a=0.7", "b=30%"), ("a=0.7,b=0.3",), "a=0.7 b=0.3", ["a=70%, b=0.3"]])
def test_shares_are_read_however_they_are_written(given: str | Sequence[str]) -> None:
    assert shares_of("mix", given, separator="=", example="") == [("a", 0.7), ("b", 0.3)]


@pytest.mark.parametrize("entry", ["a", "a=", "=0.5", "a=x", "a=0", "a=1.5", "a=-1", "a=120%", "a=nan"])
def test_a_share_that_is_none_is_named(entry: str) -> None:
    with pytest.raises(InputError, match=r"mix has '.*': write it as A=0.5"):
        shares_of("mix", [entry], separator="=", example="A=0.5")


@pytest.mark.parametrize(
    ("stages", "lines"),
    [
        (("128:90%", "512:20%"), ["adds up to 1.1 of the budget"]),
        (("4:50%", "long:40%"), ["rows of '4' tokens", "rows of 'long' tokens", "adds up to 0.9"]),
    ],
)
def test_stages_that_cannot_be_are_named(stages: tuple[str, ...], lines: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        stages_of(PretrainConfig(stages=stages))
    assert len(refused.value.problems) == len(lines)
    assert all(part in line for part, line in zip(lines, refused.value.problems, strict=True))


def test_stages_are_lengths_and_shares_that_add_up_to_one() -> None:
    (first, most), (second, rest) = stages_of(PretrainConfig(stages=("128:0.667", "512:0.334")))
    assert (first, second) == (128, 512)
    assert [most, rest] == pytest.approx([0.667 / 1.001, 0.334 / 1.001])
    assert stages_of(PretrainConfig(max_seq_length=64)) == [(64, 1.0)]
    assert all(first < second for (first, _), (second, _) in pairwise(stages_of(PretrainConfig(stages=("16:50%", "32:50%")))))

"""Passes side by side: all of them once, on as many threads as there are cores, and an error or a signal ends them."""

import threading
import time
from typing import Any

import pytest
import torch

from bertwright.tasks.passes import cores, each


@pytest.fixture(autouse=True)
def two_threads() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_every_pass_runs_once_on_a_core_of_its_own() -> None:
    seen: set[tuple[str, int]] = set()

    def work(number: int) -> int:
        time.sleep(0.01)
        seen.add((threading.current_thread().name, torch.get_num_threads()))
        return number * 10

    assert sorted(each(work, range(12), side_by_side=2)) == [number * 10 for number in range(12)]
    assert len(seen) == 2
    assert {threads for _, threads in seen} == {1}
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("passes", "side_by_side"), [(3, 2), (20, 1), (0, 2)])
def test_few_passes_have_all_cores_one_after_the_other(passes: int, side_by_side: int) -> None:
    threads = list(each(lambda number: (number, threading.current_thread() is threading.main_thread()), range(passes), side_by_side=side_by_side))
    assert threads == [(number, True) for number in range(passes)]


def test_an_error_ends_the_rest_and_is_raised() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 1:
            raise ValueError("no")
        time.sleep(0.01)
        return number

    with pytest.raises(ValueError, match="no"):
        list(each(work, range(500), side_by_side=2))
    assert len(begun) < 400
    assert torch.get_num_threads() == 2


def test_one_who_stops_reading_ends_the_rest() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.005)
        return number

    found = each(work, range(500), side_by_side=2)
    next(found)
    found.close()  # type: ignore[attr-defined]  # a generator
    assert len(begun) < 100


def test_only_a_cpu_takes_several_passes() -> None:
    assert cores(torch.device("cpu")) == 2
    assert cores(torch.device("meta")) == 1

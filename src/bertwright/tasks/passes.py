"""Passes through a model that need nothing of each other, side by side where that is faster."""

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

import torch

Given = TypeVar("Given")
Found = TypeVar("Found")

# Passes for each core from which the last one to end keeps the others waiting for a small part of the whole alone.
WORTH = 2


def cores(device: torch.device) -> int:
    """How many passes run side by side on a device: one for each of the cores that torch may use, one on anything but a CPU."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def each(work: Callable[[Given], Found], passes: Sequence[Given], *, side_by_side: int) -> Iterator[Found]:
    """`work` of each pass, in the order in which they end, and where there are several cores and enough passes, each on a core of its own.

    A core that has a pass to itself waits for no other at the end of every operation, and its numbers stay in its own caches: on 2 cores a tenth to a third
    faster than both at one pass, and several times where other programs use them too. `work` must be safe to run in several threads. Whatever it raises, or a
    signal, ends the rest.
    """
    if side_by_side < 2 or len(passes) < WORTH * side_by_side:
        for one in passes:
            yield work(one)
        return
    threads = torch.get_num_threads()
    give_free_memory_back()
    pool = ThreadPoolExecutor(side_by_side, thread_name_prefix="pass", initializer=torch.set_num_threads, initargs=(1,))
    try:
        for ended in as_completed([pool.submit(work, one) for one in passes]):
            yield ended.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)  # threads that begin later take theirs from the last one set, wherever that was
        give_free_memory_back()


def give_free_memory_back() -> None:
    """To the system: glibc keeps what was freed for each thread apart, so what a training freed would stand beside what the passes take."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:  # other C libraries than glibc lack it
        trim(0)

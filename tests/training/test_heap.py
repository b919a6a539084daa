"""Large blocks stay in the heap, by what this C library can be told."""

from types import SimpleNamespace

import pytest

from bertwright.training import devices
from bertwright.training.devices import HEAP_BLOCK, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, NEVER, OLD_HEAP_BLOCK, keep_heap


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        ((), [(M_MMAP_THRESHOLD, HEAP_BLOCK), (M_TRIM_THRESHOLD, NEVER)]),
        ((HEAP_BLOCK,), [(M_MMAP_THRESHOLD, HEAP_BLOCK), (M_MMAP_THRESHOLD, OLD_HEAP_BLOCK), (M_TRIM_THRESHOLD, NEVER)]),
        ((HEAP_BLOCK, OLD_HEAP_BLOCK), [(M_MMAP_THRESHOLD, HEAP_BLOCK), (M_MMAP_THRESHOLD, OLD_HEAP_BLOCK)]),
    ],
)
def test_blocks_are_kept_as_large_as_the_library_takes(refused: tuple[int, ...], told: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def mallopt(name: int, value: int) -> int:
        asked.append((name, value))
        return int(value not in refused)

    monkeypatch.setattr(devices.sys, "platform", "linux")
    monkeypatch.setattr(devices.ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    keep_heap()
    assert asked == told

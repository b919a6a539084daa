"""SIGINT and SIGTERM during a training: the first asks for an orderly end, the second ends at once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Signals:
    """`pending` is the number of the first signal that came, or 0."""

    def __init__(self) -> None:
        self.pending = 0

    def receive(self, number: int, frame: FrameType | None) -> None:
        if self.pending:
            os._exit(128 + number)
        self.pending = number


@contextmanager
def caught_signals() -> Iterator[Signals]:
    """Catches both signals for as long as the context lasts. In a thread that is not the main one, catches nothing."""
    signals = Signals()
    try:
        before = {number: signal.signal(number, signals.receive) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        yield signals
        return
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

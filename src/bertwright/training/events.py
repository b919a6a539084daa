"""What a training tells whoever watches it; imports no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Value = float | int | str
Kind = Literal["plan", "train", "evaluate", "save", "note", "done"]


@dataclass(frozen=True)
class Event:
    """One thing that happened, at a step. `values` by name; losses in nats, rates per second, times in seconds."""

    kind: Kind
    step: int = 0
    values: Mapping[str, Value] = field(default_factory=dict)


Observer = Callable[[Event], None]

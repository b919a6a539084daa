"""What a training tells whoever watches it; imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

Value = float | int | str
Milestone = Literal["plan", "train", "evaluate", "save", "note", "result", "done"]
Moment = Literal["train_begin", "train_end", "epoch_begin", "epoch_end", "batch_begin", "batch_end"]
Kind = Milestone | Moment
MILESTONES: frozenset[str] = frozenset(get_args(Milestone))


@dataclass(frozen=True)
class Event:
    """One thing that happened, at a step. `values` by name; losses in nats, rates per second, times in seconds."""

    kind: Kind
    step: int = 0
    values: Mapping[str, Value] = field(default_factory=dict)


Observer = Callable[[Event], None]


class Watchers:
    """Observers of one training. Each is told of the kinds of event that its attribute `kinds` names; without it, of the milestones.

    An event of a moment that nobody asked for is not even made.
    """

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._told: dict[str, list[Observer]] = {}
        for observer in observers:
            self.add(observer)

    def add(self, observer: Observer) -> None:
        """One more, to be told after the others."""
        for kind in getattr(observer, "kinds", MILESTONES):
            self._told.setdefault(kind, []).append(observer)

    def __call__(self, event: Event) -> None:
        for observer in self._told.get(event.kind, ()):
            observer(event)

    def hear_of_moments(self) -> bool:
        """Whether anybody wants to be told of more than milestones."""
        return not self._told.keys() <= MILESTONES

    def tell(self, kind: Kind, step: int, **values: Value) -> None:
        """Tells of an event, where there is somebody to be told."""
        if kind in self._told:
            self(Event(kind, step, values))

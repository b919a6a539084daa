"""What every contender of a bench is given and gives back, as files, so that any program can be one."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One training. shards: what `prepare` wrote; model: a preset; seconds: of training; folder: for what is saved; options: further keys of pretrain.

    A contender is a program that is called with the path of this as JSON and a path to write its `Outcome` to.
    """

    shards: str
    model: str
    seconds: float
    seed: int
    folder: str
    batch_size: int = 32
    max_seq_length: int = 128
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True, kw_only=True)
class Point:
    """A saved Hugging Face folder of a training, with the seconds of training and the tokens behind it; loss: nats per masked token, accuracy, once scored."""

    seconds: float
    tokens: float
    folder: str
    loss: float = float("nan")
    accuracy: float = float("nan")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one training.

    points: in order; the last is the training's end. tokens_per_second: of the median step, padding not counted; peak_bytes: above the process with everything
    imported, on a GPU what torch allocated; operations_per_token, matrix_rate: floating-point operations and their rate in this process, 0 where not told;
    data_wait: share of the median step in which batches were waited for; steady_after: seconds of training until nine tenths of `tokens_per_second` were
    reached; None where not told.
    """

    points: tuple[Point, ...]
    tokens_per_second: float
    peak_bytes: int
    operations_per_token: float = 0.0
    matrix_rate: float = 0.0
    data_wait: float | None = None
    steady_after: float | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises ValueError, KeyError or TypeError where it is none, or nothing was saved."""
        found = json.loads(path.read_text(encoding="utf-8"))
        if not found["points"]:
            raise ValueError("no points: nothing was saved")
        return cls(**{**found, "points": tuple(Point(**point) for point in found["points"])})

    def seconds_to(self, loss: float) -> float | None:
        """Seconds until the loss was as low, on straight lines between the points; None where it never was."""
        before: Point | None = None
        for point in self.points:
            if point.loss <= loss:
                if before is None:
                    return point.seconds
                return before.seconds + (point.seconds - before.seconds) * (before.loss - loss) / (before.loss - point.loss)
            before = point
        return None


def write(path: Path, what: Setting | Outcome) -> None:
    """As JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dataclasses.asdict(what)), encoding="utf-8")

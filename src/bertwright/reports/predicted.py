"""What the predictions of one split say, as arrays that metrics take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertwright.metrics.classification import THRESHOLD
from bertwright.reports.reading import mapping

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Rows whose right label is known, of a classification. labels: their names by number. truth: int [rows], or bool [rows, labels] where a row may have
    several; probabilities: [rows, labels]; rows: the lines of the file, in the same order. strange: rows left out because a label of theirs is not among these.
    """

    labels: tuple[str, ...]
    truth: NDArray[Any]
    probabilities: NDArray[np.float64]
    rows: tuple[Row, ...]
    strange: int

    @property
    def several(self) -> bool:
        return self.truth.ndim == 2

    @property
    def predicted(self) -> NDArray[Any]:
        """int [rows], or bool [rows, labels]."""
        return self.probabilities >= THRESHOLD if self.several else self.probabilities.argmax(1)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether a row has exactly its label, or labels."""
        same = np.asarray(self.truth == self.predicted)
        return np.asarray(same.all(1)) if self.several else same


def names_of(label: object) -> list[str]:
    """The labels of a row that has one, or several, or none."""
    return [] if label is None else [str(one) for one in label] if isinstance(label, list) else [str(label)]


def labelled(rows: Sequence[Row], labels: tuple[str, ...]) -> Labelled | None:
    """The rows of a classification; None where there are none that can be counted."""
    number = {label: place for place, label in enumerate(labels)}
    kept, truth, probabilities, strange = [], [], [], 0
    several = any(isinstance(row.get("label"), list) for row in rows)
    for row in rows:
        given, found = row.get("label"), mapping(row.get("prediction")).get("probabilities")
        if given is None or not isinstance(found, Mapping):
            continue
        names = names_of(given)
        if any(name not in number for name in names):
            strange += 1
            continue
        kept.append(row)
        truth.append([label in names for label in labels] if several else number[names[0]])
        probabilities.append([float(found.get(label, 0.0)) for label in labels])
    if not kept:
        return None
    return Labelled(labels=labels, truth=np.array(truth), probabilities=np.array(probabilities), rows=tuple(kept), strange=strange)


def hardest(rows: Sequence[Row], most: int) -> list[Row]:
    """The rows of the highest loss, highest first; none where no row has one."""
    scored = [(row, loss_of(row)) for row in rows]
    known = [(row, loss) for row, loss in scored if loss is not None]
    return [row for row, _ in sorted(known, key=lambda pair: -pair[1])[:most]]


def loss_of(row: Row) -> float | None:
    """The loss of a row, beside its prediction or in it."""
    loss = row.get("loss", mapping(row.get("prediction")).get("loss"))
    return float(loss) if isinstance(loss, int | float) else None

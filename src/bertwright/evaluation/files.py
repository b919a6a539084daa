"""A labelled file measured with a checkpoint's task, and every row of it with what the model made of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.examples import Answer, LabelledData
from bertwright.data.labelled.reading import read_labelled
from bertwright.evaluation.labelled import Measured, measure
from bertwright.models import Model
from bertwright.tasks.classification import Classification
from bertwright.tasks.columns import cells
from bertwright.tasks.registry import decisions_of
from bertwright.tasks.tagging import Tagging
from bertwright.tasks.task import Task
from bertwright.text.tokenizer import Tokenizer

LABELS = ("label", "tags", "answers", "score", "target")


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A labelled file, and what a model reached on it."""

    task: Task
    data: LabelledData
    measured: Measured

    def to_json(self) -> dict[str, Any]:
        """One flat object: task, rows, every metric, its interval as METRIC_low and METRIC_high, and baseline_METRIC, which reads nothing."""
        found, rows = self.measured, len(self.data.examples)
        shown: dict[str, Any] = {"task": self.task.name, "rows": rows, "truncated": found.truncated, **found.metrics}
        for name, (low, high) in found.intervals.items():
            shown |= {f"{name}_low": low, f"{name}_high": high}
        return shown | {f"baseline_{name}": value for name, value in found.baseline.items()}

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every row in order: where it stands, what it says, its label, the prediction with all probabilities, and the loss."""
        for example, prediction in zip(self.data.examples, self.measured.predictions, strict=True):
            said = {name: getattr(example, name) for name in example.__slots__ if name not in (*LABELS, "place", "spans")}
            label = next(getattr(example, name) for name in example.__slots__ if name in LABELS)
            plain = {name: _plain(value) for name, value in said.items()}
            shown = cells(prediction, probabilities=True)
            yield {"place": str(example.place or ""), **plain, "label": _plain(label), **shown, "loss": prediction.loss}


def evaluate_file(
    path: str, *, task: Task, model: Model, tokenizer: Tokenizer, max_length: int, config: DataConfig, passed: Callable[[int], None] | None = None
) -> Evaluated:
    """Reads a labelled file as the task needs it, and measures. config: which columns; passed: told how many rows a pass took.

    Raises InputError for a file or columns that cannot be read, rows without a label, and labels that the model does not know.
    """
    labels = task.labels if isinstance(task, Classification | Tagging) else None
    several = isinstance(task, Classification) and task.several
    data = read_labelled(path, task=task.name, config=config, labels=labels, several=several, known=decisions_of(model))
    return Evaluated(task=task, data=data, measured=measure(task, model, data, tokenizer, max_length=max_length, passed=passed))


def _plain(value: Any) -> Any:
    """A field as a table holds it: of answers their texts."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.text if isinstance(value, Answer) else value

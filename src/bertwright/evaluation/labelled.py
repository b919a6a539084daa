"""A task's metrics on labelled rows, how sure they are, and what answering without reading would reach."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bertwright.data.labelled.examples import LabelledData
from bertwright.evaluation.baselines import blind_predictions, takes_labels
from bertwright.evaluation.intervals import intervals_of
from bertwright.metrics.intervals import Intervals
from bertwright.models import Model
from bertwright.tasks.running import run
from bertwright.tasks.task import Reading, Task
from bertwright.text.tokenizer import Tokenizer

# What is said where no training rows are known.
PEEKED = "the commonest answer, to hold the metrics against, is that of these rows themselves: the training rows are not known here"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """metrics: by name; intervals: (low, high) of those that have one, 95% of the bootstrap; predictions: one for each example, in order.

    baseline: the same metrics of the answer that reads nothing: the training rows' commonest label, their mean, no entity, no answer; empty where there is none
    such. peeked: the baseline knows the labels of the measured rows, for want of training rows. truncated: examples that lost their end; said: one line for
    each other thing a user should know.
    """

    metrics: Mapping[str, float]
    intervals: Intervals
    baseline: Mapping[str, float]
    predictions: Sequence[Any]
    peeked: bool = False
    truncated: int = 0
    said: tuple[str, ...] = ()


def measure(
    task: Task,
    model: Model,
    data: LabelledData,
    tokenizer: Tokenizer,
    *,
    max_length: int,
    train: LabelledData | None = None,
    intervals: bool = True,
    passed: Callable[[int], None] | None = None,
) -> Measured:
    """Predicts every labelled row, in the precision the model is in, and compares.

    max_length: tokens a row; longer texts are cut or read in windows, as the task does. train: the rows whose labels the baseline knows, by default those that
    are measured. passed: told how many items a pass took.
    Raises InputError where there are no rows, or one cannot be encoded.
    """
    items = task.items(data.examples, tokenizer, max_length=max_length)
    outputs = run(task, model, items.items, Reading.of(model.architecture), passed=passed)
    predictions = task.predictions(data.examples, items.items, outputs)
    metrics = task.metrics(data.examples, predictions)
    blind = blind_predictions(task, data, data if train is None else train)
    peeked = train is None and takes_labels(data)
    return Measured(
        metrics=metrics,
        intervals=intervals_of(task, data, predictions, metrics) if intervals else {},
        baseline=task.metrics(data.examples, blind) if blind else {},
        predictions=predictions,
        peeked=peeked,
        truncated=items.truncated,
        said=(*items.said, *((PEEKED,) if peeked else ())),
    )

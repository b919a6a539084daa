"""The protocol between labelled data and a model: examples -> items -> batches -> losses, or outputs -> predictions -> metrics."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from bertwright.architecture import Architecture, HeadKind
from bertwright.blocks.layout import Padded
from bertwright.data.batch import LENGTH_STEP, Batch
from bertwright.data.labelled.examples import TaskName
from bertwright.data.samples import IntArray
from bertwright.errors import InputError
from bertwright.objectives.objective import Losses
from bertwright.text.tokenizer import Tokenizer

IGNORED = -100  # a label that is not scored, as in Hugging Face's models
NAMED = 8  # examples that an error names


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence as a model reads it, special tokens included. type_ids: None where all are 0."""

    ids: list[int]
    type_ids: list[int] | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One sample.

    rows: one, or as many as there are choices or texts that belong together; target: what is to be learnt of them (a number, a list), None where it is
    unknown; example: the number of the example that it comes from (a long text gives several, one a window); kept: what a task needs to read outputs back.
    """

    rows: tuple[Row, ...]
    target: Any
    example: int
    kept: Any = None

    @property
    def length(self) -> int:
        """Tokens of its longest row."""
        return max(len(row.ids) for row in self.rows)


@dataclass(frozen=True, kw_only=True)
class Items:
    """The items of some examples. truncated: examples that lost their end; said: one line for each other thing done to them that a user should know."""

    items: Sequence[Item]
    truncated: int = 0
    said: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TaskBatch(Batch):
    """A batch of items. input_ids: [rows, length], all rows of all items; mask: the same, true on real tokens; targets: by name, as the task makes them."""

    mask: Tensor
    targets: Mapping[str, Tensor] = field(default_factory=dict)

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return replace(super().each(change), targets={name: change(value) for name, value in self.targets.items()})


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a model asks of its rows.

    pad_id: what shorter ones are filled up with; types: token types that it can tell apart; limit: the longest row; step: rows are as long as a multiple of it.
    """

    pad_id: int
    types: int
    limit: int | None
    step: int = LENGTH_STEP

    @classmethod
    def of(cls, architecture: Architecture) -> "Reading":
        """Of a model; where texts know no padding, the mask alone says what is padded."""
        stack = architecture.encoder or architecture.last
        return cls(pad_id=architecture.pad_id or 0, types=stack.segments, limit=architecture.max_length)


class Task(Protocol):
    """What fine-tuning, evaluation and prediction know of a task. Implementations are frozen dataclasses."""

    @property
    def name(self) -> TaskName: ...

    @property
    def heads(self) -> tuple[HeadKind, ...]:
        """The heads a model needs; the pooler where one stands on it is added by the family."""

    @property
    def num_labels(self) -> int | None:
        """Outputs of the head; None where the head's own number stands."""

    @property
    def terms(self) -> tuple[str, ...]:
        """The names of its loss terms, and of what is told beside them (`Term.trained` false)."""

    @property
    def decomposes(self) -> bool:
        """Whether the loss of a batch is the sum of its parts' (contrastive losses are not, so an update is one pass)."""

    @property
    def metric(self) -> str:
        """The metric that the best checkpoint is chosen by; higher is better."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The keys of config.json that make a folder serve this task: id2label, label2id, problem_type."""

    def items(self, examples: Sequence[Any], tokenizer: Tokenizer, *, max_length: int) -> Items:
        """The examples encoded. Raises InputError for one that cannot be."""

    def batch(self, items: Sequence[Item], *, numbers: IntArray, reading: Reading) -> TaskBatch:
        """Pure, on the CPU; its `weights` hold one number for each of `terms`. Items without targets give a batch without `targets`."""

    def losses(self, model: nn.Module, batch: TaskBatch) -> Losses:
        """One term for each of `terms`, summed over what it scores."""

    def outputs(self, model: nn.Module, batch: TaskBatch) -> list[Any]:
        """What `predictions` needs of each item, on the CPU, float32: logits, start and end scores, a vector."""

    def predictions(self, examples: Sequence[Any], items: Sequence[Item], outputs: Sequence[Any]) -> list[Any]:
        """One prediction for each example, in the examples' order; with `loss` where the example has a label."""

    def metrics(self, examples: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
        """The metrics by name, of labelled examples; also called on resamples of them, for intervals."""


def pad_rows(rows: Sequence[Row], reading: Reading) -> dict[str, Any]:
    """input_ids, token_type_ids (None where no row uses a second one), mask, layout and tokens of a TaskBatch.

    Rows are as long as the longest, rounded up to a multiple of the reading's step where the model can place so many.
    """
    lengths = [len(row.ids) for row in rows]
    width = min(-(-max(lengths) // reading.step) * reading.step, max(reading.limit or sys.maxsize, max(lengths)))
    ids = torch.tensor([row.ids + [reading.pad_id] * (width - len(row.ids)) for row in rows])
    second = reading.types > 1 and any(row.type_ids is not None for row in rows)
    type_ids = torch.tensor([(row.type_ids or [0] * len(row.ids)) + [0] * (width - len(row.ids)) for row in rows]) if second else None
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    return {"input_ids": ids, "token_type_ids": type_ids, "mask": mask, "layout": Padded(mask), "tokens": sum(lengths)}


def refuse(problems: Sequence[str]) -> None:
    """Raises InputError with the first of these lines, one for each example that cannot be taken, and how many more there are; nothing where there is none."""
    if problems:
        raise InputError(*problems[:NAMED], *([f"... and {len(problems) - NAMED} more like these"] if len(problems) > NAMED else []))


def call(model: nn.Module, batch: TaskBatch, **options: Any) -> Any:
    """The model's output for a batch."""
    return model(batch.input_ids, batch.mask, batch.token_type_ids, **options)

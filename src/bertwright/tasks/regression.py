"""Regression: a number for a text or a pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from bertwright.architecture import CLASSIFY, HeadKind
from bertwright.checkpoints.huggingface import label_keys
from bertwright.data.labelled.examples import TaskName, TextExample
from bertwright.data.samples import IntArray
from bertwright.metrics.regression import regression_metrics
from bertwright.objectives.objective import Losses, Term
from bertwright.tasks.predictions import Regressed
from bertwright.tasks.task import Item, Items, Reading, TaskBatch, call, pad_rows
from bertwright.tasks.texts import text_items
from bertwright.text.tokenizer import Tokenizer

# What Hugging Face calls the one output of a model of this kind.
OUTPUT = "LABEL_0"


@dataclass(frozen=True, kw_only=True)
class Regression:
    """Squared error of one output, which says numbers as the labels do, as Hugging Face's models of problem type "regression".

    Prices and years are learnt as shares are: the loss counts in squares of `unit`, the deviation of the labels trained on, a new output begins at their mean
    `centre` (`begin`), and its weights count in units too (`units`), so a training is the same whatever labels are multiplied by or added to.
    """

    centre: float = 0.0
    unit: float = 1.0
    metric: str = "spearman"
    name: TaskName = "regress"
    heads: tuple[HeadKind, ...] = (CLASSIFY,)
    num_labels: int = 1
    terms: tuple[str, ...] = ("loss",)
    decomposes: bool = True

    @classmethod
    def of(cls, examples: Sequence[TextExample], *, bias: bool) -> "Regression":
        """Fitted to labelled examples, one at least. Where the model's output has no bias, their size is the unit, and 0 the centre."""
        labels = np.array([_number(example) for example in examples], dtype=np.float64)
        centre = float(labels.mean()) if bias else 0.0
        if bias and (labels == labels[0]).all():  # their deviation is not 0 but what the mean was rounded by
            return cls(centre=centre)
        return cls(centre=centre, unit=float(np.sqrt(np.mean((labels - centre) ** 2))) or 1.0)

    @property
    def config(self) -> Mapping[str, Any]:
        return {**label_keys([OUTPUT]), "problem_type": "regression", "bertwright": {"unit": self.unit}}

    @property
    def units(self) -> Mapping[str, float]:
        """What parameters count in, by name."""
        return {f"heads.{CLASSIFY}.output.{name}": self.unit for name in ("weight", "bias")}

    @torch.no_grad()
    def begin(self, head: nn.Module) -> None:
        """Has a new head say the labels' mean, give or take as much of their deviation as it would have said of 1."""
        output = head.get_submodule("output")
        output.get_parameter("weight").mul_(self.unit)
        if self.centre:
            output.get_parameter("bias").fill_(self.centre)

    def items(self, examples: Sequence[TextExample], tokenizer: Tokenizer, *, max_length: int) -> Items:
        return text_items(examples, tokenizer, max_length=max_length, target=_number)

    def batch(self, items: Sequence[Item], *, numbers: IntArray, reading: Reading) -> TaskBatch:
        padded = pad_rows([item.rows[0] for item in items], reading)
        targets = {} if items[0].target is None else {"labels": torch.tensor([item.target for item in items])}
        return TaskBatch(**padded, targets=targets, numbers=numbers, weights={"loss": float(len(items))})

    def losses(self, model: nn.Module, batch: TaskBatch) -> Losses:
        values = call(model, batch, heads_only=True).logits.float().squeeze(-1)
        return {"loss": Term(F.mse_loss(values / self.unit, batch.targets["labels"] / self.unit, reduction="sum"))}

    def outputs(self, model: nn.Module, batch: TaskBatch) -> list[Any]:
        return list(call(model, batch, heads_only=True).logits.float().squeeze(-1).tolist())

    def predictions(self, examples: Sequence[TextExample], items: Sequence[Item], outputs: Sequence[Any]) -> list[Regressed]:
        both = zip(items, outputs, strict=True)
        return [Regressed(value=value, loss=None if item.target is None else ((value - item.target) / self.unit) ** 2) for item, value in both]

    def metrics(self, examples: Sequence[TextExample], predictions: Sequence[Regressed]) -> dict[str, float]:
        return regression_metrics(np.array([_number(example) for example in examples]), np.array([prediction.value for prediction in predictions]))


def _number(example: TextExample) -> float | None:
    return float(example.label) if isinstance(example.label, int | float | str) else None

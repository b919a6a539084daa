"""Regression: a number for a text or a pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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

# Beyond this an output that begins near 0 is not carried to the labels in a training's few thousand small steps.
LARGEST = 100.0
# What Hugging Face calls the one output of a model of this kind.
OUTPUT = "LABEL_0"


@dataclass(frozen=True, kw_only=True)
class Regression:
    """Squared error of one output, in the units of the labels, as Hugging Face's models of problem type "regression" give it."""

    metric: str = "spearman"
    name: TaskName = "regress"
    heads: tuple[HeadKind, ...] = (CLASSIFY,)
    num_labels: int = 1
    terms: tuple[str, ...] = ("loss",)
    decomposes: bool = True

    @property
    def config(self) -> Mapping[str, Any]:
        return {**label_keys([OUTPUT]), "problem_type": "regression"}

    def items(self, examples: Sequence[TextExample], tokenizer: Tokenizer, *, max_length: int) -> Items:
        found = text_items(examples, tokenizer, max_length=max_length, target=_number)
        largest = max((abs(item.target) for item in found.items if item.target is not None), default=0.0)
        if largest <= LARGEST:
            return found
        return replace(found, said=(f"numbers as large as {largest:g} are learnt as they stand, and slowly: divide them, so that they lie between -10 and 10",))

    def batch(self, items: Sequence[Item], *, numbers: IntArray, reading: Reading) -> TaskBatch:
        padded = pad_rows([item.rows[0] for item in items], reading)
        targets = {} if items[0].target is None else {"labels": torch.tensor([item.target for item in items])}
        return TaskBatch(**padded, targets=targets, numbers=numbers, weights={"loss": float(len(items))})

    def losses(self, model: nn.Module, batch: TaskBatch) -> Losses:
        values = call(model, batch, heads_only=True).logits.float().squeeze(-1)
        return {"loss": Term(F.mse_loss(values, batch.targets["labels"], reduction="sum"))}

    def outputs(self, model: nn.Module, batch: TaskBatch) -> list[Any]:
        return list(call(model, batch, heads_only=True).logits.float().squeeze(-1).tolist())

    def predictions(self, examples: Sequence[TextExample], items: Sequence[Item], outputs: Sequence[Any]) -> list[Regressed]:
        return [Regressed(value=value, loss=None if item.target is None else (value - item.target) ** 2) for item, value in zip(items, outputs, strict=True)]

    def metrics(self, examples: Sequence[TextExample], predictions: Sequence[Regressed]) -> dict[str, float]:
        return regression_metrics(np.array([_number(example) for example in examples]), np.array([prediction.value for prediction in predictions]))


def _number(example: TextExample) -> float | None:
    return float(example.label) if isinstance(example.label, int | float | str) else None

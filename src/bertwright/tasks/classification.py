"""Classification of texts and pairs: one label, or several at once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import CLASSIFY, HeadKind
from bertwright.checkpoints.huggingface import label_keys
from bertwright.data.labelled.examples import TaskName, TextExample
from bertwright.data.samples import IntArray
from bertwright.metrics.classification import THRESHOLD, classification_metrics, several_labels_metrics
from bertwright.objectives.objective import Losses, Term
from bertwright.tasks.predictions import Classified
from bertwright.tasks.task import Item, Items, Reading, TaskBatch, call, pad_rows
from bertwright.tasks.texts import text_items
from bertwright.text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Softmax over `labels`, or with `several` a sigmoid for each.

    smoothing: share of the target spread evenly over all labels (Szegedy et al. 2016, section 7). weights: of each label in the loss; with `several` of its
    positive rows, against 1 of the others. r_drop: weight alpha of the divergence between two passes with other dropout (Liang et al. 2021, R-Drop, equation
    4); the loss is half of theirs, the mean of the two passes' losses plus alpha / 2 of the divergence, so that it stays on the scale of a loss without it.
    """

    labels: tuple[str, ...]
    several: bool = False
    smoothing: float = 0.0
    weights: tuple[float, ...] | None = None
    r_drop: float = 0.0
    metric: str = "accuracy"
    name: TaskName = "classify"
    heads: tuple[HeadKind, ...] = (CLASSIFY,)
    terms: tuple[str, ...] = ("loss", "accuracy")
    decomposes: bool = True

    @property
    def num_labels(self) -> int:
        return len(self.labels)

    @property
    def config(self) -> Mapping[str, Any]:
        return {**label_keys(list(self.labels)), "problem_type": "multi_label_classification" if self.several else "single_label_classification"}

    def items(self, examples: Sequence[TextExample], tokenizer: Tokenizer, *, max_length: int) -> Items:
        return text_items(examples, tokenizer, max_length=max_length, target=self._target)

    def _target(self, example: TextExample) -> int | list[float] | None:
        if example.label is None:
            return None
        if self.several:
            return [float(name in _names(example)) for name in self.labels]
        return self.labels.index(str(example.label))

    def batch(self, items: Sequence[Item], *, numbers: IntArray, reading: Reading) -> TaskBatch:
        padded = pad_rows([item.rows[0] for item in items], reading)
        targets = {} if items[0].target is None else {"labels": torch.tensor([item.target for item in items])}
        weight = float(len(items))
        if self.weights is not None and targets and not self.several:
            weight = float(sum(self.weights[item.target] for item in items))
        return TaskBatch(**padded, targets=targets, numbers=numbers, weights={"loss": weight, "accuracy": float(len(items))})

    def losses(self, model: nn.Module, batch: TaskBatch) -> Losses:
        labels = batch.targets["labels"]
        logits = call(model, batch, heads_only=True).logits.float()
        right = ((logits > 0) == labels.bool()).all(-1) if self.several else logits.argmax(-1) == labels
        told = {"accuracy": Term(right.sum(), trained=False)}
        if not self.r_drop:
            return {"loss": Term(self._loss(logits, labels)), **told}
        again = call(model, batch, heads_only=True).logits.float()
        both = self._loss(logits, labels) + self._loss(again, labels) + self.r_drop * self._divergence(logits, again)
        return {"loss": Term(both / 2), **told}

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        weights = None if self.weights is None else torch.tensor(self.weights, device=logits.device)
        if not self.several:
            return F.cross_entropy(logits, labels, weight=weights, label_smoothing=self.smoothing, reduction="sum")
        targets = labels * (1 - self.smoothing) + self.smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights, reduction="sum") / len(self.labels)

    def _divergence(self, one: Tensor, other: Tensor) -> Tensor:
        """The mean of KL(p, q) and KL(q, p), whose sum is that of (p - q)(log p - log q), summed over rows; with `several` the mean over labels as well."""
        if self.several:
            p, q = one.sigmoid(), other.sigmoid()
            return ((p - q) * (one - other)).sum() / 2 / len(self.labels)  # log p - log q of both sides of a Bernoulli, together
        p, q = one.log_softmax(-1), other.log_softmax(-1)
        return ((p.exp() - q.exp()) * (p - q)).sum() / 2

    def outputs(self, model: nn.Module, batch: TaskBatch) -> list[Any]:
        return list(call(model, batch, heads_only=True).logits.float().cpu().numpy())

    def predictions(self, examples: Sequence[TextExample], items: Sequence[Item], outputs: Sequence[Any]) -> list[Classified]:
        if not outputs:
            return []
        logits = np.stack(outputs).astype(np.float64)
        if self.several:
            probabilities = 1 / (1 + np.exp(-logits))
        else:
            shifted = np.exp(logits - logits.max(1, keepdims=True))
            probabilities = shifted / shifted.sum(1, keepdims=True)
        return [self._prediction(item, row) for item, row in zip(items, probabilities.tolist(), strict=True)]

    def _prediction(self, item: Item, row: list[float]) -> Classified:
        named = dict(zip(self.labels, row, strict=True))
        loss = None
        if not self.several:
            best = max(range(len(row)), key=row.__getitem__)
            if item.target is not None:
                loss = -math.log(max(row[item.target], 1e-300))
            return Classified(label=self.labels[best], labels=(self.labels[best],), probabilities=named, loss=loss)
        if item.target is not None:
            right = [value if target else 1 - value for value, target in zip(row, item.target, strict=True)]
            loss = -sum(math.log(max(value, 1e-300)) for value in right) / len(row)
        given = tuple(name for name, value in named.items() if value >= THRESHOLD)
        return Classified(label=None, labels=given, probabilities=named, loss=loss)

    def metrics(self, examples: Sequence[TextExample], predictions: Sequence[Classified]) -> dict[str, float]:
        probabilities = np.array([list(prediction.probabilities.values()) for prediction in predictions])
        targets = np.array([self._target(example) for example in examples])
        measured = several_labels_metrics if self.several else classification_metrics
        return measured(targets, probabilities, names=self.labels)


def balanced_weights(labels: tuple[str, ...], examples: Sequence[TextExample], *, several: bool = False) -> tuple[float, ...]:
    """Weights by which rare labels count as much as others.

    Of one label: n / (labels x count), whose mean over the examples is 1, as scikit-learn's "balanced". With `several`: rows without a label over rows with it,
    as torch's pos_weight asks for. A count of 0 is taken as 1, so that no label of all rows, or of none, falls out of the loss.
    """
    counts = dict.fromkeys(labels, 0)
    for example in examples:
        for name in _names(example):
            counts[name] += 1
    if several:
        return tuple(max(len(examples) - count, 1) / max(count, 1) for count in counts.values())
    return tuple(len(examples) / (len(labels) * max(count, 1)) for count in counts.values())


def _names(example: TextExample) -> tuple[str, ...]:
    return example.label if isinstance(example.label, tuple) else (str(example.label),)

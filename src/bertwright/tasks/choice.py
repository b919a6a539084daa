"""Multiple choice: which of several texts goes with a first one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import CHOICE, HeadKind
from bertwright.data.labelled.examples import ChoiceExample, TaskName
from bertwright.data.samples import IntArray
from bertwright.errors import InputError
from bertwright.objectives.objective import Losses, Term
from bertwright.tasks.predictions import Chosen
from bertwright.tasks.task import Item, Items, Reading, Row, TaskBatch, call, pad_rows
from bertwright.text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Softmax over one score for each choice, a pair of the text and the choice (Devlin et al. 2018, section 4.4). Items may have different numbers of them."""

    metric: str = "accuracy"
    name: TaskName = "choice"
    heads: tuple[HeadKind, ...] = (CHOICE,)
    num_labels: None = None
    terms: tuple[str, ...] = ("loss",)
    decomposes: bool = True

    @property
    def config(self) -> Mapping[str, Any]:
        return {}

    def items(self, examples: Sequence[ChoiceExample], tokenizer: Tokenizer, *, max_length: int) -> Items:
        """One item an example, of a row for each choice; of a pair that is too long the longer side loses its end first.

        Raises InputError naming every example without choices, or whose label is none of them.
        """
        _check(examples)
        pairs = [(example.text, choice) for example in examples for choice in example.choices]
        rows = iter(tokenizer.frame(pairs, max_length=max_length))
        found, truncated = [], 0
        for number, example in enumerate(examples):
            own = [next(rows) for _ in example.choices]
            truncated += any(row.truncated for row in own)
            found.append(Item(rows=tuple(Row(row.ids, row.type_ids) for row in own), target=example.label, example=number))
        return Items(items=found, truncated=truncated)

    def batch(self, items: Sequence[Item], *, numbers: IntArray, reading: Reading) -> TaskBatch:
        """targets: choices [items], how many rows each has, with or without labels; labels [items]."""
        padded = pad_rows([row for item in items for row in item.rows], reading)
        targets = {"choices": torch.tensor([len(item.rows) for item in items])}
        if all(item.target is not None for item in items):
            targets["labels"] = torch.tensor([item.target for item in items])
        return TaskBatch(**padded, targets=targets, numbers=numbers, weights={"loss": float(len(items))})

    def losses(self, model: nn.Module, batch: TaskBatch) -> Losses:
        return {"loss": Term(F.cross_entropy(_scores(model, batch), batch.targets["labels"], reduction="sum"))}

    def outputs(self, model: nn.Module, batch: TaskBatch) -> list[Any]:
        """Log-probabilities of each item's choices, [choices]."""
        found = _scores(model, batch).log_softmax(-1).cpu().numpy()
        return [row[:count] for row, count in zip(found, batch.targets["choices"].tolist(), strict=True)]

    def predictions(self, examples: Sequence[ChoiceExample], items: Sequence[Item], outputs: Sequence[Any]) -> list[Chosen]:
        found = []
        for example, item, logs in zip(examples, items, outputs, strict=True):
            best = int(logs.argmax())
            loss = None if item.target is None else -float(logs[item.target])
            found.append(Chosen(choice=best, text=example.choices[best], probabilities=tuple(np.exp(logs).tolist()), loss=loss))
        return found

    def metrics(self, examples: Sequence[ChoiceExample], predictions: Sequence[Chosen]) -> dict[str, float]:
        """accuracy: the share of examples whose choice is right."""
        return {"accuracy": float(np.mean([example.label == found.choice for example, found in zip(examples, predictions, strict=True)]))}


def _scores(model: nn.Module, batch: TaskBatch) -> Tensor:
    """The score of each choice, float32 [items, most choices of one], -inf where an item has fewer."""
    scores = call(model, batch, heads_only=True).logits.float().flatten()
    counts = batch.targets["choices"]
    there = torch.arange(int(counts.max()), device=scores.device) < counts[:, None]
    return torch.full(there.shape, -torch.inf, device=scores.device).masked_scatter(there, scores)


def _check(examples: Sequence[ChoiceExample]) -> None:
    problems = []
    for number, example in enumerate(examples):
        where = example.place or f"example {number + 1}"
        if not example.choices:
            problems.append(f"{where} has no choices: give at least one")
        elif example.label is not None and not 0 <= example.label < len(example.choices):
            problems.append(f"{where}: its label is {example.label}, and it has {len(example.choices)} choices: give a number from 0 on")
    if problems:
        raise InputError(*problems)

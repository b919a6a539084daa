"""Regression: the squared error of torch and transformers, in the units of the labels."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bertwright.architecture import CLASSIFY
from bertwright.data.labelled.examples import TextExample
from bertwright.tasks.regression import Regression
from bertwright.tasks.running import run
from bertwright.tasks.task import Item, Reading, Row
from bertwright.text.tokenizer import Tokenizer

TASK = Regression()
READING = Reading(pad_id=0, types=1, limit=None)
EXAMPLES = [
    TextExample(text="anna smith works there", label=4.5),
    TextExample(text="paris is the capital", pair="rome is the capital of italy", label=-2.0),
    TextExample(text="bob", pair="when did anna leave ?", label=0.0),
]


class Says(nn.Module):
    def forward(self, *given: Any, **asked: Any) -> Any:
        return SimpleNamespace(logits=torch.tensor([[4.0], [-1.0], [2.5]]))


def test_the_loss_is_the_squared_error() -> None:
    items = [Item((Row([5, 6]),), example.label, number) for number, example in enumerate(EXAMPLES)]
    batch = TASK.batch(items, numbers=np.arange(3), reading=READING)
    losses = TASK.losses(Says(), batch)
    assert losses.keys() == batch.weights.keys() == set(TASK.terms)
    assert (losses["loss"].sum.item(), batch.weights["loss"]) == (0.25 + 1.0 + 6.25, 3.0)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_loss_and_values_are_those_of_transformers(family: str, tiny: Callable[..., Any], library: Any) -> None:
    made = tiny(family, (CLASSIFY,), **TASK.config)
    items = TASK.items(EXAMPLES, made.tokenizer, max_length=64).items
    batch = TASK.batch(items, numbers=np.arange(3), reading=made.reading)
    with torch.inference_mode():
        ours = float(TASK.losses(made.model, batch)["loss"].sum) / batch.weights["loss"]
        model = library.AutoModelForSequenceClassification.from_pretrained(made.folder).eval()
        given = {"input_ids": batch.input_ids, "attention_mask": batch.mask.long(), "token_type_ids": batch.token_type_ids}
        theirs = model(**{name: value for name, value in given.items() if value is not None}, labels=torch.tensor([4.5, -2.0, 0.0]))
    assert (model.config.problem_type, model.config.num_labels) == ("regression", 1)
    assert ours == pytest.approx(float(theirs.loss), rel=1e-6, abs=1e-5)
    found = TASK.predictions(EXAMPLES, items, run(TASK, made.model, items, made.reading))
    assert [each.value for each in found] == pytest.approx(theirs.logits[:, 0].tolist(), abs=1e-5)
    assert np.mean([each.loss or 0.0 for each in found]) == pytest.approx(float(theirs.loss), rel=1e-6, abs=1e-5)


def test_values_stand_beside_their_labels() -> None:
    items = [Item((Row([5]),), target, number) for number, target in enumerate((4.5, None, 0.0))]
    found = TASK.predictions(EXAMPLES, items, [4.0, -1.0, 3.0])
    assert [(each.value, each.loss) for each in found] == [(4.0, 0.25), (-1.0, None), (3.0, 9.0)]
    measured = TASK.metrics(EXAMPLES, found)
    assert (measured["mse"], measured["mae"]) == pytest.approx(((0.25 + 1 + 9) / 3, (0.5 + 1 + 3) / 3))
    assert measured["spearman"] == pytest.approx(1.0)


def test_items_count_what_they_cut_and_know_who_has_no_number(tokenizer_of: Callable[[str], Tokenizer]) -> None:
    made = TASK.items([*EXAMPLES, TextExample(text="paris " * 50, pair="anna")], tokenizer_of("bert"), max_length=24)
    assert (made.truncated, [item.target for item in made.items]) == (1, [4.5, -2.0, 0.0, None])
    assert TASK.batch(made.items[3:], numbers=np.arange(1), reading=READING).targets == {}


def test_what_is_saved_is_one_output_of_a_regression() -> None:
    assert TASK.config == {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}, "problem_type": "regression", "bertwright": {"unit": 1.0}}

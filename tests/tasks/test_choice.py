"""Multiple choice: each item a softmax over its own choices, however many."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from bertwright.architecture import CHOICE
from bertwright.data.labelled.examples import ChoiceExample
from bertwright.data.places import Place
from bertwright.errors import InputError
from bertwright.tasks.choice import Choice
from bertwright.tasks.running import run
from bertwright.text.tokenizer import Tokenizer

TASK = Choice()
NAMES = ("anna", "bob", "rome", "paris", "london")
EXAMPLES = [
    ChoiceExample(text=f"who left in {month} {year} ?", choices=(NAMES[(3 * row + shift) % 5], NAMES[(3 * row + shift + 1) % 5], "nobody"), label=row % 3)
    for row, (month, year, shift) in enumerate([("may", 1998, 0), ("june", 1998, 1), ("may", 12, 2), ("june", 12, 3), ("monday", 19, 4)] * 2)
]
MIXED = [
    ChoiceExample(text="who works there", choices=("anna", "bob jones of acme"), label=1),
    ChoiceExample(text="when", choices=("may", "june", "monday", "1998"), label=0),
    ChoiceExample(text="rome", choices=("italy",), label=0),
]


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_loss_and_probabilities_are_those_of_transformers(family: str, tiny: Callable[..., Any], library: Any) -> None:
    made = tiny(family, (CHOICE,))
    items = TASK.items(EXAMPLES, made.tokenizer, max_length=64).items
    batch = TASK.batch(items, numbers=np.arange(10), reading=made.reading)
    assert (batch.token_type_ids is None) == (family != "bert")
    with torch.inference_mode():
        ours = TASK.losses(made.model, batch)["loss"].sum / batch.weights["loss"]
        model = library.AutoModelForMultipleChoice.from_pretrained(made.folder).eval()
        given = {"input_ids": batch.input_ids, "attention_mask": batch.mask.long(), "token_type_ids": batch.token_type_ids}
        shaped = {name: value.view(10, 3, -1) for name, value in given.items() if value is not None}
        theirs = model(**shaped, labels=torch.tensor([example.label for example in EXAMPLES]))
    assert float(ours) == pytest.approx(float(theirs.loss), abs=1e-5)
    found = TASK.predictions(EXAMPLES, items, run(TASK, made.model, items, made.reading))
    assert np.array([each.probabilities for each in found]) == pytest.approx(theirs.logits.softmax(-1).numpy(), abs=1e-5)
    assert np.mean([each.loss or 0.0 for each in found]) == pytest.approx(float(theirs.loss), abs=1e-5)


def test_items_of_different_numbers_of_choices_share_a_batch(tiny: Callable[..., Any]) -> None:
    made = tiny("bert", (CHOICE,))
    items = TASK.items(MIXED, made.tokenizer, max_length=64).items
    batch = TASK.batch(items, numbers=np.arange(3), reading=made.reading)
    together = TASK.losses(made.model, batch)["loss"].sum
    alone = [TASK.losses(made.model, TASK.batch([item], numbers=np.arange(1), reading=made.reading))["loss"].sum.item() for item in items]
    assert together.item() == pytest.approx(sum(alone), abs=1e-4)
    together.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in made.model.parameters() if parameter.grad is not None)
    found = TASK.predictions(MIXED, items, run(TASK, made.model, items, made.reading))
    assert [len(each.probabilities) for each in found] == [2, 4, 1]
    assert [sum(each.probabilities) for each in found] == pytest.approx([1, 1, 1], abs=1e-5)
    assert all(each.text == example.choices[each.choice] for each, example in zip(found, MIXED, strict=True))


def test_a_tiny_model_learns_ten_choices(tiny: Callable[..., Any]) -> None:
    made = tiny("bert", (CHOICE,), initializer_range=0.1)
    examples = [ChoiceExample(text=example.text, choices=example.choices, label=EXAMPLES[row % 5].label) for row, example in enumerate(EXAMPLES)]
    items = TASK.items(examples, made.tokenizer, max_length=64).items
    batch = TASK.batch(items, numbers=np.arange(10), reading=made.reading)
    optimizer = torch.optim.AdamW(made.model.parameters(), lr=3e-3)
    for _ in range(80):
        optimizer.zero_grad()
        (TASK.losses(made.model, batch)["loss"].sum / batch.weights["loss"]).backward()
        optimizer.step()
    found = TASK.predictions(examples, items, run(TASK, made.model, items, made.reading))
    assert TASK.metrics(examples, found) == {"accuracy": 1.0}


def test_the_longer_side_loses_its_end_and_examples_are_counted(tokenizer_of: Callable[[str], Tokenizer]) -> None:
    tokenizer = tokenizer_of("bert")
    example = ChoiceExample(text="paris " * 50, choices=("anna", "smith " * 60), label=0)
    made = TASK.items([example, MIXED[0]], tokenizer, max_length=20)
    assert made.truncated == 1
    first, second = made.items[0].rows
    assert len(first.ids) == len(second.ids) == 20
    assert first.ids == tokenizer.encode(example.text, "anna", max_length=20).ids
    assert sum(first.type_ids or ()) == 2  # anna [SEP]


def test_a_batch_to_predict_has_no_labels(tiny: Callable[..., Any]) -> None:
    made = tiny("bert", (CHOICE,))
    items = TASK.items([ChoiceExample(text="who", choices=("anna", "bob"))], made.tokenizer, max_length=64).items
    assert set(TASK.batch(items, numbers=np.arange(1), reading=made.reading).targets) == {"choices"}
    (found,) = TASK.predictions([ChoiceExample(text="who", choices=("anna", "bob"))], items, run(TASK, made.model, items, made.reading))
    assert found.loss is None


def test_what_cannot_be_is_refused_all_at_once(tokenizer_of: Callable[[str], Tokenizer]) -> None:
    wrong = [ChoiceExample(text="who", choices=(), place=Place("c.jsonl", "line", 2)), ChoiceExample(text="who", choices=("a", "b"), label=2)]
    with pytest.raises(InputError) as refused:
        TASK.items(wrong, tokenizer_of("bert"), max_length=64)
    assert refused.value.problems == (
        "c.jsonl, line 2 has no choices: give at least one",
        "example 2: its label is 2, and it has 2 choices: give a number from 0 on",
    )

"""Items through a model: every one's own output in the items' order, however they are put together."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from bertwright.architecture import CLASSIFY
from bertwright.data.labelled.examples import TextExample
from bertwright.tasks.classification import Classification
from bertwright.tasks.running import run

TASK = Classification(labels=("bad", "good"))
WORDS = ("the", "capital", "of", "france", "is", "paris", "and", "anna", "smith", "of", "acme", "works", "there", "since", "may")
EXAMPLES = [TextExample(text=" ".join(WORDS[number % 5 : number % 5 + 1 + number * 7 % 11])) for number in range(23)]


@pytest.mark.parametrize("tokens", [1, 40, 200, None])
def test_outputs_are_in_the_order_of_the_items(tokens: int | None, tiny: Callable[..., Any]) -> None:
    made = tiny("bert", (CLASSIFY,))
    items = TASK.items(EXAMPLES, made.tokenizer, max_length=32).items
    alone = [run(TASK, made.model, [item], made.reading)[0] for item in items]
    assert len({tuple(np.round(row, 4)) for row in alone}) > 15
    assert np.stack(run(TASK, made.model, items, made.reading, tokens=tokens)) == pytest.approx(np.stack(alone), abs=1e-5)
    assert run(TASK, made.model, [], made.reading, tokens=tokens) == []


def test_a_pass_holds_so_many_tokens_at_most_and_little_padding(tiny: Callable[..., Any]) -> None:
    made = tiny("bert", (CLASSIFY,))
    items = TASK.items(EXAMPLES, made.tokenizer, max_length=32).items
    seen: list[torch.Size] = []
    made.model.register_forward_hook(lambda module, given, out: seen.append(given[0].shape))
    run(TASK, made.model, items, made.reading, tokens=60)
    assert max(shape.numel() for shape in seen) <= 60
    assert sum(shape[0] for shape in seen) == len(items)
    assert sum(shape.numel() for shape in seen) < 1.25 * sum(item.length for item in items)


@pytest.mark.parametrize("tokens", [1, 50, None])
def test_the_items_of_passes_are_told_and_add_up(tokens: int | None, tiny: Callable[..., Any]) -> None:
    made, told = tiny("bert", (CLASSIFY,)), list[int]()
    items = TASK.items(EXAMPLES, made.tokenizer, max_length=32).items
    run(TASK, made.model, items, made.reading, tokens=tokens, passed=told.append)
    assert sum(told) == len(items)
    assert (len(told) == len(items)) is (tokens == 1)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_in_the_mode_it_was_in(training: bool, tiny: Callable[..., Any]) -> None:
    made, modes = tiny("bert", (CLASSIFY,)), set[bool]()
    items = TASK.items(EXAMPLES[:3], made.tokenizer, max_length=32).items
    made.model.train(training)
    made.model.register_forward_hook(lambda module, given, out: modes.add(module.training or torch.is_grad_enabled()))
    run(TASK, made.model, items, made.reading)
    assert modes == {False}
    assert made.model.training is training


def test_an_error_leaves_the_mode_too(tiny: Callable[..., Any]) -> None:
    made = tiny("bert", (CLASSIFY,))
    items = TASK.items(EXAMPLES[:3], made.tokenizer, max_length=32).items

    def fail(count: int) -> None:
        raise KeyboardInterrupt

    made.model.train()
    with pytest.raises(KeyboardInterrupt):
        run(TASK, made.model, items, made.reading, passed=fail)
    assert made.model.training

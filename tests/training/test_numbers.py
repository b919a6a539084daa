"""Regression of numbers far from 0 and 1: prices, years, thousandths."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bertwright import api
from bertwright.data.labelled.examples import TextExample
from bertwright.inference.predictor import load
from bertwright.tasks.regression import Regression
from bertwright.training.finetune_config import FinetuneConfig, FinetuneResult
from bertwright.training.finetuning import finetune

WORDS = ("bar", "ban", "ber", "ben", "bir", "kar", "kan", "ker", "ken", "kir")


def trained(start: Path, folder: Path, *, times: float, plus: float, **keys: Any) -> FinetuneResult:
    """A model of texts whose number is how many words with "b" they hold, less 2, times and plus something."""
    folder.mkdir()
    rows = [[WORDS[(number * 7 + place * (1 + number % 3)) % 10] for place in range(4)] for number in range(40)]
    lines = [f"{' '.join(row)},{times * (sum(word[0] == 'b' for word in row) - 2) + plus!r}\n" for row in rows]
    data = folder / "train.csv"
    data.write_text("text,score\n" + "".join(lines), encoding="utf-8")
    settings: dict[str, Any] = {"task": "regress", "bf16": False, "batch_size": 8, "learning_rate": 1e-3, "hidden_dropout_prob": 0.0}
    config = FinetuneConfig(**{**settings, "num_train_epochs": 3, "validation_fraction": 0.25, "attention_probs_dropout_prob": 0.0, **keys})
    return finetune(start, data, out=folder / "run", config=config)


@pytest.mark.parametrize(("times", "plus"), [(4096.0, 20_480.0), (2.0**-12, 0.0)])
def test_labels_multiplied_and_moved_are_the_same_training(times: float, plus: float, tmp_path: Path, start: Callable[[str], Path]) -> None:
    keys: dict[str, Any] = {"max_grad_norm": 0.3, "weight_decay": 0.3, "adam_epsilon": 1e-6}
    one = trained(start("bert"), tmp_path / "plain", times=1.0, plus=0.0, **keys)
    other = trained(start("bert"), tmp_path / "moved", times=times, plus=plus, **keys)
    first, second = (load_file(each.checkpoint / "model.safetensors") for each in (one, other))
    outputs = {name for name in first if name.startswith("classifier")}
    assert max(float((first[name] - second[name]).abs().max()) for name in first.keys() - outputs) < 2e-5
    assert torch.allclose(second["classifier.weight"], first["classifier.weight"] * times, rtol=1e-3, atol=1e-5 * times)
    assert torch.allclose(second["classifier.bias"], first["classifier.bias"] * times + plus, atol=1e-4 * times)
    one_loss, other_loss = (each.metrics["validation"]["mse"] for each in (one, other))
    assert other_loss == pytest.approx(one_loss * times**2, rel=1e-3)


def test_years_are_told_apart_in_half_precision(tmp_path: Path, start: Callable[[str], Path]) -> None:
    keys: dict[str, Any] = {"bf16": True, "num_train_epochs": 30, "learning_rate": 3e-3}
    result = trained(start("bert"), tmp_path / "years", times=4.0, plus=1990.0, **keys)
    assert result.metrics["validation"]["mae"] < 2.5  # of 1982 to 1998, where bfloat16 counts in eights
    exact, half = (load(result.run, bf16=bf16).regress("bar ban kar kan").value for bf16 in (False, True))
    assert half == pytest.approx(exact, abs=0.5)
    assert api.evaluate(result.run, tmp_path / "years" / "train.csv")["mae"] < 2.5


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_prices_are_learnt_with_a_bias_and_without(family: str, tmp_path: Path, start: Callable[[str], Path]) -> None:
    result = trained(start(family), tmp_path / "prices", times=50_000.0, plus=300_000.0, num_train_epochs=60, learning_rate=1e-3, weight_decay=0.0)
    assert result.metrics["validation"]["mae"] < 25_000
    assert result.metrics["validation"]["r2"] > 0.7


def test_a_fit_knows_the_labels_mean_and_deviation() -> None:
    examples = [TextExample(text="", label=label) for label in (1.0, 3.0, 5.0)]
    assert Regression.of(examples, bias=True) == Regression(centre=3.0, unit=pytest.approx((8 / 3) ** 0.5))
    assert Regression.of(examples, bias=False) == Regression(centre=0.0, unit=pytest.approx((35 / 3) ** 0.5))
    assert Regression.of(examples[:1], bias=True) == Regression(centre=1.0, unit=1.0)
    assert Regression.of([TextExample(text="", label=0.1)] * 10, bias=True).unit == 1.0

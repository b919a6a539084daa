"""The keys of a fine-tuning reach what they are for: each changes the trained weights as it should."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from bertwright.checkpoints.huggingface import read_architecture
from bertwright.models import Model
from bertwright.training import finetuning
from bertwright.training.depth import levels
from bertwright.training.finetune_config import FinetuneConfig
from bertwright.training.finetuning import finetune

WORDS = {"good": ("bar", "ban", "ber", "ben"), "bad": ("kar", "kan", "ker", "ken")}
ROWS = "text,label\n" + "".join(f"{first} {second},{label}\n" for label, row in WORDS.items() for first in row for second in row)
RATE = 1e-2
Trained = Callable[..., tuple[dict[str, Tensor], dict[str, Tensor]]]


@pytest.fixture
def trained(tmp_path: Path, start: Callable[[str], Path]) -> Trained:
    """(name, **keys) -> the weights before and after, by the names of the fine-tuned ones; one step of 8 rows unless told."""
    begun = start("bert")
    (tmp_path / "train.csv").write_text(ROWS, encoding="utf-8")

    def train(name: str, **keys: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        settings = {"bf16": False, "max_steps": 1, "batch_size": 8, "learning_rate": RATE, "validation_fraction": 0.25, "warmup_steps": 0, **keys}
        result = finetune(begun, tmp_path / "train.csv", out=tmp_path / name, config=FinetuneConfig(**settings))
        before = load_file(begun / "model.safetensors")
        return {f"bert.{name}".replace("bert.bert.", "bert."): tensor for name, tensor in before.items()}, load_file(result.checkpoint / "model.safetensors")

    return train


@pytest.mark.parametrize("keys", [{"adversarial": "fgm"}, {"adversarial": "pgd"}, {"r_drop": 1.0}, {"label_smoothing": 0.3}, {"freeze_layers": 1}])
def test_a_key_changes_what_is_trained(keys: dict[str, Any], trained: Trained) -> None:
    (_, plain), (_, other) = trained("plain"), trained("other", **keys)
    assert any(not torch.equal(plain[name], other[name]) for name in plain)


def test_lower_layers_learn_at_lower_rates(tmp_path: Path, trained: Trained) -> None:
    (before, plain), (_, other) = trained("plain"), trained("other", layer_learning_rate_decay=0.5)
    depth = levels(read_architecture(next((tmp_path / "other" / "checkpoints").iterdir())))
    for name, above in (("embeddings.word_embeddings.weight", depth + 1), ("encoder.layer.0.output.dense.weight", depth), ("pooler.dense.weight", 0)):
        moved, slower = (after[f"bert.{name}"] - before[f"bert.{name}"] for after in (plain, other))
        torch.testing.assert_close(slower, moved * 0.5**above, rtol=0.0, atol=1e-6, msg=name)
        assert moved.abs().max() > RATE / 2


def test_what_is_saved_is_the_average(trained: Trained) -> None:
    (before, plain), (_, average) = trained("plain"), trained("other", ema_decay=0.9)
    for name in before:  # the first update has a decay of 1 / 10
        torch.testing.assert_close(average[name], 0.1 * before[name] + 0.9 * plain[name], rtol=0.0, atol=1e-6, msg=name)


def test_activations_are_computed_again(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[Model] = []
    monkeypatch.setattr(finetuning, "freeze", lambda model, layers: models.append(model))
    (_, plain), (_, other) = trained("plain"), trained("other", gradient_checkpointing=True)
    assert [model.encoder is not None and model.encoder.recomputes for model in models] == [False, True]
    for name in plain:
        torch.testing.assert_close(other[name], plain[name], rtol=0.0, atol=1e-6 if "key.bias" not in name else 2 * RATE, msg=name)


def test_a_new_head_begins_as_its_family_has_it(trained: Trained) -> None:
    _, after = trained("run", learning_rate=1e-12)
    assert after["classifier.bias"].abs().max() < 1e-9
    assert math.isclose(after["classifier.weight"].std().item(), 0.02, rel_tol=0.25)


def test_smaller_passes_give_the_weights_of_one(tmp_path: Path, trained: Trained) -> None:
    # A large epsilon, since Adam moves even what has a gradient of rounding noise alone by whole steps.
    keys: dict[str, Any] = {"max_steps": 3, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "adam_epsilon": 1e-3}
    (before, whole), (_, parts) = trained("whole", micro_batch_size=8, **keys), trained("parts", micro_batch_size=3, **keys)
    described = json.loads((next((tmp_path / "parts" / "checkpoints").iterdir()) / "config.json").read_text(encoding="utf-8"))
    assert not any(rate for key, rate in described.items() if "dropout" in key)
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=0.0, atol=1e-5, msg=name)
    assert (whole["bert.pooler.dense.weight"] - before["bert.pooler.dense.weight"]).abs().max() > 1e-3

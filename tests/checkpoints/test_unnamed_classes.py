"""Files whose config.json names no class of the family: the tensors say which one it is, or that they do not."""

import json
from pathlib import Path
from typing import Any

import pytest

from bertwright.architecture import HeadKind
from bertwright.checkpoints import huggingface
from bertwright.checkpoints.huggingface import load_model, save_model
from bertwright.errors import CheckpointError
from bertwright.families import family_of, preset
from bertwright.models import Model


def unnamed(folder: Path, name: str, class_name: str, *, architectures: Any, **keys: Any) -> tuple[HeadKind, ...]:
    """Saves a new model of a class and takes the class out of its config.json; its heads."""
    config = preset(name, vocab_size=64, **keys)
    family = family_of(config)
    heads = family.complete_heads(family.classes[class_name])
    save_model(Model(family.architecture(config), heads), folder, config=config)
    written = json.loads((folder / "config.json").read_text())
    del written["architectures"]
    (folder / "config.json").write_text(json.dumps(written | ({} if architectures is None else {"architectures": architectures})))
    return heads


@pytest.mark.parametrize("architectures", [None, ["MyOwnModel"], 3])
@pytest.mark.parametrize(
    ("name", "class_name"),
    [
        ("bert-tiny", "BertForPreTraining"),
        ("bert-tiny", "BertForMaskedLM"),
        ("bert-tiny", "BertForSequenceClassification"),
        ("bert-tiny", "BertForTokenClassification"),
        ("bert-tiny", "BertForQuestionAnswering"),
        ("bert-tiny", "BertForMultipleChoice"),
        ("roberta-tiny", "RobertaForTokenClassification"),
        ("distilbert-tiny", "DistilBertForTokenClassification"),
        ("distilbert-tiny", "DistilBertForMultipleChoice"),
        ("gpt2-tiny", "GPT2LMHeadModel"),
        ("gpt2-tiny", "GPT2ForSequenceClassification"),
        ("t5-tiny", "T5ForConditionalGeneration"),
    ],
)
def test_the_tensors_say_which_class_they_are_of(tmp_path: Path, name: str, class_name: str, architectures: Any) -> None:
    heads = unnamed(tmp_path, name, class_name, architectures=architectures, num_labels=5)
    loaded = load_model(tmp_path)
    assert loaded.model.head_kinds == heads
    assert loaded.created == ()


def test_tensors_that_could_be_of_several_classes_are_not_guessed(tmp_path: Path) -> None:
    unnamed(tmp_path, "modernbert-tiny", "ModernBertForTokenClassification", architectures=None, num_labels=5)
    with pytest.raises(CheckpointError, match=r"could be of ModernBertForSequenceClassification or ModernBertForTokenClassification: put the right one"):
        load_model(tmp_path)


def test_a_pooler_is_never_made_up(tmp_path: Path) -> None:
    """A classifier whose pooler is gone is a damaged file, not one with a random pooler."""
    unnamed(tmp_path, "bert-tiny", "BertForTokenClassification", architectures=["BertForSequenceClassification"])
    with pytest.raises(CheckpointError, match=r"bert.pooler.dense.weight is missing"):
        load_model(tmp_path)


def test_new_heads_cost_no_second_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unnamed(tmp_path, "bert-tiny", "BertForMaskedLM", architectures=["BertForMaskedLM"])
    made: list[int] = []
    monkeypatch.setattr(huggingface, "initialise", lambda module, architecture: made.append(sum(tensor.numel() for tensor in module.parameters())))
    loaded = load_model(tmp_path, heads=("mlm", "tag"))
    assert loaded.created == ("tag",)
    assert made == [sum(tensor.numel() for tensor in loaded.model.heads["tag"].parameters())]

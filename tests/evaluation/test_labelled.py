"""Measuring on labelled rows: the task's own metrics, intervals around them, and a baseline that reads nothing."""

from typing import cast

import numpy as np
import pytest
import torch

from bertwright.architecture import CLASSIFY, POOLER
from bertwright.data.labelled.examples import ChoiceExample, LabelledData, TagExample, TextExample
from bertwright.evaluation.labelled import blind_predictions, intervals_of, measure
from bertwright.families.bert import BERT
from bertwright.models import Model
from bertwright.tasks.classification import Classification
from bertwright.tasks.predictions import Chosen, Regressed, Tagged
from bertwright.tasks.regression import Regression
from bertwright.tasks.task import Task
from bertwright.text.tokenizer import Tokenizer

WORDS = ["good", "bad", "film", "a", "very", "one"]
LABELS = ("bad", "good")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n", encoding="utf-8")
    return Tokenizer.load(path)


def small_model(labels: int) -> Model:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 16}
    torch.manual_seed(0)
    model = Model(BERT.architecture({"model_type": "bert", "vocab_size": 5 + len(WORDS), "num_labels": labels, **sizes}), (POOLER, CLASSIFY))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.4)
    return model


def rows(*labels: str) -> LabelledData:
    texts = ["a film", "a very good film", "bad", "one very very bad film", "good good"]
    examples = [TextExample(text=texts[number % len(texts)], label=label) for number, label in enumerate(labels)]
    return LabelledData(name="rows.csv", task="classify", examples=examples, labels=LABELS)


def test_metrics_are_the_tasks_own_and_predictions_stand_in_order(tokenizer: Tokenizer) -> None:
    task, model, data = Classification(labels=LABELS), small_model(2), rows("good", "bad", "bad", "good", "bad", "good", "good")
    found = measure(task, model, data, tokenizer, max_length=16)
    for example, prediction in zip(data.examples, found.predictions, strict=True):
        alone = measure(task, model, LabelledData(name="one", task="classify", examples=[example], labels=LABELS), tokenizer, max_length=16, intervals=False)
        assert prediction.probabilities == pytest.approx(alone.predictions[0].probabilities, abs=1e-6)
        assert prediction.loss == pytest.approx(-np.log(prediction.probabilities[example.label]), abs=1e-6)
    right = [prediction.label == example.label for example, prediction in zip(data.examples, found.predictions, strict=True)]
    assert found.metrics["accuracy"] == pytest.approx(np.mean(right))
    assert found.metrics["loss"] == pytest.approx(np.mean([prediction.loss for prediction in found.predictions]))
    low, high = found.intervals["accuracy"]
    assert low <= found.metrics["accuracy"] <= high
    assert alone.intervals == {}


def test_what_is_cut_is_counted(tokenizer: Tokenizer) -> None:
    assert measure(Classification(labels=LABELS), small_model(2), rows("good", "bad", "bad", "good"), tokenizer, max_length=5).truncated == 2


def test_the_baseline_is_the_commonest_label_of_these_rows(tokenizer: Tokenizer) -> None:
    found = measure(Classification(labels=LABELS), small_model(2), rows("good", "good", "bad", "good", "bad"), tokenizer, max_length=16)
    assert found.baseline["accuracy"] == pytest.approx(0.6)
    assert found.baseline["loss"] == pytest.approx(-0.6 * np.log(0.6) - 0.4 * np.log(0.4))
    assert found.baseline["f1_macro"] == pytest.approx(0.75 / 2)


def test_a_text_may_have_several_labels(tokenizer: Tokenizer) -> None:
    examples = [TextExample(text="good film", label=names) for names in (("good",), ("good", "bad"), (), ("good",), ("bad", "good"))]
    data = LabelledData(name="rows.jsonl", task="classify", examples=examples, labels=LABELS, several=True)
    found = measure(Classification(labels=LABELS, several=True), small_model(2), data, tokenizer, max_length=16)
    assert found.baseline["accuracy"] == pytest.approx(0.4)  # the four of five that are good, of which two are nothing else
    low, high = found.intervals["f1_micro"]
    assert low <= found.metrics["f1_micro"] <= high


def test_numbers_are_held_against_their_mean(tokenizer: Tokenizer) -> None:
    examples = [TextExample(text="good film", pair="bad", label=float(number)) for number in range(6)]
    found = measure(Regression(), small_model(1), LabelledData(name="rows.csv", task="regress", examples=examples), tokenizer, max_length=16)
    assert found.baseline["mse"] == pytest.approx(np.var(range(6)))
    assert {"pearson", "spearman", "mse"} <= found.intervals.keys()


class ByHand:
    """A task whose metric needs no model."""

    def __init__(self, name: str) -> None:
        self.name = name

    def metrics(self, examples: list[ChoiceExample], predictions: list[Chosen]) -> dict[str, float]:
        return {"accuracy": float(np.mean([example.label == found.choice for example, found in zip(examples, predictions, strict=True)]))}


def by_hand(name: str) -> Task:
    """Of a task only what is asked for here."""
    return cast(Task, ByHand(name))


def test_metrics_of_any_task_get_intervals() -> None:
    task = by_hand("choice")
    examples = [ChoiceExample(text="", choices=("a", "b", "c"), label=number % 3) for number in range(30)]
    data = LabelledData(name="choices.jsonl", task="choice", examples=examples)
    predictions = [Chosen(choice=number % 2, text="", probabilities=(1.0, 0.0, 0.0)) for number in range(30)]
    low, high = intervals_of(task, data, predictions)["accuracy"]
    share = task.metrics(examples, predictions)["accuracy"]
    assert low < share < high
    assert high - low == pytest.approx(4 * (share * (1 - share) / 30) ** 0.5, rel=0.25)


def test_what_reads_nothing_says_the_same_of_every_row() -> None:
    choices = [ChoiceExample(text="", choices=("a", "b", "c")[: 2 + number % 2], label=label) for number, label in enumerate((2, 1, 2, 0))]
    task = by_hand("choice")
    blind = blind_predictions(task, LabelledData(name="c", task="choice", examples=choices))
    assert [(found.choice, found.text) for found in blind] == [(1, "b"), (2, "c"), (1, "b"), (2, "c")]
    words = TagExample(words=("Ann", "ran"), tags=("B-PER", "O"))
    assert blind_predictions(by_hand("tag"), LabelledData(name="t", task="tag", examples=[words])) == [
        Tagged(text="", words=words.words, tags=("O", "O"), entities=())
    ]
    assert blind_predictions(by_hand("embed"), LabelledData(name="e", task="embed", examples=[])) == []
    numbers = LabelledData(name="n", task="regress", examples=[TextExample(text="", label=1.0), TextExample(text="", label=4.0)])
    assert blind_predictions(Regression(), numbers) == [Regressed(value=2.5)] * 2

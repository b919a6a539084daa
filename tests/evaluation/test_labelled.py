"""Measuring on labelled rows: the task's own metrics, intervals around them, and a baseline that reads nothing."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.metrics import f1_score, log_loss

from bertwright.architecture import CLASSIFY, POOLER
from bertwright.data.labelled.examples import (
    TASKS,
    Answer,
    ChoiceExample,
    EmbedExample,
    LabelledData,
    QuestionExample,
    TagExample,
    TaskName,
    TextExample,
    WriteExample,
)
from bertwright.evaluation.baselines import blind_predictions, takes_labels
from bertwright.evaluation.intervals import intervals_of
from bertwright.evaluation.labelled import PEEKED, measure
from bertwright.families.bert import BERT
from bertwright.metrics.intervals import Draws, bootstrap
from bertwright.models import Model
from bertwright.models.generation_settings import Generation
from bertwright.tasks.answering import Answering
from bertwright.tasks.choice import Choice
from bertwright.tasks.classification import Classification
from bertwright.tasks.embedding import Embedding
from bertwright.tasks.predictions import Answered, Chosen, Classified, Embedded, Regressed, Tagged, Written
from bertwright.tasks.regression import Regression
from bertwright.tasks.tagging import Tagging
from bertwright.tasks.task import Task
from bertwright.tasks.writing import Writing
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


def test_the_baseline_is_the_commonest_label_of_the_training_rows(tokenizer: Tokenizer) -> None:
    data, train = rows("good", "good", "bad", "good"), rows("bad", "bad", "bad", "good")
    found = measure(Classification(labels=LABELS), small_model(2), data, tokenizer, max_length=16, train=train)
    assert found.baseline["accuracy"] == pytest.approx(0.25)
    assert found.baseline["loss"] == pytest.approx(-0.75 * np.log(0.25) - 0.25 * np.log(0.75))
    assert not found.peeked
    assert found.said == ()
    alone = measure(Classification(labels=LABELS), small_model(2), data, tokenizer, max_length=16)
    assert alone.baseline["accuracy"] == pytest.approx(0.75)
    assert alone.peeked
    assert alone.said == (PEEKED,)


class Counted:
    """A task whose metrics are counted."""

    def __init__(self, task: Task) -> None:
        self.task, self.calls = task, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def metrics(self, examples: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
        self.calls += 1
        return self.task.metrics(examples, predictions)


def test_metrics_are_computed_twice_however_many_draws_an_interval_has(tokenizer: Tokenizer) -> None:
    task = Counted(Classification(labels=LABELS))
    found = measure(cast(Task, task), small_model(2), rows("good", "bad", "bad", "good", "bad"), tokenizer, max_length=16)
    assert found.intervals.keys() == found.metrics.keys()
    assert task.calls == 2


Case = tuple[Task, TaskName, list[Any], list[Any]]


def classes() -> Case:
    examples = [TextExample(text="", label=LABELS[number % 3 % 2]) for number in range(11)]
    shares = np.random.default_rng(0).uniform(size=11)
    said = [Classified(label=LABELS[int(share > 0.5)], labels=(LABELS[int(share > 0.5)],), probabilities={"bad": 1 - share, "good": share}) for share in shares]
    return Classification(labels=LABELS), "classify", examples, said


def several_labels() -> Case:
    examples = [TextExample(text="", label=LABELS[: number % 3]) for number in range(11)]
    chances = np.random.default_rng(0).uniform(size=(11, 2)).tolist()
    said = [Classified(label=None, labels=(), probabilities=dict(zip(LABELS, row, strict=True))) for row in chances]
    return Classification(labels=LABELS, several=True), "classify", examples, said


def values() -> Case:
    said = [Regressed(value=value) for value in np.random.default_rng(0).normal(size=11).tolist()]
    return Regression(), "regress", [TextExample(text="", label=number % 4) for number in range(11)], said


def tagged(tags: str, other: str) -> tuple[list[Any], list[Any]]:
    sentences = [(one.split(), two.split()) for one, two in zip(tags.split("|"), other.split("|"), strict=True)]
    examples = [TagExample(words=("w",) * len(one), tags=tuple(one)) for one, _ in sentences]
    return examples, [Tagged(text="", words=("w",) * len(two), tags=tuple(two), entities=()) for _, two in sentences]


def entities() -> Case:
    return Tagging(labels=("O", "B-A", "I-A", "B-B")), "tag", *tagged("B-A I-A O|B-B O|O O|B-A", "B-A O O|B-B O|B-A O|B-B")


def words() -> Case:
    return Tagging(labels=("NN", "VB")), "tag", *tagged("NN NN VB|VB NN|VB|NN NN", "NN VB VB|VB NN|NN|NN NN")


def answers(*, no_answer: bool) -> Case:
    there = ["a cat", "the dog", None if no_answer else "cows", "one horse", "red", None if no_answer else "blue"]
    texts = ["cat", "a dog runs", "cow", "", "red", ""]
    examples = [
        QuestionExample(id=str(number), question="", context="", answers=() if text is None else (Answer(text=text, start=0),))
        for number, text in enumerate(there)
    ]
    sure = [0.1, 0.4, 0.7, 0.9, 0.2, 0.8]
    said = [Answered(text=text, start=0, end=0, score=1.0, no_answer=none if no_answer else None) for text, none in zip(texts, sure, strict=True)]
    return Answering(no_answer=no_answer), "answer", examples, said


def first_version() -> Case:
    return answers(no_answer=False)


def second_version() -> Case:
    return answers(no_answer=True)


def choices() -> Case:
    examples = [ChoiceExample(text="", choices=("a", "b", "c"), label=number % 3) for number in range(13)]
    return Choice(), "choice", examples, [Chosen(choice=number % 2, text="", probabilities=(1.0, 0.0, 0.0)) for number in range(13)]


def embedded(count: int, ranks: Sequence[int | None], *, scores: bool) -> tuple[list[Any], list[Any]]:
    generator = np.random.default_rng(0)
    examples = [EmbedExample(texts=("t",) * (count + 1), score=float(number % 5) if scores else None) for number in range(len(ranks))]
    said = [Embedded(vectors=np.zeros((1, 1), dtype=np.float32), similarities=tuple(generator.uniform(size=count)), rank=rank) for rank in ranks]
    return examples, said


def scored_pairs() -> Case:
    return Embedding(kind="scored"), "embed", *embedded(1, [None] * 12, scores=True)


def triplets() -> Case:
    return Embedding(kind="triplets", metric="triplet_accuracy"), "embed", *embedded(2, [1, 2, 7, 1, 12, 3, 1, 4], scores=False)


def texts() -> Case:
    pytest.importorskip("sacrebleu")
    pytest.importorskip("rouge_score")
    pairs = [("the cat sat on it", "the cat sat on the mat"), ("a dog", "a dog"), ("blue and red", "red"), ("he is there", "he was here too")]
    examples = [WriteExample(source="s", target=target) for _, target in pairs]
    said = [Written(text=text, loss=0.5 + number / 3, tokens=3 + number) for number, (text, _) in enumerate(pairs)]
    task = Writing(tokenizer=cast(Tokenizer, None), continues=False, settings=Generation())
    return task, "generate", examples, said


CASES: tuple[Callable[[], Case], ...] = (
    *(classes, several_labels, values, entities, words),
    *(first_version, second_version, choices, scored_pairs, triplets, texts),
)


@pytest.mark.parametrize("case", CASES)
def test_the_intervals_of_every_task_are_those_of_its_metrics_on_resamples(case: Callable[[], Case]) -> None:
    task, name, examples, said = case()
    data, draws = LabelledData(name="rows", task=name, examples=examples, labels=LABELS), Draws(resamples=40, seed=5)
    metrics = task.metrics(examples, said)
    expected = bootstrap(lambda drawn: task.metrics([examples[row] for row in drawn], [said[row] for row in drawn]), len(said), resamples=40, seed=5)
    counted = Counted(task)
    found = intervals_of(cast(Task, counted), data, said, metrics, draws=draws)
    assert counted.calls == 0
    assert found.keys() == metrics.keys()
    for metric, bounds in found.items():
        assert bounds == pytest.approx(expected[metric], abs=1e-9), metric


def test_every_task_has_its_case() -> None:
    assert {case()[1] for case in CASES} == set(TASKS)


def test_a_task_without_a_way_of_its_own_is_measured_anew_for_each_draw() -> None:
    task, _, examples, said = choices()
    counted = Counted(task)
    data = LabelledData(name="rows", task=cast(TaskName, "another"), examples=examples)
    found = intervals_of(cast(Task, counted), data, said, task.metrics(examples, said), draws=Draws(resamples=30))
    assert counted.calls == 30
    low, high = found["accuracy"]
    assert low < task.metrics(examples, said)["accuracy"] < high


def blind(data: LabelledData, train: LabelledData, task: Task | None = None) -> list[Any]:
    return blind_predictions(task or cast(Task, None), data, train)


def labelled(task: TaskName, *examples: Any) -> LabelledData:
    return LabelledData(name="rows", task=task, examples=examples)


def test_what_reads_nothing_says_the_same_of_every_row() -> None:
    options = [ChoiceExample(text="", choices=("a", "b", "c")[: 2 + number % 2], label=0) for number in range(3)]
    train = labelled("choice", *(ChoiceExample(text="", choices=("a", "b", "c"), label=label) for label in (2, 1, 2, 0)))
    assert [(found.choice, found.text) for found in blind(labelled("choice", *options), train)] == [(1, "b"), (2, "c"), (1, "b")]
    numbers = labelled("regress", TextExample(text="", label=1.0), TextExample(text="", label=4.0))
    assert blind(labelled("regress", TextExample(text="", label=9.0)), numbers) == [Regressed(value=2.5)]
    assert blind(labelled("embed"), labelled("embed")) == []
    question = QuestionExample(id="", question="", context="", answers=())
    assert [found.text for found in blind(labelled("answer", question), labelled("answer"))] == [""]


def test_what_reads_nothing_finds_no_entity_and_takes_every_word_for_the_commonest_kind() -> None:
    rows = labelled("tag", TagExample(words=("Ann", "ran"), tags=("B-PER", "O")))
    assert [found.tags for found in blind(rows, rows)] == [("O", "O")]
    kinds = labelled("tag", TagExample(words=("a", "b", "c"), tags=("VB", "NN", "NN")))
    assert [found.tags for found in blind(rows, kinds)] == [("NN", "NN")]
    assert [takes_labels(data) for data in (rows, kinds, labelled("answer"), labelled("choice"))] == [False, True, False, True]


def test_the_majority_of_training_is_scikit_learns_dummy() -> None:
    names = ("a", "b", "c")
    task, train, data = (
        Classification(labels=names),
        labelled("classify", *(TextExample(text="", label=names[number]) for number in (2, 2, 2, 0, 1))),
        labelled("classify", *(TextExample(text="", label=names[number]) for number in (0, 0, 2, 1))),
    )
    found = task.metrics(data.examples, blind(data, train, task))
    labels, nothing = [example.label for example in data.examples], np.zeros((4, 1))
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((5, 1)), [example.label for example in train.examples])
    assert found["accuracy"] == 0.25
    assert found["f1_macro"] == pytest.approx(f1_score(labels, dummy.predict(nothing), average="macro", zero_division=0))
    assert found["loss"] == pytest.approx(log_loss(labels, dummy.predict_proba(nothing)))
    assert (found["mcc"], found["auc"]) == (0, 0.5)

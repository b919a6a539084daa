"""Classification: its loss is torch's, transformers' and, with R-Drop, the paper's; predictions and what is saved say the same labels."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical, kl_divergence

from bertwright.architecture import CLASSIFY
from bertwright.data.labelled.examples import TextExample
from bertwright.tasks.classification import Classification, balanced_weights
from bertwright.tasks.running import run
from bertwright.tasks.task import Item, Reading, Row, TaskBatch
from bertwright.text.tokenizer import Tokenizer

READING = Reading(pad_id=0, types=1, limit=None)
LABELS = ("bad", "fine", "good")
ONE = torch.tensor([2, 0, 1, 2, 2])
SEVERAL = torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [1, 0, 0]])
WEIGHTS = (3.0, 0.5, 1.25)
EXAMPLES = [
    TextExample(text="anna smith works there", label="bad"),
    TextExample(text="paris is the capital", pair="rome is the capital of italy", label="good"),
    TextExample(text="bob", pair="when did anna leave ?", label="fine"),
    TextExample(text="may 1998", label="good"),
]
GIVEN: tuple[str | tuple[str, ...], ...] = (("bad", "good"), (), "fine", LABELS)
WITH_SEVERAL = [TextExample(text=each.text, pair=each.pair, label=label) for each, label in zip(EXAMPLES, GIVEN, strict=True)]


class Says(nn.Module):
    """Gives the logits it was made with, one after the other."""

    def __init__(self, *logits: Tensor) -> None:
        super().__init__()
        self.logits = list(logits)

    def forward(self, *given: Any, **asked: Any) -> Any:
        return SimpleNamespace(logits=self.logits.pop(0))


def scores(seed: int) -> Tensor:
    return torch.randn(len(ONE), len(LABELS), generator=torch.Generator().manual_seed(seed)) * 2


def batch_of(task: Classification) -> TaskBatch:
    targets = SEVERAL.tolist() if task.several else ONE.tolist()
    return task.batch([Item((Row([5, 6]),), target, number) for number, target in enumerate(targets)], numbers=np.arange(len(ONE)), reading=READING)


def loss_of(task: Classification, *logits: Tensor) -> float:
    batch = batch_of(task)
    return float(task.losses(Says(*logits), batch)["loss"].sum) / batch.weights["loss"]


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_one_label_is_torchs(smoothing: float, weights: tuple[float, ...] | None) -> None:
    task = Classification(labels=LABELS, smoothing=smoothing, weights=weights)
    expected = nn.CrossEntropyLoss(weight=None if weights is None else torch.tensor(weights), label_smoothing=smoothing)
    assert loss_of(task, scores(0)) == pytest.approx(float(expected(scores(0), ONE)), abs=1e-6)
    assert batch_of(task).weights["loss"] == (5 if weights is None else 3 * 1.25 + 3.0 + 0.5)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_several_labels_is_torchs(smoothing: float, weights: tuple[float, ...] | None) -> None:
    task = Classification(labels=LABELS, several=True, smoothing=smoothing, weights=weights)
    expected = nn.BCEWithLogitsLoss(pos_weight=None if weights is None else torch.tensor(weights))
    right = torch.where(SEVERAL == 1, 1 - smoothing / 2, smoothing / 2)  # half of the share goes to each of yes and no
    assert loss_of(task, scores(0)) == pytest.approx(float(expected(scores(0), right)), abs=1e-6)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("several", [False, True])
def test_two_passes_lose_half_of_what_the_paper_says(several: bool, weights: tuple[float, ...] | None) -> None:
    """R-Drop, equation 4: -log P1(y) - log P2(y) + alpha / 2 (KL(P1 | P2) + KL(P2 | P1)); half of it is on the scale of one pass."""
    task, plain = (Classification(labels=LABELS, several=several, weights=weights, r_drop=alpha) for alpha in (0.7, 0.0))
    one, other = scores(0), scores(1)
    first, second = (Bernoulli(logits=x) if several else Categorical(logits=x) for x in (one, other))
    apart = (kl_divergence(first, second) + kl_divergence(second, first)).sum() / (len(LABELS) if several else 1) / batch_of(task).weights["loss"]
    paper = loss_of(plain, one) + loss_of(plain, other) + 0.7 / 2 * float(apart)
    assert loss_of(task, one, other) == pytest.approx(paper / 2, abs=1e-5)
    assert loss_of(task, one, one) == pytest.approx(loss_of(plain, one), abs=1e-6)


@pytest.mark.parametrize("r_drop", [0.0, 1.0])
@pytest.mark.parametrize("several", [False, True])
def test_right_rows_are_counted_and_are_no_part_of_the_loss(several: bool, r_drop: float) -> None:
    task = Classification(labels=LABELS, several=several, r_drop=r_drop, weights=WEIGHTS)
    right = 2 * SEVERAL - 1 if several else torch.eye(len(LABELS))[ONE]
    logits, batch = torch.cat([right[:3], -right[3:]]), batch_of(task)
    losses = task.losses(Says(logits, logits), batch)
    assert losses.keys() == batch.weights.keys() == set(task.terms)
    assert (losses["accuracy"].sum.item(), batch.weights["accuracy"], losses["accuracy"].trained) == (3, 5.0, False)
    assert losses["loss"].trained


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_loss_and_probabilities_are_those_of_transformers(family: str, several: bool, tiny: Callable[..., Any], library: Any) -> None:
    task, examples = Classification(labels=LABELS, several=several), WITH_SEVERAL if several else EXAMPLES
    made = tiny(family, (CLASSIFY,), **task.config)
    items = task.items(examples, made.tokenizer, max_length=64).items
    batch = task.batch(items, numbers=np.arange(len(items)), reading=made.reading)
    with torch.inference_mode():
        ours = float(task.losses(made.model, batch)["loss"].sum) / batch.weights["loss"]
        model = library.AutoModelForSequenceClassification.from_pretrained(made.folder).eval()
        given = {"input_ids": batch.input_ids, "attention_mask": batch.mask.long(), "token_type_ids": batch.token_type_ids}
        theirs = model(**{name: value for name, value in given.items() if value is not None}, labels=batch.targets["labels"])
    assert model.config.problem_type == task.config["problem_type"]
    assert model.config.id2label == dict(enumerate(LABELS))
    assert ours == pytest.approx(float(theirs.loss), abs=1e-5)
    found = task.predictions(examples, items, run(task, made.model, items, made.reading))
    chances = theirs.logits.sigmoid() if several else theirs.logits.softmax(-1)
    assert np.array([list(each.probabilities.values()) for each in found]) == pytest.approx(chances.numpy(), abs=1e-5)
    assert np.mean([each.loss or 0.0 for each in found]) == pytest.approx(float(theirs.loss), abs=1e-5)
    if several:
        assert [each.labels for each in found] == [tuple(name for name, value in zip(LABELS, row, strict=True) if value >= 0.5) for row in chances.tolist()]
        assert {each.label for each in found} == {None}
    else:
        assert [each.label for each in found] == [LABELS[number] for number in theirs.logits.argmax(-1).tolist()]
        assert all(each.labels == (each.label,) for each in found)


def test_logits_become_probabilities_however_large() -> None:
    logits, nothing = [np.array([800.0, 0.0, -800.0]), np.array([0.0, 0.0, 0.0])], [Item((Row([5]),), None, number) for number in range(2)]
    sure, unsure = Classification(labels=LABELS).predictions(EXAMPLES[:2], nothing, logits)
    assert (sure.label, list(sure.probabilities.items()), sure.loss) == ("bad", [("bad", 1.0), ("fine", 0.0), ("good", 0.0)], None)
    assert list(unsure.probabilities.values()) == pytest.approx([1 / 3] * 3)
    halves = Classification(labels=LABELS, several=True).predictions(EXAMPLES[1:2], nothing[:1], logits[1:])[0]
    assert (halves.label, halves.labels, list(halves.probabilities.values()), halves.loss) == (None, LABELS, [0.5] * 3, None)
    assert Classification(labels=LABELS).predictions([], [], []) == []


def test_targets_are_the_numbers_of_labels(tokenizer_of: Callable[[str], Tokenizer]) -> None:
    tokenizer = tokenizer_of("bert")
    one, several = Classification(labels=LABELS), Classification(labels=LABELS, several=True)
    assert [item.target for item in one.items(EXAMPLES, tokenizer, max_length=64).items] == [0, 2, 1, 2]
    assert [item.target for item in several.items(WITH_SEVERAL, tokenizer, max_length=64).items] == [[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]]
    unknown = one.items([TextExample(text="rome")], tokenizer, max_length=64).items
    assert one.batch(unknown, numbers=np.arange(1), reading=READING).targets == {}


def test_a_pair_loses_the_end_of_its_longer_side_and_is_counted(tokenizer_of: Callable[[str], Tokenizer]) -> None:
    tokenizer = tokenizer_of("bert")
    examples = [TextExample(text="paris " * 50, pair="anna smith", label="bad"), TextExample(text="anna", pair="rome " * 60, label="bad"), EXAMPLES[3]]
    made = Classification(labels=LABELS).items(examples, tokenizer, max_length=16)
    assert made.truncated == 2
    assert [item.length for item in made.items[:2]] == [16, 16]
    short = tokenizer.encode("anna smith").ids[1:]  # with the end of the pair
    assert made.items[0].rows[0].ids[-len(short) :] == short
    assert sum(made.items[0].rows[0].type_ids or ()) == len(short)
    assert made.items[1].rows[0].ids[: len(tokenizer.encode("anna").ids)] == tokenizer.encode("anna").ids


@pytest.mark.parametrize("several", [False, True])
def test_what_is_saved_names_labels_and_kind(several: bool) -> None:
    assert Classification(labels=LABELS, several=several).config == {
        "id2label": {"0": "bad", "1": "fine", "2": "good"},
        "label2id": {"bad": 0, "fine": 1, "good": 2},
        "problem_type": "multi_label_classification" if several else "single_label_classification",
    }


@pytest.mark.parametrize("several", [False, True])
def test_metrics_are_of_the_labels_by_name(several: bool, tokenizer_of: Callable[[str], Tokenizer]) -> None:
    task, examples = Classification(labels=LABELS, several=several), WITH_SEVERAL if several else EXAMPLES
    items = task.items(examples, tokenizer_of("bert"), max_length=64).items
    right = [np.array(item.target) if several else np.eye(3)[item.target] for item in items]
    assert task.metrics(examples, task.predictions(examples, items, [20 * row - 10 for row in right]))["accuracy"] == 1.0
    assert task.metrics(examples, task.predictions(examples, items, [10 - 20 * row for row in right]))["accuracy"] == 0.0


def test_balanced_weights_of_one_label_are_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    names = ["good", "bad", "good", "good", "fine", "good"]
    expected = compute_class_weight("balanced", classes=np.array(LABELS), y=names)
    assert balanced_weights(LABELS, [TextExample(text="a", label=name) for name in names]) == pytest.approx(tuple(expected))


def test_balanced_weights_of_several_labels_make_both_answers_of_each_weigh_the_same() -> None:
    given = [("bad",), ("bad", "fine"), (), ("fine", "bad"), ("bad",)]
    examples = [TextExample(text="a", label=names) for names in given]
    weights = balanced_weights((*LABELS, "all"), [*examples, TextExample(text="a", label="good")], several=True)
    assert weights == pytest.approx((2 / 4, 4 / 2, 5 / 1, 6 / 1))
    every = balanced_weights(("bad",), [TextExample(text="a", label=("bad",))] * 4, several=True)
    assert every == (0.25,)  # not 0: its rows would teach nothing

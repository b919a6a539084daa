"""Texts as vectors: the losses are sentence-transformers' own, ranks are counted by hand, and training moves what belongs together together."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bertwright.data.labelled.examples import EmbedExample
from bertwright.data.places import Place
from bertwright.errors import InputError
from bertwright.families import family_of
from bertwright.models import Model
from bertwright.tasks.embedding import EmbedBatch, Embedding, in_batch_negatives
from bertwright.tasks.predictions import Embedded
from bertwright.tasks.ranking import ranked
from bertwright.tasks.running import run
from bertwright.tasks.task import Reading
from bertwright.text.tokenizer import Tokenizer

CONFIG = {
    **{"model_type": "bert", "vocab_size": 53, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48},
    **{"max_position_embeddings": 24, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
}
WORDS = tuple(f"{first}{second}{third}" for first in "bdgklm" for second in "aeio" for third in "nr")


def example(*texts: str, score: float | None = None, line: int = 1) -> EmbedExample:
    return EmbedExample(texts=texts, score=score, place=Place("train.csv", "line", line))


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    made = Model(family_of(CONFIG).architecture(CONFIG)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return made


def batch_of(task: Embedding, examples: Sequence[EmbedExample], tokenizer: Tokenizer, model: Model) -> EmbedBatch:
    items = task.items(examples, tokenizer, max_length=24).items
    return task.batch(items, numbers=np.arange(len(items)), reading=Reading.of(model.architecture))


def outputs_of(task: Embedding, examples: Sequence[EmbedExample], tokenizer: Tokenizer, model: Model) -> list[Embedded]:
    items = task.items(examples, tokenizer, max_length=24).items
    with torch.inference_mode():
        found = task.outputs(model, batch_of(task, examples, tokenizer, model))
    return task.predictions(examples, items, found)


PAIRS = [example("ban bar", "ban ben"), example("ger gor gon", "gin"), example("kan kar", "kar ban lin mor"), example("lor", "lan ler")]
TRIPLETS = [example(*pair.texts, negative) for pair, negative in zip(PAIRS, ("dan", "dor dir", "mer", "min mon man"), strict=True)]
SCORED = [replace(pair, score=score) for pair, score in zip(PAIRS, (0.0, 5.0, 2.5, 2.5), strict=True)]


@pytest.fixture(scope="module")
def theirs() -> Any:
    return pytest.importorskip("sentence_transformers.sentence_transformer.losses")


def of_vectors(loss: Any, vectors: torch.Tensor, labels: torch.Tensor | None = None) -> float:
    """One of sentence-transformers' losses, asked about vectors of [items, texts, size]."""
    return float(loss.compute_loss_from_embeddings(list(vectors.unbind(1)), labels))


@pytest.mark.parametrize("texts", [2, 3])
def test_the_loss_of_pairs_and_triplets_is_that_of_sentence_transformers(theirs: Any, texts: int) -> None:
    torch.manual_seed(0)
    vectors = torch.randn(7, texts, 12)
    expected = of_vectors(theirs.MultipleNegativesRankingLoss(torch.nn.Identity()), vectors)
    places = torch.arange(7 * texts).view(7, texts)
    assert in_batch_negatives(F.normalize(vectors, dim=-1), places).item() / 7 == pytest.approx(expected, rel=1e-6)


def test_the_loss_of_scored_pairs_is_that_of_sentence_transformers(theirs: Any, model: Model, tokenizer: Tokenizer) -> None:
    task = replace(Embedding.of(SCORED), normalised=False)
    predictions = outputs_of(task, SCORED, tokenizer, model)
    vectors, labels = torch.tensor(np.stack([found.vectors for found in predictions])), torch.tensor([0.0, 1.0, 0.5, 0.5])
    right = theirs.CosineSimilarityLoss(torch.nn.Identity())
    expected = float(right.loss_fct(right.cos_score_transformation(F.cosine_similarity(vectors[:, 0], vectors[:, 1])), labels))
    with torch.no_grad():
        (term,) = task.losses(model, batch_of(task, SCORED, tokenizer, model)).values()
        alone = [task.losses(model, batch_of(task, [one], tokenizer, model))["loss"].sum.item() for one in SCORED]
    assert term.sum.item() / 4 == pytest.approx(expected, rel=1e-5)
    assert sum(alone) / 4 == pytest.approx(expected, rel=1e-5)
    assert np.mean([found.loss for found in predictions if found.loss is not None]) == pytest.approx(expected, rel=1e-5)


def test_equal_texts_and_other_partners_are_no_negatives() -> None:
    vectors = F.normalize(torch.randn(4, 2, 8), dim=-1)
    vectors[1, 1], vectors[2, 0], vectors[3, 1] = vectors[0, 1], vectors[0, 0], vectors[0, 0]
    places = torch.tensor([[0, 1], [2, 1], [0, 3], [4, 0]])  # a-p; b-p, the same partner; a-q, another partner of a; c-a, a itself
    cosines = vectors[:, 0] @ vectors[:, 1].T * 20
    counted = {0: [0], 1: [1, 2, 3], 2: [2], 3: [0, 1, 2, 3]}
    expected = sum(float(cosines[row, columns].logsumexp(0) - cosines[row, row]) for row, columns in counted.items())
    assert in_batch_negatives(vectors, places).item() == pytest.approx(expected, rel=1e-5)


def test_each_distinct_text_is_one_row(model: Model, tokenizer: Tokenizer) -> None:
    task = Embedding.of(PAIRS)
    repeated = [*PAIRS, example("ban bar", "lan ler"), example("gin", "ban bar")]
    batch = batch_of(task, repeated, tokenizer, model)
    assert len(batch.input_ids) == 8
    assert batch.places.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [0, 7], [3, 0]]
    alone = [outputs_of(task, [one], tokenizer, model)[0].vectors for one in repeated]
    for found, expected in zip(outputs_of(task, repeated, tokenizer, model), alone, strict=True):
        np.testing.assert_allclose(found.vectors, expected, atol=1e-6)
    items = task.items(repeated, tokenizer, max_length=24).items
    assert (len(task.apart(items).items), len(task.apart(items).places)) == (8, 6)
    rows: list[int] = []
    told: list[int] = []
    model.register_forward_hook(lambda module, given, output: rows.append(len(given[0])))
    joined = run(task, model, items, Reading.of(model.architecture), tokens=20, passed=told.append)
    for found, expected in zip(joined, alone, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (sum(rows), sum(told)) == (8, 6)
    assert len(rows) > 1


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_pooling_reads_no_padding(pooling: Any, model: Model, tokenizer: Tokenizer) -> None:
    task = Embedding.of(PAIRS, pooling=pooling)
    assert task.pooling == pooling
    (short,) = outputs_of(task, [example("ban")], tokenizer, model)
    beside = outputs_of(task, [example("ban"), example("ban bar ben ger gor gon gin kan kar lin mor lor lan")], tokenizer, model)[0]
    np.testing.assert_allclose(short.vectors, beside.vectors, atol=1e-6)
    assert np.linalg.norm(short.vectors) == pytest.approx(1, abs=1e-6)
    ids = torch.tensor([tokenizer.encode("ban").ids])
    hidden = model(ids).last_hidden_state[0]
    expected = {"cls": hidden[0], "mean": hidden.mean(0), "max": hidden.amax(0)}[pooling]
    np.testing.assert_allclose(short.vectors[0], F.normalize(expected, dim=0).detach().numpy(), atol=1e-6)
    raw = outputs_of(replace(task, normalised=False), [example("ban")], tokenizer, model)[0]
    np.testing.assert_allclose(raw.vectors[0], expected.detach().numpy(), atol=1e-5)


def test_ranks_are_counted_among_the_distinct_partners() -> None:
    random_state = np.random.default_rng(0)
    table = random_state.normal(size=(12, 6)).astype(np.float32)
    places = [(0, 1), (2, 3), (4, 5), (0, 6), (7, 1), (8, 0), (9, 10, 11)]
    found = ranked([table[list(one)] for one in places], places, scale=20.0)
    normed = table / np.linalg.norm(table, axis=1, keepdims=True)
    candidates = {1, 3, 5, 6, 0, 10}
    for (anchor, partner, *_), rank, loss in zip(places, found.ranks, found.losses, strict=True):
        spared = {anchor} | {other for one, other, *_ in places if one == anchor}
        own = float(normed[anchor] @ normed[partner])
        others = {place: float(normed[anchor] @ normed[place]) for place in (candidates | {11}) - spared}
        assert rank == 1 + sum(value >= own for place, value in others.items() if place != 11)
        assert loss == pytest.approx(math.log(sum(math.exp(20 * value) for value in [own, *others.values()])) - 20 * own, rel=1e-4, abs=1e-5)
    assert max(found.ranks) > 1


def test_a_model_that_maps_all_texts_to_one_vector_ranks_last() -> None:
    vectors = [np.ones((2, 4), dtype=np.float32)] * 5
    assert ranked(vectors, [(number, number + 5) for number in range(5)], scale=20.0).ranks == [5] * 5


def test_metrics_follow_the_data(model: Model, tokenizer: Tokenizer) -> None:
    task = Embedding.of(SCORED)
    assert task.metric in task.metrics(SCORED, outputs_of(task, SCORED, tokenizer, model))
    pairs = Embedding.of(PAIRS)
    measured = pairs.metrics(PAIRS, outputs_of(pairs, PAIRS, tokenizer, model))
    assert set(measured) == {"mrr", "ndcg@10", "recall@1", "recall@5", "recall@10"}
    assert pairs.metric in measured
    triplets = Embedding.of(TRIPLETS)
    predictions = outputs_of(triplets, TRIPLETS, tokenizer, model)
    measured = triplets.metrics(TRIPLETS, predictions)
    assert triplets.metric in measured
    assert measured["triplet_accuracy"] == np.mean([one.similarities[0] > one.similarities[1] for one in predictions])
    # Trained on triplets, measured on scores.
    assert set(triplets.metrics(SCORED, outputs_of(triplets, SCORED, tokenizer, model))) == {"pearson", "spearman"}


def test_scores_become_shares_of_their_range() -> None:
    def range_of(*scores: float) -> tuple[float, float]:
        task = Embedding.of([example("a", "b", score=score) for score in scores])
        return task.lowest, task.highest

    assert range_of(0.2, 4.75, 3.0) == (0.0, 5.0)
    assert range_of(1, 2) == (1.0, 2.0)
    assert range_of(0.1, 0.9) == (0.0, 1.0)
    assert range_of(-1, 0.5) == (0.0, 1.0)
    assert range_of(5, 5) == (5.0, 6.0)


def test_a_saved_folder_remembers_what_it_was_trained_for() -> None:
    for task in (Embedding.of(SCORED, pooling="max"), Embedding.of(PAIRS), Embedding.of(TRIPLETS)):
        assert Embedding.of_folder(task.folder(max_length=20), {"model_type": "bert", **task.config}) == task
    bare = Embedding.of_folder(Embedding().folder(max_length=None), {"model_type": "bert"})
    assert bare.pooling == "mean"


def test_only_the_loss_of_scores_is_a_sum_over_its_parts() -> None:
    assert [Embedding.of(examples).decomposes for examples in (SCORED, PAIRS, TRIPLETS)] == [True, False, False]


def test_rows_of_several_kinds_are_refused_with_a_place_of_each() -> None:
    with pytest.raises(InputError, match=r"train.csv, line 1 has 2 texts; train.csv, line 7 has 3 texts"):
        Embedding.of([*PAIRS, replace(TRIPLETS[0], place=Place("train.csv", "line", 7))])
    with pytest.raises(InputError, match=r"line 1 has 1 text$"):
        Embedding.of([example("alone")])
    with pytest.raises(InputError, match="there are none"):
        Embedding.of([])


def test_every_empty_text_is_named_and_long_ones_are_counted(tokenizer: Tokenizer) -> None:
    task = Embedding.of(PAIRS)
    with pytest.raises(InputError) as caught:
        task.items([example("ban", " ", line=3), example("ban", "bar", line=4), example("", "bar", line=5)], tokenizer, max_length=24)
    assert caught.value.problems == ("train.csv, line 3: a text is empty: give some words", "train.csv, line 5: a text is empty: give some words")
    found = task.items([example("ban bar ben gor", "ban"), example("ban", "bar")], tokenizer, max_length=5)
    assert (found.truncated, found.items[0].length) == (1, 5)


def test_a_model_that_writes_is_refused() -> None:
    for given in ("gpt2", "bart"):
        (line,) = Embedding().problems(family_of({"model_type": given}).architecture({"model_type": given}))
        assert line.startswith("embed reads an encoder, and this model is")
    assert Embedding().problems(family_of(CONFIG).architecture(CONFIG)) == []


@pytest.mark.parametrize("kind", ["pairs", "triplets", "scored"])
def test_training_moves_together_what_belongs_together(kind: str, model: Model, tokenizer: Tokenizer) -> None:
    draws = random.Random(0)
    texts = [" ".join(draws.sample(WORDS, 4)) for _ in range(36)]
    if kind in ("pairs", "triplets"):
        step = 2 if kind == "pairs" else 3
        examples = [example(*texts[start : start + step]) for start in range(0, 10 * step, step)]
    else:
        examples = [example(one, other, score=float(number)) for number, (one, other) in enumerate(zip(texts[:10], texts[10:20], strict=True))]
    task = Embedding.of(examples)
    batch = batch_of(task, examples, tokenizer, model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        (term,) = task.losses(model, batch).values()
        torch.autograd.backward(term.sum / batch.weights["loss"])
        optimizer.step()
    measured = task.metrics(examples, outputs_of(task, examples, tokenizer, model))
    assert measured[task.metric] > 0.95

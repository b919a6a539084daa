"""Held-out numbers: fixed by a seed, right, the same in any batch size, and measured without a trace in the model or the run."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bertwright.data.samples import Vocabulary
from bertwright.data.shards import TokenShards
from bertwright.data.stream import Stream
from bertwright.errors import InputError
from bertwright.evaluation.pretraining import chance, evaluate, held_out_text
from bertwright.families import FAMILIES
from bertwright.models import Model
from bertwright.objectives import mlm
from bertwright.objectives.config import ObjectiveConfig
from bertwright.objectives.objective import Objective
from bertwright.objectives.registry import OBJECTIVES, objective

Write = Callable[..., TokenShards]


# Objectives that mask a text for a reader; the others have tests of their own.
MASKED = tuple(name for name in OBJECTIVES if name.startswith("mlm"))


def model_for(trained_for: Objective, vocabulary: Vocabulary, *, dropout: float = 0.0) -> Model:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 32}
    family = next(family for family in FAMILIES if set(trained_for.heads) <= set(family.heads))
    architecture = family.architecture({**sizes, "vocab_size": vocabulary.size, "initializer_range": 0.2}).with_dropout(dropout)
    return Model(architecture, trained_for.heads).eval()


@pytest.fixture(params=MASKED)
def trained_for(request: pytest.FixtureRequest, vocabulary: Vocabulary) -> Objective:
    return objective(ObjectiveConfig(objective=request.param, mlm_probability=0.15), vocabulary)


def test_numbers_are_the_same_twice_and_in_any_batch_size(
    trained_for: Objective, shards: TokenShards, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_for(trained_for, vocabulary)

    def measure(batch_size: int) -> dict[str, float]:
        held = held_out_text(trained_for, shards.validation, vocabulary, length=24, samples=None)
        assert held is not None
        torch.randn(7)  # the process' own random state is not asked
        return evaluate(model, held.objective, held.stream, batch_size=batch_size)

    first = measure(32)
    assert measure(32) == first
    monkeypatch.setattr(mlm, "LOGIT_VALUES", 3 * vocabulary.size)  # many passes over the logits of one batch
    for batch_size in (1, 3):
        assert measure(batch_size) == pytest.approx(first, rel=1e-5)


def test_the_numbers_are_those_of_a_plain_reference(trained_for: Objective, shards: TokenShards, vocabulary: Vocabulary) -> None:
    model = model_for(trained_for, vocabulary)
    held = held_out_text(trained_for, shards.validation, vocabulary, length=24, samples=5)
    assert held is not None
    assert held.note == ""
    found = evaluate(model, held.objective, held.stream, samples=5)
    batch = trained_for.batch(*held.stream.take(0, 5))
    with torch.no_grad():
        output = model(batch.input_ids, token_type_ids=batch.token_type_ids, layout=batch.layout)
    logits = output.prediction_logits.flatten(0, 1)[batch.predict_positions]
    loss = F.cross_entropy(logits, batch.prediction_labels).item()
    expected = {
        "loss": loss,
        "mlm_loss": loss,
        "mlm_accuracy": (logits.argmax(-1) == batch.prediction_labels).float().mean().item(),
        "perplexity": math.exp(loss),
        "mlm_count": len(logits),
        "samples": 5,
    }
    for name, pairs, label in (
        ("nsp", output.seq_relationship_logits, batch.next_sentence_label),
        ("sop", output.sop_logits, batch.sentence_order_label),
    ):
        if name in trained_for.terms:
            expected[f"{name}_loss"] = F.cross_entropy(pairs, label).item()
            expected[f"{name}_accuracy"] = (pairs.argmax(-1) == label).float().mean().item()
            expected |= {f"{name}_count": len(pairs), "loss": loss + expected[f"{name}_loss"]}
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_the_models_mode_and_the_random_state_and_drops_nothing(
    training: bool, trained_for: Objective, shards: TokenShards, vocabulary: Vocabulary
) -> None:
    model = model_for(trained_for, vocabulary, dropout=0.5).train(training)
    held = held_out_text(trained_for, shards.validation, vocabulary, length=24, samples=None)
    assert held is not None
    state, before = torch.get_rng_state(), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    one, other = (evaluate(model, held.objective, held.stream) for _ in range(2))
    assert one == other, "dropout is at work in an evaluation"
    assert model.training == training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_chance_is_what_knowing_nothing_and_knowing_frequencies_reach(tmp_path: Path, write_token_shards: Write) -> None:
    split = write_token_shards(tmp_path / "s", train=[[[5] * 50, [6] * 25, [7] * 25]]).train
    assert chance(53, split) == pytest.approx({"chance_loss": math.log(53), "unigram_entropy": 1.5 * math.log(2)})


def test_one_held_out_document_is_measured_by_masks_and_says_so(tmp_path: Path, vocabulary: Vocabulary, write_token_shards: Write) -> None:
    """A corpus of less than 200 documents has one by default: it must train all the same."""
    split = write_token_shards(tmp_path / "s", train=[], validation=[[list(range(5, 30)), list(range(9, 40))]]).validation
    pairs = objective(ObjectiveConfig(objective="mlm+nsp", mlm_probability=0.15), vocabulary)
    held = held_out_text(pairs, split, vocabulary, length=24, samples=None)
    assert held is not None
    assert held.objective == pairs.simpler
    assert "only mlm is measured" in held.note
    found = evaluate(model_for(pairs, vocabulary), held.objective, held.stream)
    assert found["mlm_count"] > 0
    assert "nsp_loss" not in found


@pytest.mark.parametrize("validation", [[], [[[1, 1, 1], [1, 1]], [[1], [1]]]], ids=["nothing", "unknown tokens only"])
def test_text_with_nothing_to_predict_is_not_taken_for_a_loss_of_zero(
    validation: list[list[list[int]]], tmp_path: Path, trained_for: Objective, vocabulary: Vocabulary, write_token_shards: Write
) -> None:
    split = write_token_shards(tmp_path / "s", train=[], validation=validation).validation
    assert held_out_text(trained_for, split, vocabulary, length=24, samples=None) is None
    simplest = trained_for.simpler or trained_for
    stream = Stream(simplest.source(split, vocabulary, length=24, seed=0), seed=0)
    with pytest.raises(InputError, match="nothing to predict"):
        evaluate(model_for(trained_for, vocabulary), simplest, stream)


def test_more_samples_than_there_are_is_all_of_them(trained_for: Objective, shards: TokenShards, vocabulary: Vocabulary) -> None:
    held = held_out_text(trained_for, shards.validation, vocabulary, length=24, samples=10_000)
    assert held is not None
    found = evaluate(model_for(trained_for, vocabulary), held.objective, held.stream, samples=10_000)
    assert found["samples"] == held.stream.epoch_end(0)
    assert np.isfinite(list(found.values())).all()

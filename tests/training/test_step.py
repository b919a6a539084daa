"""An update is the same however it is cut into passes, is clipped as told, and does not happen when something is not finite."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from bertwright.data.batch import Batch
from bertwright.data.samples import Vocabulary
from bertwright.data.shards import TokenShards
from bertwright.data.stream import Stream
from bertwright.errors import NonFiniteError
from bertwright.families import FAMILIES
from bertwright.models import Model
from bertwright.objectives.config import ObjectiveConfig
from bertwright.objectives.objective import Losses, Objective, Term
from bertwright.objectives.registry import OBJECTIVES, objective
from bertwright.training import step as stepping
from bertwright.training.devices import Device
from bertwright.training.optimizers import Optimizers
from bertwright.training.parameters import FlatParameters
from bertwright.training.step import Updater

# Objectives that mask a text for a reader; the others have tests of their own.
MASKED = tuple(name for name in OBJECTIVES if name.startswith("mlm"))


def updater(vocabulary: Vocabulary, name: str = "mlm+nsp", *, max_grad_norm: float = 0.0, dropout: float = 0.0, dtype: torch.dtype = torch.float32) -> Updater:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 32}
    trained_for = objective(ObjectiveConfig(objective=name, mlm_probability=0.15), vocabulary)
    family = next(family for family in FAMILIES if set(trained_for.heads) <= set(family.heads))
    architecture = family.architecture({**sizes, "vocab_size": vocabulary.size}).with_dropout(dropout)
    model = Model(architecture, trained_for.heads)
    # In float32 even where the loss is scaled as for float16: the CPU's float16 kernels are not what is tested.
    parameters = FlatParameters(model.train(), dtype=torch.float32, optimizer="adamw")
    optimizers = Optimizers(parameters, learning_rate=1e-2, muon_learning_rate=0.0, weight_decay=0.0, betas=(0.9, 0.98), eps=1e-8)
    return Updater(model, trained_for, parameters, optimizers, Device(torch.device("cpu"), dtype), max_grad_norm=max_grad_norm, seed=3)


def batches(made: Updater, shards: TokenShards, vocabulary: Vocabulary, micro: int, *, total: int = 8, first: int = 0) -> list[Batch]:
    stream = Stream(made.objective.source(shards.train, vocabulary, length=32, seed=0), seed=0)
    return [made.objective.batch(*stream.take(first + start, first + min(start + micro, total))) for start in range(0, total, micro)]


def kept_gradient(made: Updater, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Every gradient as it is when the optimizers take it."""
    seen: list[torch.Tensor] = []
    step = made.optimizers.step
    monkeypatch.setattr(made.optimizers, "step", lambda factor: (seen.append(made.parameters.grad.clone()), step(factor)))
    return seen


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("micro", [1, 2, 3])
def test_accumulation_gives_the_update_of_one_pass(name: str, micro: int, shards: TokenShards, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = updater(vocabulary, name), updater(vocabulary, name)
    gradients = kept_gradient(whole, monkeypatch), kept_gradient(parts, monkeypatch)
    cut = batches(parts, shards, vocabulary, micro)
    assert len({batch.weights["mlm"] for batch in cut}) > 1, "with equal counts a mean of means would be right too"
    one = whole.step(batches(whole, shards, vocabulary, 8), number=0, factor=1.0)
    other = parts.step(cut, number=0, factor=1.0)
    assert one.terms == pytest.approx(other.terms, rel=1e-5)
    assert one.loss == pytest.approx(sum(one.terms.values()))
    assert one.tokens == other.tokens
    torch.testing.assert_close(gradients[0][0], gradients[1][0], rtol=1e-4, atol=1e-6)


def test_a_mean_of_means_would_be_another_gradient(shards: TokenShards, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above protects from: dividing each pass by its own weight is measurably wrong."""
    made, wrong = updater(vocabulary, "mlm"), updater(vocabulary, "mlm")
    gradients = kept_gradient(made, monkeypatch)
    cut = batches(made, shards, vocabulary, 1)
    made.step(cut, number=0, factor=1.0)
    for batch in cut:
        (wrong.objective.losses(wrong.model, batch)["mlm"].sum / batch.weights["mlm"] / len(cut)).backward()
    assert not torch.allclose(gradients[0], wrong.parameters.grad, rtol=1e-2, atol=1e-4)


def test_the_loss_told_is_the_mean_over_tokens_and_over_pairs(shards: TokenShards, vocabulary: Vocabulary) -> None:
    made = updater(vocabulary)
    (batch,) = batches(made, shards, vocabulary, 8)
    with torch.no_grad():
        output = made.model(batch.input_ids, token_type_ids=batch.token_type_ids, layout=batch.layout)
        expected = {
            "mlm": torch.nn.functional.cross_entropy(output.prediction_logits.flatten(0, 1)[batch.predict_positions], batch.prediction_labels).item(),
            "nsp": torch.nn.functional.cross_entropy(output.seq_relationship_logits, batch.next_sentence_label).item(),
        }
    result = made.step([batch], number=0, factor=1.0)
    assert result.terms == pytest.approx(expected, rel=1e-5)
    assert result.loss == pytest.approx(sum(expected.values()), rel=1e-5)


def test_what_is_told_beside_the_loss_is_no_part_of_it(shards: TokenShards, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    class Telling:
        """The objective, and three times its loss with a gradient of its own."""

        terms = ("mlm", "thrice")

        def __init__(self, trained_for: Objective) -> None:
            self.losses_of = trained_for.losses

        def losses(self, model: torch.nn.Module, batch: Batch) -> Losses:
            found = self.losses_of(model, batch)
            return {**found, "thrice": Term(found["mlm"].sum * 3, trained=False)}

    plain, telling = updater(vocabulary, "mlm"), updater(vocabulary, "mlm")
    gradients = kept_gradient(plain, monkeypatch), kept_gradient(telling, monkeypatch)
    cut = batches(plain, shards, vocabulary, 3)
    expected = plain.step(cut, number=0, factor=1.0)
    telling.objective = Telling(telling.objective)
    weighed = [dataclasses.replace(batch, weights={**batch.weights, "thrice": batch.weights["mlm"]}) for batch in cut]
    result = telling.step(weighed, number=0, factor=1.0)
    assert result.told == {"thrice": pytest.approx(3 * expected.loss)}
    assert (result.terms, result.loss, result.grad_norm) == (expected.terms, expected.loss, expected.grad_norm)
    assert torch.equal(gradients[0][0], gradients[1][0])


def test_gradients_above_the_norm_are_scaled_to_it_and_others_left(shards: TokenShards, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    free, clipped, spared = (updater(vocabulary, max_grad_norm=norm) for norm in (0.0, 0.1, 1e6))
    seen = [kept_gradient(made, monkeypatch) for made in (free, clipped, spared)]
    results = [made.step(batches(made, shards, vocabulary, 8), number=0, factor=1.0) for made in (free, clipped, spared)]
    assert results[0].grad_norm > 0.1
    assert len({result.grad_norm for result in results}) == 1, "the norm told is that before clipping"
    assert seen[0][0].norm().item() == pytest.approx(results[0].grad_norm, rel=1e-5)
    assert seen[1][0].norm().item() == pytest.approx(0.1, rel=1e-3)
    torch.testing.assert_close(seen[1][0] / seen[1][0].norm(), seen[0][0] / seen[0][0].norm())
    assert torch.equal(seen[2][0], seen[0][0])


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_is_not_finite_stops_before_the_update_and_names_step_and_samples(
    where: str, shards: TokenShards, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = updater(vocabulary)
    made.step(batches(made, shards, vocabulary, 4), number=0, factor=1.0)
    if where == "loss":
        with torch.no_grad():
            made.parameters.state()["heads.mlm.bias"][9] = float("nan")
    else:
        dict(made.model.named_parameters())["encoder.blocks.0.feed_forward.up.weight"].register_hook(lambda grad: grad * float("inf"))
    weights = made.parameters.master.clone()
    moments = {name: tensor.clone() for name, tensor in made.optimizers.state().items()}
    with pytest.raises(NonFiniteError, match=r"step 17: not finite .* samples 24 to 31; nothing was updated"):
        made.step(batches(made, shards, vocabulary, 4, first=24), number=17, factor=1.0)
    torch.testing.assert_close(made.parameters.master, weights, rtol=0, atol=0, equal_nan=True)
    assert all(torch.equal(tensor, moments[name]) for name, tensor in made.optimizers.state().items())


def test_dropout_hangs_on_the_step_and_not_on_what_ran_before(shards: TokenShards, vocabulary: Vocabulary) -> None:
    one, other = updater(vocabulary, dropout=0.3), updater(vocabulary, dropout=0.3)
    cut = batches(one, shards, vocabulary, 4)
    first = one.step(cut, number=5, factor=0.0)
    torch.randn(100)
    assert other.step(cut, number=5, factor=0.0).terms == first.terms
    assert other.step(cut, number=6, factor=0.0).terms != first.terms


class TestLossScaling:
    """As float16 needs it, with the arithmetic itself in float32."""

    def test_the_scale_goes_in_and_comes_out(self, shards: TokenShards, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
        plain, scaled = updater(vocabulary, max_grad_norm=0.1), updater(vocabulary, max_grad_norm=0.1, dtype=torch.float16)
        assert (plain.scale, scaled.scale) == (1.0, 2.0**16)
        seen = kept_gradient(plain, monkeypatch), kept_gradient(scaled, monkeypatch)
        results = [made.step(batches(made, shards, vocabulary, 3), number=0, factor=1.0) for made in (plain, scaled)]
        assert results[0].grad_norm == pytest.approx(results[1].grad_norm, rel=1e-4)
        torch.testing.assert_close(seen[0][0], seen[1][0], rtol=1e-3, atol=1e-6)

    def test_a_gradient_that_overflows_is_left_out_and_the_scale_halved(self, shards: TokenShards, vocabulary: Vocabulary) -> None:
        made = updater(vocabulary, dtype=torch.float16)
        made.good_steps = 5
        hook = dict(made.model.named_parameters())["heads.mlm.bias"].register_hook(lambda grad: grad * float("inf"))
        before = made.parameters.master.clone()
        result = made.step(batches(made, shards, vocabulary, 4), number=0, factor=1.0)
        assert not np.isfinite(result.grad_norm)
        assert (made.scale, made.good_steps) == (2.0**15, 0)
        assert torch.equal(made.parameters.master, before)
        hook.remove()
        made.step(batches(made, shards, vocabulary, 4), number=1, factor=1.0)
        assert made.parameters.master.isfinite().all()
        assert not torch.equal(made.parameters.master, before)
        assert made.good_steps == 1

    def test_at_the_least_scale_it_is_an_error(self, shards: TokenShards, vocabulary: Vocabulary) -> None:
        made = updater(vocabulary, dtype=torch.float16)
        made.scale = 1.0
        dict(made.model.named_parameters())["heads.mlm.bias"].register_hook(lambda grad: grad * float("inf"))
        with pytest.raises(NonFiniteError):
            made.step(batches(made, shards, vocabulary, 8), number=0, factor=1.0)

    def test_a_loss_that_is_no_number_is_an_error_at_any_scale(self, shards: TokenShards, vocabulary: Vocabulary) -> None:
        made = updater(vocabulary, dtype=torch.float16)
        with torch.no_grad():
            made.parameters.state()["heads.mlm.bias"][9] = float("nan")
        with pytest.raises(NonFiniteError):
            made.step(batches(made, shards, vocabulary, 8), number=0, factor=1.0)

    def test_after_many_good_steps_the_scale_doubles(self, shards: TokenShards, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stepping, "GROWTH_INTERVAL", 3)
        made = updater(vocabulary, dtype=torch.float16)
        for number in range(4):
            made.step(batches(made, shards, vocabulary, 8), number=number, factor=1.0)
        assert (made.scale, made.good_steps) == (2.0**17, 1)


def test_a_batch_without_anything_to_predict_is_no_error(shards: TokenShards, vocabulary: Vocabulary) -> None:
    made = updater(vocabulary, "mlm")
    (batch,) = batches(made, shards, vocabulary, 8)
    empty = torch.zeros(0, dtype=torch.long)
    nothing: Sequence[Batch] = [dataclasses.replace(batch, predict_positions=empty, prediction_labels=empty, weights={"mlm": 0.0})]
    result = made.step(nothing, number=0, factor=1.0)
    assert result.loss == 0
    assert result.grad_norm == 0

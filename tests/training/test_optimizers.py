"""Muon and AdamW over flat parameters are what their papers and torch say, and the model computes with what they write."""

import copy
import math

import pytest
import torch
from torch import nn

from bertwright.architecture import MLM, NSP, POOLER
from bertwright.families.bert import BERT
from bertwright.models import Model
from bertwright.training import optimizers as optimizers_module
from bertwright.training.optimizers import MOMENTUM, SCALE, Optimizers, orthogonalise
from bertwright.training.parameters import FlatParameters


def model(*, tied: bool = True) -> Model:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 12}
    return Model(BERT.architecture({**sizes, "vocab_size": 20, "tie_word_embeddings": tied}).with_dropout(0.0), (POOLER, MLM, NSP))


def optimizers_of(parameters: FlatParameters, **changes: float) -> Optimizers:
    settings = {"learning_rate": 1e-2, "muon_learning_rate": 2e-2, "weight_decay": 0.1, **changes}
    return Optimizers(parameters, betas=(0.9, 0.98), eps=1e-8, **settings)


def backward(made: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    output = made(torch.randint(20, (3, 12), generator=generator))
    loss = output.prediction_logits.float().square().mean() + output.seq_relationship_logits.float().sum()
    loss.backward()


def test_singular_values_from_a_fiftieth_on_come_within_a_tenth_of_1() -> None:
    values = torch.logspace(math.log10(0.02), 0, 400, dtype=torch.float64)
    matrix = torch.diag(values)[None] / values.norm()
    kept = values / values.norm() >= 0.02
    assert kept.sum() > 100
    found = orthogonalise(matrix, dtype=torch.float64)[0].diagonal()[kept]
    assert (found - 1).abs().max() < 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
class TestOrthogonalisation:
    def test_a_stack_is_its_matrices_one_by_one(self, dtype: torch.dtype) -> None:
        matrices = torch.randn(4, 24, 16, generator=torch.Generator().manual_seed(0))
        together = orthogonalise(matrices, dtype=dtype)
        for one, matrix in zip(together, matrices, strict=True):
            torch.testing.assert_close(one, orthogonalise(matrix[None], dtype=dtype)[0], rtol=0.02, atol=0.01)

    @pytest.mark.parametrize("shape", [(16, 16), (8, 32), (32, 8)])
    def test_singular_values_come_near_1(self, shape: tuple[int, int], dtype: torch.dtype) -> None:
        matrices = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-4, 1e-2, 1.0, 1e2, 1e4])[:, None, None]
        values = torch.linalg.svdvals(orthogonalise(matrices, dtype=dtype).float())
        # Three quintics trade exactness for speed; the smallest of a square lag behind.
        assert values.max() < 1.25
        assert values.median() > 0.65
        assert values.mean() == pytest.approx(0.95, abs=0.15)

    def test_directions_stay(self, dtype: torch.dtype) -> None:
        matrix = torch.randn(1, 12, 20, generator=torch.Generator().manual_seed(0))
        left, _, right = torch.linalg.svd(matrix[0], full_matrices=False)
        found = orthogonalise(matrix, dtype=dtype)[0].float()
        assert nn.functional.cosine_similarity(found.flatten(), (left @ right).flatten(), dim=0) > 0.95


class TestMuon:
    def test_the_update_follows_the_momentum_at_the_stated_scale(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # Without the orthogonalisation, which would hide small mistakes.
        monkeypatch.setattr(optimizers_module, "orthogonalise", lambda matrices, dtype: matrices)
        parameters = FlatParameters(made := model(), dtype=torch.float32, optimizer="muon")
        optimizers = optimizers_of(parameters, weight_decay=0.0)
        momentum, rate = {}, optimizers.muon_learning_rate * 0.5
        names = [place.name for place in parameters.places if place.rule == "muon"]
        assert set(names) == {name for name, parameter in made.named_parameters() if parameter.ndim == 2 and ("blocks" in name or "dense" in name)}
        for step in range(3):
            backward(made, step)
            grads = {name: dict(made.named_parameters())[name].grad.clone() for name in names}
            before = {name: tensor.clone() for name, tensor in parameters.state().items()}
            optimizers.step(0.5)
            for name, grad in grads.items():
                momentum[name] = MOMENTUM * momentum.get(name, torch.zeros_like(grad)) + (1 - MOMENTUM) * grad
                update = (1 - MOMENTUM) * grad + MOMENTUM * momentum[name]
                expected = before[name] - rate * SCALE * max(grad.shape) ** 0.5 * update
                torch.testing.assert_close(parameters.state()[name], expected, rtol=1e-5, atol=1e-7)

    def test_an_update_has_the_size_of_one_of_adamw(self) -> None:
        parameters = FlatParameters(model(), dtype=torch.float32, optimizer="muon")
        optimizers = optimizers_of(parameters, weight_decay=0.0)
        before = parameters.master.clone()
        parameters.grad.normal_(generator=torch.Generator().manual_seed(0)).mul_(1e-3)
        optimizers.step(1.0)
        for place in parameters.places:
            if place.rule == "muon":
                change = place.of(parameters.master - before) / optimizers.muon_learning_rate
                assert 0.14 < change.square().mean().sqrt() < 0.25, place.name

    def test_decay_shrinks_the_weights_it_is_told_to(self) -> None:
        parameters = FlatParameters(model(), dtype=torch.float32, optimizer="muon")
        before = {name: tensor.clone() for name, tensor in parameters.state().items()}
        optimizers_of(parameters).step(1.0)  # gradients are zero: only decay is left
        for place in parameters.places:
            rate = {"muon": 2e-2, "adamw": 1e-2, "adamw_no_decay": 0.0}[place.rule]
            torch.testing.assert_close(parameters.state()[place.name], before[place.name] * (1 - rate * 0.1), msg=place.name)


class TestAdamW:
    def test_ten_steps_are_those_of_torch_with_no_decay_on_biases_and_norms(self) -> None:
        made, plain = model(), model()
        parameters = FlatParameters(made, dtype=torch.float32, optimizer="adamw")
        optimizers = optimizers_of(parameters)
        decayed = [parameter for name, parameter in plain.named_parameters() if name.endswith("weight") and "norm" not in name]
        spared = [parameter for name, parameter in plain.named_parameters() if not (name.endswith("weight") and "norm" not in name)]
        assert len(spared) > len(decayed) > 10
        reference = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.1}, {"params": spared, "weight_decay": 0.0}], lr=1e-2, betas=(0.9, 0.98), eps=1e-8, foreach=False
        )
        for step in range(10):
            factor = 1.0 - step / 20
            for either in (made, plain):
                backward(either, step)
            for group in reference.param_groups:
                group["lr"] = 1e-2 * factor
            optimizers.step(factor)
            reference.step()
            reference.zero_grad()
        for (name, ours), theirs in zip(made.named_parameters(), plain.parameters(), strict=True):
            # Keys' biases have gradients of rounding noise alone, which Adam blows up.
            if not name.endswith("key.bias"):
                torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=2e-5, msg=name)

    def test_state_put_back_goes_on_as_if_never_taken_out(self) -> None:
        first = FlatParameters(made := model(), dtype=torch.float32, optimizer="muon")
        optimizers = optimizers_of(first)
        for step in range(2):
            backward(made, step)
            optimizers.step(1.0)
        saved, weights = {name: tensor.clone() for name, tensor in optimizers.state().items()}, copy.deepcopy(first.state())
        second = FlatParameters(other := model(), dtype=torch.float32, optimizer="muon")
        fresh = optimizers_of(second)
        for name, tensor in second.state().items():
            tensor.copy_(weights[name])
        second.publish()
        fresh.load(saved)
        for either, updated in ((made, optimizers), (other, fresh)):
            backward(either, 7)
            updated.step(1.0)
        assert torch.equal(first.master, second.master)
        with pytest.raises(KeyError):
            fresh.load({})


class TestFlatParameters:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("optimizer", ["muon", "adamw"])
    def test_places_cover_every_parameter_exactly_once(self, dtype: torch.dtype, optimizer: str) -> None:
        made = model()
        shapes = {name: parameter.shape for name, parameter in made.named_parameters()}
        parameters = FlatParameters(made, dtype=dtype, optimizer=optimizer)
        covered = torch.zeros(len(parameters.master), dtype=torch.int)
        for place in parameters.places:
            covered[place.start : place.stop] += 1
        assert (covered == 1).all()
        assert {place.name: place.shape for place in parameters.places} == shapes
        spanned = torch.zeros_like(covered)
        for rule, shape, start, stop, _, _ in parameters.spans():
            spanned[start:stop] += 1
            inside = [place for place in parameters.places if start <= place.start < stop]
            assert {place.rule for place in inside} == {rule}
            if rule == "muon":
                assert {place.shape for place in inside} == {shape}
        assert (spanned == 1).all()

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_the_model_computes_with_the_cast_of_the_masters(self, dtype: torch.dtype) -> None:
        made = model()
        parameters = FlatParameters(made, dtype=dtype, optimizer="muon")
        with torch.no_grad():
            parameters.master.normal_(generator=torch.Generator().manual_seed(3))
        parameters.publish()
        state, dtypes = parameters.state(), set()
        for name, parameter in made.named_parameters():
            dtypes.add(parameter.dtype)
            assert torch.equal(parameter, state[name].to(parameter.dtype)), name
        assert dtypes == {torch.float32, dtype}
        assert made.tokens.weight.dtype == torch.float32

    def test_an_output_of_its_own_stays_in_float32_and_the_bias_that_nobody_reads_is_left_out(self) -> None:
        made = model(tied=False)
        parameters = FlatParameters(made, dtype=torch.bfloat16, optimizer="muon")
        outputs = {place.name: place.rule for place in parameters.places if place.name.startswith("heads.mlm.") and "norm" not in place.name}
        rules = {"dense.weight": "muon", "dense.bias": "adamw_no_decay", "decoder.weight": "adamw", "decoder.bias": "adamw_no_decay"}
        assert outputs == {f"heads.mlm.{name}": rule for name, rule in rules.items()}
        assert made.get_parameter("heads.mlm.decoder.weight").dtype == made.get_parameter("heads.mlm.decoder.bias").dtype == torch.float32
        assert set(parameters.state()) == set(made.state_dict())

    def test_a_new_start_keeps_the_models_own_weights(self) -> None:
        made, plain = model(), model()
        parameters = FlatParameters(made, dtype=torch.bfloat16, optimizer="muon")
        for name, parameter in plain.named_parameters():
            assert torch.equal(parameters.state()[name], parameter), name

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_gradients_of_several_passes_add_up_in_float32(self, dtype: torch.dtype) -> None:
        made = model()
        parameters = FlatParameters(made, dtype=dtype, optimizer="muon")
        total = torch.zeros_like(parameters.grad)
        for seed in range(3):
            backward(made, seed)
            parameters.collect()
            alone = FlatParameters(other := model(), dtype=dtype, optimizer="muon")
            backward(other, seed)
            alone.collect()
            total += alone.grad
        assert total.any()
        torch.testing.assert_close(parameters.grad, total)
        assert not parameters.compute_grad.any()

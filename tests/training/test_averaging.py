"""The moving average of the weights is what its formula says, is what is measured and saved, and leaves training itself as it was."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from bertwright.training.averaging import LastAverage, MovingAverage
from bertwright.training.parameters import FlatParameters

FILES = ("model.safetensors", "training/optimizer.safetensors", "training/masters.safetensors")


def a_pair(dtype: torch.dtype = torch.float32) -> tuple[FlatParameters, nn.Module]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    return FlatParameters(model, dtype=dtype, optimizer="adamw"), model


def norm(run: Any) -> dict[str, float]:
    return {"eval_loss": float(run.updater.parameters.master.norm())}


def test_the_average_follows_the_formula() -> None:
    parameters, _ = a_pair()
    average, expected = MovingAverage(parameters, decay=0.6), parameters.master.double().clone()
    for number in range(15):  # the last ones with the decay itself
        with torch.no_grad():
            parameters.master.normal_(generator=torch.Generator().manual_seed(number))
        average.update(number)
        decay = min(0.6, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * parameters.master.double()
    torch.testing.assert_close(average.average.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_its_place_the_model_computes_with_it_and_gets_its_own_back_bit_for_bit(dtype: torch.dtype) -> None:
    parameters, model = a_pair(dtype)
    average = MovingAverage(parameters, decay=0.5)
    with torch.no_grad():
        parameters.master.add_(1.0)
    parameters.publish()
    masters, weights = parameters.master.clone(), [parameter.detach().clone() for parameter in model.parameters()]

    def use_it() -> None:
        with average.in_place():
            state = parameters.state()
            for place in parameters.places:
                assert torch.equal(state[place.name], place.of(average.average))
                assert torch.equal(model.get_parameter(place.name), place.of(average.average).to(dtype))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use_it()
    assert torch.equal(parameters.master, masters)
    assert all(torch.equal(parameter, weight) for parameter, weight in zip(model.parameters(), weights, strict=True))


def test_what_is_measured_and_saved_is_the_average_and_training_is_not_changed(tiny_run: Callable[[str], Any]) -> None:
    measured: list[torch.Tensor] = []

    def evaluate(run: Any) -> dict[str, float]:
        measured.append(run.updater.parameters.master.clone())
        return {"eval_loss": 1.0}

    plain, averaged = tiny_run("plain"), tiny_run("averaged")
    plain.train(steps=4)
    averaged.train(steps=4, evaluate=evaluate, extras={"average": 0.9})
    assert torch.equal(plain.updater.parameters.master, averaged.updater.parameters.master)
    assert torch.equal(measured[-1], averaged.updater.average.average)
    assert not torch.equal(measured[-1], plain.updater.parameters.master)
    saved, masters = averaged.tensors(4), averaged.tensors(4, "training/masters.safetensors")
    unaveraged = plain.tensors(4)
    assert not any(torch.equal(tensor, unaveraged[name]) for name, tensor in saved.items() if "word_embeddings" in name)
    assert torch.equal(masters["tokens.weight"], unaveraged["bert.embeddings.word_embeddings.weight"])
    assert not (plain.folder / "checkpoints" / "step-000004" / "training" / "masters.safetensors").exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_stopped_run_ends_with_the_same_average_and_masters(differences: Callable[..., list[str]], dtype: torch.dtype) -> None:
    assert differences(3, FILES, extras={"average": 0.8}, steps=7, dtype=dtype, evaluate=norm) == []


def test_the_mean_is_that_of_the_last_moments_and_of_no_others() -> None:
    parameters, _ = a_pair()
    average = LastAverage(parameters, count=3)
    assert torch.equal(average.average, parameters.master), "nothing is kept yet"
    seen = []
    for number in range(5):
        with torch.no_grad():
            parameters.master.normal_(generator=torch.Generator().manual_seed(number))
        average.update(number)
        average.reached()
        seen.append(parameters.master.double().clone())
        torch.testing.assert_close(average.average.double(), torch.stack(seen[-3:]).mean(0), rtol=1e-5, atol=1e-6)


def test_what_is_measured_and_saved_is_the_mean_of_the_last_evaluations(tiny_run: Callable[[str], Any]) -> None:
    moments: list[torch.Tensor] = []
    plain, averaged = tiny_run("plain"), tiny_run("averaged")

    def keep(run: Any) -> dict[str, float]:
        moments.append(run.updater.parameters.master.clone())
        return {"eval_loss": 1.0}

    plain.train(steps=6, evaluate=keep)
    own, moments = moments, []
    averaged.train(steps=6, evaluate=keep, extras={"average_last": 2})
    assert torch.equal(plain.updater.parameters.master, averaged.updater.parameters.master)
    assert len(own) == len(moments) == 3
    assert torch.equal(moments[0], own[0])
    torch.testing.assert_close(moments[2], (own[1] + own[2]) / 2)
    saved = averaged.tensors(6)["bert.embeddings.word_embeddings.weight"]
    assert not torch.equal(saved, plain.tensors(6)["bert.embeddings.word_embeddings.weight"])


@pytest.mark.parametrize("stop_at", [1, 3, 6])
def test_a_stopped_run_ends_with_the_same_mean(stop_at: int, differences: Callable[..., list[str]]) -> None:
    assert differences(stop_at, FILES, extras={"average_last": 2}, steps=8, evaluate=norm) == []

"""FGM and PGD are what their papers' formulas say, written out by hand; the table comes back bit for bit; all processes move alike."""

from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bertwright.data.stream import Stream
from bertwright.errors import InputError
from bertwright.families import preset_architecture
from bertwright.models import Model
from bertwright.models.stack import recompute_activations
from bertwright.training.adversarial import Adversary, room_for, token_table
from bertwright.training.config import PretrainConfig
from bertwright.training.depth import freeze
from bertwright.training.devices import Device
from bertwright.training.fit import LabelledBatch, LabelledRows
from bertwright.training.step import Updater

ROWS, LABELS = [[5, 6, 7], [8, 9], [10, 11, 12], [15], [16, 17], [3, 3]], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
CPU = Device(torch.device("cpu"), torch.float32)
FGM = Adversary.fgm(epsilon=0.7)
PGD = Adversary.pgd(epsilon=0.5, alpha=0.3, steps=3)  # the third step would be beyond epsilon
FILES = ("model.safetensors", "training/optimizer.safetensors")


class Curved(nn.Module):
    """So that the gradient changes on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.own = nn.Embedding(20, 4), nn.Linear(4, 1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = self.own((self.tokens(ids) * mask[..., None]).sum(1).tanh()).squeeze(-1)
        return found


class Deep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.own = Model(preset_architecture("bert-tiny", vocab_size=20).with_dropout(0.2)), nn.Linear(128, 1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = self.own(self.body(ids, mask).last_hidden_state[:, 0]).squeeze(-1)
        return found


def squared(model: nn.Module, batch: LabelledBatch) -> Tensor:
    error: Tensor = ((model(batch.input_ids, batch.mask) - batch.labels).float() ** 2).sum()
    return error


def updater(model: nn.Module, adversary: Adversary | None, *, dtype: torch.dtype = torch.float32) -> tuple[Updater, list[Tensor]]:
    """With the gradients, and the masters, that its optimizer is given at each step."""
    objective = LabelledRows(ROWS, LABELS, pad_id=0, loss=squared)
    config = PretrainConfig(optimizer="adamw", learning_rate=1e-2, muon_learning_rate=1e-2, max_grad_norm=0.0)
    made = Updater.of(model.train(), objective, config, Device(torch.device("cpu"), dtype), adversary=adversary)
    seen: list[Tensor] = []
    step = made.optimizers.step

    def watched(factor: float) -> None:
        seen.extend([made.parameters.grad.clone(), made.parameters.master.clone()])
        step(factor)

    made.optimizers.step = watched  # type: ignore[method-assign]
    return made, seen


def one_step(model: nn.Module, adversary: Adversary | None, *, micro: int = 6, dtype: torch.dtype = torch.float32) -> tuple[dict[str, Tensor], Updater]:
    """The gradients of one update by parameter."""
    made, seen = updater(model, adversary, dtype=dtype)
    before, stream = made.parameters.master.clone(), Stream(made.objective, seed=0)  # type: ignore[arg-type]
    made.step([made.objective.batch(*stream.take(first, min(first + micro, 6))) for first in range(0, 6, micro)], number=0, factor=1.0)
    gradient, masters = seen
    assert torch.equal(masters, before), "the table is not what it was"
    return {place.name: place.of(gradient) for place in made.parameters.places}, made


def by_hand(adversary: Adversary) -> dict[str, Tensor]:
    """Clean gradient + that at the last of the moved tables, with plain torch."""
    torch.manual_seed(0)
    model = Curved()
    data = LabelledRows(ROWS, LABELS, pad_id=0, loss=squared)
    batch, table = data.batch(*Stream(data, seed=0).take(0, 6)), model.tokens.weight
    start = table.detach().clone()

    def gradients() -> dict[str, Tensor]:
        model.zero_grad()
        (squared(model, batch) / 6).backward()
        return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}

    clean = at = gradients()
    for _ in range(adversary.steps):
        moved = table.detach() + adversary.alpha * at["tokens.weight"] / at["tokens.weight"].norm()
        away = moved - start
        if away.norm() > adversary.epsilon:
            away = adversary.epsilon * away / away.norm()
        table.data = start + away
        at = gradients()
    return {name: clean[name] + at[name] for name in clean}


@pytest.mark.parametrize("adversary", [FGM, PGD], ids=["fgm", "pgd"])
@pytest.mark.parametrize("micro", [6, 4])
def test_the_gradient_is_the_clean_one_and_that_of_the_last_move(adversary: Adversary, micro: int) -> None:
    torch.manual_seed(0)
    found, _ = one_step(Curved(), adversary, micro=micro)
    torch.manual_seed(0)
    clean, _ = one_step(Curved(), None)
    for name, expected in by_hand(adversary).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-6, msg=name)
        assert not torch.allclose(found[name], 2 * clean[name], rtol=1e-2), "the move makes no difference, and the test none either"


def test_the_projection_and_the_number_of_steps_make_a_difference() -> None:
    grads = [by_hand(adversary)["tokens.weight"] for adversary in (PGD, Adversary.pgd(epsilon=9.0, alpha=0.3, steps=3), Adversary.pgd(epsilon=0.5, steps=2))]
    assert not any(torch.allclose(one, other, rtol=1e-3) for one, other in pairwise(grads))


@pytest.mark.parametrize("adversary", [FGM, PGD], ids=["fgm", "pgd"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_transformer_inside_a_module_keeps_its_table_bit_for_bit(adversary: Adversary, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    gradients, made = one_step(Deep(), adversary, dtype=dtype)
    assert all(tensor.isfinite().all() for tensor in gradients.values())
    assert not made.parameters.grad.any()
    assert not made.parameters.compute_grad.any()


def test_with_activations_computed_again_it_is_the_same() -> None:
    def gradients(*, recomputes: bool) -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = Deep()
        if recomputes:
            recompute_activations(model)
        return one_step(model, PGD)[0]

    plain, again = gradients(recomputes=False), gradients(recomputes=True)
    for name, tensor in plain.items():
        torch.testing.assert_close(again[name], tensor, rtol=1e-4, atol=1e-6, msg=name)


def test_all_processes_go_where_the_sum_of_their_gradients_leads() -> None:
    table = nn.Parameter(torch.zeros(3, 2))
    table.grad = torch.tensor([[3.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    others = torch.tensor([[0.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
    summed = SimpleNamespace(world_size=2, sum=lambda values: values.add_(others))
    seen: list[Tensor] = []
    Adversary.fgm(epsilon=1.0).train(table, lambda only: seen.append(table.detach().clone()), summed, room_for(table))  # type: ignore[arg-type]
    torch.testing.assert_close(seen[0], torch.tensor([[0.6, 0.0], [0.0, 0.8], [0.0, 0.0]]))
    assert torch.equal(table.grad, torch.tensor([[3.0, 0.0], [0.0, 0.0], [0.0, 0.0]])), "each process keeps its own share"


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
@pytest.mark.parametrize("adversary", [FGM, PGD], ids=["fgm", "pgd"])
def test_a_gradient_that_leads_nowhere_leaves_all_as_it_is(adversary: Adversary, value: float) -> None:
    table = nn.Parameter(torch.ones(2, 2))
    table.grad = torch.full((2, 2), value)
    adversary.train(table, lambda only: pytest.fail("there is nowhere to go"), CPU, room_for(table))
    assert torch.equal(table, torch.ones(2, 2))
    assert torch.equal(table.grad.nan_to_num(5.0), torch.full((2, 2), value).nan_to_num(5.0))


def test_what_goes_wrong_in_a_pass_leaves_the_table_as_it_was() -> None:
    table = nn.Parameter(torch.ones(2, 2))
    table.grad = torch.ones(2, 2)

    def fail(only: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FGM.train(table, fail, CPU, room_for(table))
    assert torch.equal(table, torch.ones(2, 2))


@pytest.mark.parametrize("adversary", [FGM, PGD], ids=["fgm", "pgd"])
def test_a_stopped_run_ends_with_the_same_bits(differences: Callable[..., list[str]], adversary: Adversary) -> None:
    assert differences(2, FILES, extras={"adversary": adversary, "average": 0.5}, steps=4) == []


def test_a_table_that_cannot_be_moved_is_an_input_error() -> None:
    model = Model(preset_architecture("bert-tiny", vocab_size=20))
    assert token_table(model) is model.tokens.weight
    freeze(model, 1)
    with pytest.raises(InputError, match="freeze_layers keeps them as they are: leave one of the two out"):
        token_table(model)
    with pytest.raises(InputError, match="this module has none of that name"):
        token_table(nn.Linear(2, 2))

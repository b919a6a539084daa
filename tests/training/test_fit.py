"""A module of one's own in the project's loop."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bertwright.data.samples import Vocabulary
from bertwright.data.shards import TokenShards
from bertwright.data.stream import Stream
from bertwright.errors import InputError, NonFiniteError
from bertwright.families import FAMILIES, Family, preset, preset_architecture
from bertwright.models import Model
from bertwright.objectives.mlm import MaskedLanguageModel
from bertwright.training.config import PretrainConfig
from bertwright.training.events import Event
from bertwright.training.fit import LabelledBatch, LabelledRows, fit
from bertwright.training.parameters import FlatParameters, rule_of

ROWS = [[5, 6, 7], [8, 9], [10, 11, 12, 13, 14], [15], [16, 17]]
LABELS = [1.0, 2.0, 3.0, 4.0, 5.0]
CONFIG = PretrainConfig(optimizer="adamw", learning_rate=0.3, batch_size=2, max_steps=12)


class Sum(nn.Module):
    """The sum of a row's numbers, one for each word."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return (self.words(ids).squeeze(-1) * mask).sum(1)


class Wrapped(nn.Module):
    def __init__(self, body: Model) -> None:
        super().__init__()
        self.body, self.own = body, nn.Linear(body.architecture.hidden_size, 3)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = self.own(self.body(ids, mask).last_hidden_state[:, 0])[:, 0].float()
        return found


def a_bert() -> Wrapped:
    torch.manual_seed(0)
    return Wrapped(Model(preset_architecture("bert-tiny", vocab_size=20)))


def squared(model: nn.Module, batch: LabelledBatch) -> Tensor:
    error: Tensor = ((model(batch.input_ids, batch.mask) - batch.labels) ** 2).sum()
    return error


def rows(seed: int = 0) -> LabelledRows:
    return LabelledRows(ROWS, LABELS, pad_id=0, loss=squared, seed=seed)


def test_every_row_comes_once_an_epoch_with_its_own_label_in_a_new_order() -> None:
    data, orders = rows(), []
    stream = Stream(data, seed=0)
    for epoch in range(3):
        seen = []
        for first in range(5 * epoch, 5 * epoch + 5, 2):
            batch = data.batch(*stream.take(first, min(first + 2, 5 * epoch + 5)))
            for ids, mask, label in zip(batch.input_ids, batch.mask, batch.labels, strict=True):
                assert ids[mask].tolist() == ROWS[LABELS.index(label.item())]
                assert not ids[~mask].any()
                seen.append(label.item())
        assert sorted(seen) == LABELS
        orders.append(tuple(seen))
    assert len(set(orders)) > 1
    across = data.batch(*stream.take(3, 8))
    assert across.labels.tolist() == [*orders[0][3:], *orders[1][:3]]


def test_a_module_that_is_no_model_learns_and_comes_back_as_it_was() -> None:
    torch.manual_seed(0)
    model, events = Sum().eval(), list[Event]()
    before = squared(model, data := rows().batch(*Stream(rows(), seed=0).take(0, 5))).item()
    state = fit(model, rows(), config=CONFIG, observers=[events.append])
    assert (state.progress.step, state.progress.samples) == (12, 24)
    assert squared(model, data).item() < 0.8 * before
    assert not model.training
    assert model.words.weight.grad is None
    assert model.words.weight.untyped_storage().nbytes() == 20 * 4
    losses = [event.values["loss"] for event in events if event.kind == "train"]
    assert losses[-1] < losses[0]


def test_rows_are_cut_into_passes_as_one_likes() -> None:
    def trained(**keys: int) -> Tensor:
        torch.manual_seed(0)
        model = Sum()
        fit(model, rows(), config=PretrainConfig(optimizer="adamw", learning_rate=1e-2, batch_size=4, max_steps=6, **keys))
        return model.words.weight.detach()

    torch.testing.assert_close(trained(), trained(micro_batch_size=1))
    assert torch.equal(trained(), trained())


def test_an_epoch_is_the_budget_where_none_is_given() -> None:
    assert fit(Sum(), rows(), config=PretrainConfig(optimizer="adamw")).progress.samples == 32  # one update of 32 rows holds the epoch's five
    assert fit(Sum(), rows(), config=PretrainConfig(optimizer="adamw", batch_size=1)).progress.step == 5


def test_another_objective_takes_its_source(shards: TokenShards, vocabulary: Vocabulary) -> None:
    objective = MaskedLanguageModel(vocabulary)
    source = objective.source(shards.train, vocabulary, length=16, seed=0)
    model = Model(preset_architecture("bert-tiny", vocab_size=vocabulary.size), ("mlm",))
    assert fit(model, objective, source=source, config=PretrainConfig(batch_size=4, max_steps=2)).progress.step == 2
    with pytest.raises(ValueError, match="give the source"):
        fit(model, objective, config=CONFIG)


def test_a_loss_that_is_no_number_changes_nothing() -> None:
    model = Sum()
    before = model.words.weight.detach().clone()
    data = LabelledRows(ROWS, LABELS, pad_id=0, loss=lambda model, batch: squared(model, batch) * math.nan)
    with pytest.raises(NonFiniteError):
        fit(model, data, config=CONFIG)
    assert torch.equal(model.words.weight.detach(), before)


def test_half_precision_comes_back_as_float32() -> None:
    model = a_bert()
    fit(model, rows(), config=PretrainConfig(optimizer="adamw", batch_size=5, max_steps=2, bf16=True))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    values = model.own.weight.detach()
    assert not torch.equal(values, values.bfloat16().float())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("frozen", [lambda number, name: name.startswith("body."), lambda number, name: number % 2 == 0], ids=["the body", "every second"])
def test_half_precision_beside_frozen_parameters_gives_these_back_bit_for_bit(family: Family, frozen: Callable[[int, str], bool]) -> None:
    torch.manual_seed(0)
    config = preset(f"{family.name}-tiny", vocab_size=20, pad_token_id=0, tie_word_embeddings=family.name == "bart")
    model = Wrapped(Model(family.architecture(config), family.complete_heads(next(iter(family.classes.values())))))
    for number, (name, parameter) in enumerate(model.named_parameters()):
        parameter.requires_grad_(parameter.requires_grad and not frozen(number, name))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fit(model, rows(), config=PretrainConfig(optimizer="adamw", learning_rate=1e-2, batch_size=5, max_steps=1, bf16=True))
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32
        if not parameter.requires_grad:
            assert torch.equal(parameter, before[name]), name
    assert any(not torch.equal(parameter, before[name]) for name, parameter in model.named_parameters()), "nothing was trained"


def test_what_is_saved_of_a_frozen_parameter_is_its_full_precision_and_what_is_read_is_computed_with() -> None:
    model = a_bert()
    frozen = model.own.weight.requires_grad_(False)
    before = frozen.detach().clone()
    parameters = FlatParameters(model, dtype=torch.bfloat16, optimizer="adamw")
    assert frozen.dtype == torch.bfloat16
    state = parameters.state()
    assert torch.equal(state["own.weight"], before)
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    parameters.load({name: tensor + 1 for name, tensor in state.items()})
    assert torch.equal(parameters.state()["own.weight"], before + 1)
    assert torch.equal(frozen, (before + 1).bfloat16())
    assert torch.equal(model.own.bias, parameters.state()["own.bias"].bfloat16())


def test_a_module_without_anything_to_train_is_an_input_error() -> None:
    model = Sum().eval().requires_grad_(False)
    with pytest.raises(InputError, match="nothing to train, every parameter has requires_grad False: set it to True"):
        fit(model, rows(), config=CONFIG)
    assert not model.training


def test_matrices_of_blocks_alone_are_trained_too() -> None:
    model = a_bert()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith("feed_forward.up.weight"))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    fit(model, rows(), config=PretrainConfig(optimizer="muon", batch_size=5, max_steps=1))
    assert {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])} == {
        name for name in before if name.endswith("feed_forward.up.weight")
    }


def test_every_part_comes_back_in_the_mode_that_it_had() -> None:
    model = a_bert().train()
    model.body.eval()
    fit(model, rows(), config=PretrainConfig(optimizer="adamw", batch_size=5, max_steps=1))
    assert model.training
    assert model.own.training
    assert not any(module.training for module in model.body.modules())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_model_inside_another_module_keeps_its_rules(family: Family, optimizer: str) -> None:
    config = preset(f"{family.name}-tiny", vocab_size=40, pad_token_id=0, tie_word_embeddings=family.name == "bart")
    with torch.device("meta"):
        model = Model(family.architecture(config), family.complete_heads(next(iter(family.classes.values()))))
    for name, parameter in model.named_parameters():
        rule = rule_of(name, parameter, optimizer=optimizer)
        assert rule_of(f"body.{name}", parameter, optimizer=optimizer) == rule
        assert FlatParameters._stays_float32(f"body.{name}") == FlatParameters._stays_float32(name)
        if parameter.ndim < 2:
            assert rule == "adamw_no_decay"
        elif optimizer == "muon":
            table = name.startswith("tokens.") or ".positions." in name or ".segments." in name
            output = name.startswith("heads.") and not name.endswith("dense.weight")
            assert (rule == "muon") == (not table and not output), name
    assert rule_of("own.weight", Wrapped(Model(preset_architecture("bert-tiny", vocab_size=20))).own.weight, optimizer=optimizer) == "adamw"


def test_what_cannot_be_fitted_is_an_input_error() -> None:
    with pytest.raises(InputError, match="5 rows and 2 labels: give one label for each row"):
        LabelledRows(ROWS, [1, 2], pad_id=0, loss=squared)
    with pytest.raises(InputError, match="a row without ids"):
        LabelledRows([[1], []], [1, 2], pad_id=0, loss=squared)
    with pytest.raises(InputError, match="no row"):
        LabelledRows([], [], pad_id=0, loss=squared)
    with pytest.raises(InputError, match="max_steps is -1"):
        fit(Sum(), rows(), config=PretrainConfig(max_steps=-1))


def test_labels_of_several_numbers_stay_together() -> None:
    data = LabelledRows(ROWS, np.arange(10).reshape(5, 2), pad_id=0, loss=squared)
    labels = data.batch(*Stream(data, seed=0).take(0, 5)).labels
    assert (labels.shape, labels.dtype, rows().labels.dtype) == ((5, 2), torch.int64, torch.float32)

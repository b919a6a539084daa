"""Lower layers learn slower by the published rule, or not at all, in every family; what is frozen costs no backward pass."""

import pytest
import torch

from bertwright.errors import InputError
from bertwright.families import FAMILIES, Family, preset, preset_architecture
from bertwright.models import Model
from bertwright.training.config import PretrainConfig
from bertwright.training.depth import freeze, layer_factor, level_of, levels
from bertwright.training.optimizers import Optimizers
from bertwright.training.parameters import FlatParameters

IDS = torch.randint(5, 40, (2, 8), generator=torch.Generator().manual_seed(1))


def model_of(family: Family, **keys: int) -> Model:
    torch.manual_seed(0)
    config = {**preset(f"{family.name}-tiny", vocab_size=40, pad_token_id=0), **keys}
    return Model(family.architecture(config), family.complete_heads(next(iter(family.classes.values()))))


def bert(layers: int = 3) -> Model:
    return model_of(next(family for family in FAMILIES if family.name == "bert"), num_hidden_layers=layers)


def albert(layers: int, groups: int) -> Model:
    return model_of(next(family for family in FAMILIES if family.name == "albert"), num_hidden_layers=layers, num_hidden_groups=groups)


class TestLevels:
    def test_of_an_encoder(self) -> None:
        architecture = bert().architecture
        factors = {
            "tokens.weight": 0.5**4,
            "encoder.positions.weight": 0.5**4,
            "encoder.embedding_norm.bias": 0.5**4,
            "encoder.blocks.0.attention.query.weight": 0.5**3,
            "encoder.blocks.1.feed_forward_norm.weight": 0.5**2,
            "encoder.blocks.2.feed_forward.up.bias": 0.5,
            "heads.pooler.dense.weight": 1.0,
            "heads.mlm.bias": 1.0,
            "something.else": 1.0,
        }
        assert {name: layer_factor(name, architecture, 0.5) for name in factors} == factors
        assert {f"body.{name}": layer_factor(f"body.{name}", architecture, 0.5) for name in factors} == {
            f"body.{name}": value for name, value in factors.items()
        }
        assert {layer_factor(name, architecture, 1.0) for name in factors} == {1.0}

    def test_of_two_stacks_the_decoder_lies_above_the_encoder(self) -> None:
        architecture = preset_architecture("t5-tiny", vocab_size=40)
        assert levels(architecture) == 4
        names = ("tokens.weight", "encoder.positions.weight", "encoder.blocks.1.attention.query.weight", "encoder.norm.weight")
        assert [level_of(name, architecture) for name in names] == [0, 0, 2, 2]
        names = ("decoder.positions.weight", "decoder.blocks.0.cross_attention.key.weight", "decoder.blocks.1.feed_forward.up.weight", "decoder.norm.weight")
        assert [level_of(name, architecture) for name in names] == [2, 3, 4, 5]
        assert level_of("heads.lm.decoder.weight", architecture) == 5

    def test_shared_blocks_are_one_level(self) -> None:
        model = albert(6, 2)
        assert levels(model.architecture) == 2
        found = {level_of(name, model.architecture) for name, _ in model.named_parameters() if name.startswith("encoder.blocks.")}
        assert found == {1, 2}
        assert layer_factor("tokens.weight", model.architecture, 0.5) == 0.5**3
        assert layer_factor("encoder.projection.weight", model.architecture, 0.5) == 0.5**3

    @pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
    def test_in_every_family_embeddings_are_lowest_heads_on_top_and_every_level_is_met(self, family: Family) -> None:
        model = model_of(family)
        architecture = model.architecture
        found = {name: level_of(name, architecture) for name, _ in model.named_parameters()}
        assert set(found.values()) - {levels(architecture) + 1} == set(range(levels(architecture) + 1))
        assert found["tokens.weight"] == 0
        assert {level for name, level in found.items() if name.startswith("heads.")} <= {levels(architecture) + 1}
        blocks = [level for name, level in found.items() if ".blocks." in name]
        assert min(blocks) == 1
        assert max(blocks) == levels(architecture)

    def test_a_table_for_each_layer_has_its_layer_s_level(self) -> None:
        model = model_of(next(family for family in FAMILIES if family.name == "bert"), position_embedding_type="relative_key")
        assert [level_of(f"encoder.positions.distances.{layer}", model.architecture) for layer in (0, 1)] == [1, 2]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_each_parameter_moves_by_its_own_rate(optimizer: str) -> None:
    def moved(decay: float) -> dict[str, torch.Tensor]:
        model = bert()
        parameters = FlatParameters(model, dtype=torch.float32, optimizer=optimizer, factor_of=lambda name: layer_factor(name, model.architecture, decay))
        made = Optimizers(parameters, learning_rate=1e-2, muon_learning_rate=1e-2, weight_decay=0.1, betas=(0.9, 0.98), eps=1e-8)
        before = {name: tensor.clone() for name, tensor in parameters.state().items()}
        for place in parameters.places:
            place.of(parameters.grad).copy_(torch.randn(place.shape, generator=torch.Generator().manual_seed(place.shape.numel())))
        made.step(0.5)
        return {name: tensor - before[name] for name, tensor in parameters.state().items()}

    architecture, plain = bert().architecture, moved(1.0)
    for name, change in moved(0.5).items():
        torch.testing.assert_close(change, plain[name] * layer_factor(name, architecture, 0.5), rtol=1e-3, atol=2e-7, msg=name)


def test_without_factors_the_order_of_the_parameters_is_what_it_was() -> None:
    plain, ones = (FlatParameters(bert(), dtype=torch.float32, optimizer="muon", factor_of=factor) for factor in (None, lambda name: 1.0))
    assert plain.places == ones.places
    assert {span.factor for span in plain.spans()} == {1.0}
    rules = [(not FlatParameters._stays_float32(place.name), place.rule, tuple(place.shape)) for place in plain.places]
    assert rules == sorted(rules)
    assert len(list(plain.spans())) == len({(first, rule, shape if rule == "muon" else None) for first, rule, shape in rules})


class TestFreezing:
    @pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
    def test_the_embeddings_and_the_lowest_layers_stay_and_the_rest_learns(self, family: Family) -> None:
        model = model_of(family)
        if family.name == "albert":
            with pytest.raises(InputError, match=r"freeze_layers is 1: layers share their weights here, take 0 or 2"):
                freeze(model, 1)
            return
        idle = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
        freeze(model, 1)
        frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad} - idle
        assert frozen == {name for name, _ in model.named_parameters() if level_of(name, model.architecture) <= 1} - idle
        first = "encoder" if model.encoder is not None else "decoder"
        assert "tokens.weight" in frozen
        assert any(name.startswith(f"{first}.blocks.0.") for name in frozen)
        assert not any(name.startswith(f"{first}.blocks.1.") for name in frozen)

    def test_none_is_none_and_all_leaves_the_heads(self) -> None:
        model = bert()
        freeze(model, 0)
        assert all(parameter.requires_grad for parameter in model.parameters())
        freeze(model, 3)
        assert {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad} == {"heads"}

    def test_more_layers_than_there_are_is_an_input_error(self) -> None:
        with pytest.raises(InputError, match="freeze_layers is 4: the model has 3 layers, take 3 or fewer"):
            freeze(bert(), 4)

    def test_shared_groups_are_frozen_whole(self) -> None:
        model = albert(6, 2)
        with pytest.raises(InputError, match="take 0 or 3 or 6"):
            freeze(model, 2)
        freeze(model, 3)
        assert not any(parameter.requires_grad for parameter in model.encoder.blocks[0].parameters())
        assert all(parameter.requires_grad for parameter in model.encoder.blocks[1].parameters())

    def test_what_is_frozen_costs_no_backward_pass(self) -> None:
        model, graphs = bert().train(), []
        for block in model.encoder.blocks:
            block.register_forward_hook(lambda module, given, output: graphs.append(output.grad_fn))
        freeze(model, 2)
        model(IDS)
        assert [graph is not None for graph in graphs] == [False, False, True]

    def test_a_frozen_part_is_not_the_optimizer_s(self) -> None:
        model = bert()
        freeze(model, 1)
        parameters = FlatParameters(model, dtype=torch.float32, optimizer=PretrainConfig().optimizer)
        assert min(level_of(place.name, model.architecture) for place in parameters.places) == 2
        assert "tokens.weight" in parameters.state()

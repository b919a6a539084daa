"""Computing activations again in the backward pass: the same gradients, dropout and all, from less memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from bertwright.families import FAMILIES, Family, preset
from bertwright.models import Model
from bertwright.models.stack import recompute_activations

IDS = torch.randint(5, 60, (4, 16), generator=torch.Generator().manual_seed(1))
MASK = (torch.arange(16) < torch.tensor([16, 9, 12, 5])[:, None]).long()


def model_of(family: Family, *, layers: int | None = None) -> Model:
    torch.manual_seed(0)
    config = preset(f"{family.name}-tiny", vocab_size=64, pad_token_id=0)
    if layers is not None:
        config["num_hidden_layers"] = layers
    return Model(family.architecture(config).with_dropout(0.2)).train()


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Of one pass with the same dropout whoever asks."""
    torch.manual_seed(7)
    model(IDS, MASK).last_hidden_state.float().square().mean().backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
    model.zero_grad()
    return found


@contextmanager
def saved_bytes(model: nn.Module) -> Iterator[Callable[[], int]]:
    """Bytes of what autograd keeps of a forward pass: of storages that are no parameter's."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield lambda: sum(kept.values())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_gradients_are_the_same_with_dropout_on(family: Family) -> None:
    model = model_of(family)
    plain = gradients(model)
    torch.manual_seed(8)
    recompute_activations(model)
    again = gradients(model)
    assert plain.keys() == again.keys()
    assert all(tensor.isfinite().all() for tensor in plain.values())
    for name, tensor in plain.items():
        torch.testing.assert_close(again[name], tensor, rtol=1e-5, atol=1e-7, msg=name)


def test_dropout_is_really_on() -> None:
    model = model_of(FAMILIES[0])
    plain = gradients(model)
    torch.manual_seed(9)
    model(IDS, MASK).last_hidden_state.square().mean().backward()
    assert not torch.allclose(model.tokens.weight.grad, plain["tokens.weight"], rtol=1e-2)


def test_of_each_block_its_input_alone_is_kept() -> None:
    def kept(layers: int, *, recomputes: bool) -> int:
        model = model_of(FAMILIES[0], layers=layers)
        if recomputes:
            recompute_activations(model)
        with saved_bytes(model) as count:
            model(IDS).last_hidden_state.sum()
            return count()

    plain = (kept(8, recomputes=False) - kept(4, recomputes=False)) / 4
    again = (kept(8, recomputes=True) - kept(4, recomputes=True)) / 4
    one = IDS.numel() * 128 * 4
    assert again < 1.2 * one
    assert plain > 8 * again


def test_evaluation_and_what_is_looked_at_are_as_ever() -> None:
    model = model_of(FAMILIES[0])
    recompute_activations(model)
    torch.manual_seed(7)
    seen = model(IDS, MASK, output_attentions=True, output_hidden_states=True)
    seen.last_hidden_state.sum().backward()
    assert len(seen.attentions) == model.architecture.last.depth
    with torch.no_grad():
        assert not model(IDS, MASK).last_hidden_state.requires_grad
    assert torch.equal(model.eval()(IDS, MASK).last_hidden_state, model_of(FAMILIES[0]).eval()(IDS, MASK).last_hidden_state)

"""The feed-forward layer and the norms, by their formulas."""

import pytest
import torch

from bertwright.architecture import ACTIVATIONS, Block
from bertwright.blocks.activation import activation
from bertwright.blocks.feed_forward import FeedForward
from bertwright.blocks.norm import norm


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_feed_forward_is_two_maps_with_an_activation_of_a_third_as_gate(name: str, gated: bool) -> None:
    torch.manual_seed(0)
    made, x = FeedForward(Block(hidden_size=6, num_heads=1, intermediate_size=10, activation=name, gated=gated)), torch.randn(2, 3, 6)
    inner = activation(name)(made.gate(x)) * made.value(x) if gated else activation(name)(made.up(x))
    torch.testing.assert_close(made(x), made.down(inner))


def test_without_bias_there_is_none() -> None:
    block = Block(hidden_size=6, num_heads=1, intermediate_size=10, gated=True, feed_forward_bias=False)
    assert [name for name, _ in FeedForward(block).named_parameters() if "bias" in name] == []


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_norms_are_their_formulas(kind: str) -> None:
    x = torch.randn(4, 6) * 3 + 1
    made = norm(6, Block(hidden_size=6, num_heads=1, intermediate_size=10, norm=kind, norm_eps=0.5, norm_bias=False))
    torch.nn.init.uniform_(made.weight)
    assert [name for name, _ in made.named_parameters()] == ["weight"]
    centred = x - x.mean(-1, keepdim=True) if kind == "layer" else x
    torch.testing.assert_close(made(x), centred / (centred.square().mean(-1, keepdim=True) + 0.5).sqrt() * made.weight)

"""First weights: deviations, zero biases, unit norms, as the papers' code has them."""

import dataclasses
import math

import pytest
import torch

from bertwright.architecture import Absolute, Architecture, Block, Bucketed, Head, RelativeTable, Stack, Transform
from bertwright.models import Model

BLOCK = Block(hidden_size=64, num_heads=4, intermediate_size=256)
HEAD = Head(kind="mlm", transform=Transform(activation="gelu", norm=True))


def deviations(stack: Stack, **changes: object) -> dict[str, float]:
    torch.manual_seed(0)
    model = Model(Architecture(vocab_size=400, pad_id=0, embedding_size=64, encoder=stack, heads=(HEAD,), **changes), ("mlm",))  # type: ignore[arg-type]
    state = dict(model.named_parameters())
    assert all(not parameter.any() for name, parameter in state.items() if name.endswith("bias"))
    assert all(bool((parameter == 1).all()) for name, parameter in state.items() if name.endswith("norm.weight"))
    return {name: parameter.std().item() for name, parameter in state.items() if parameter.ndim == 2}


def test_bert_begins_with_one_deviation_everywhere() -> None:
    stack = Stack(block=BLOCK, num_layers=2, positions=Absolute(max_length=64), segments=20)
    found = deviations(stack, initializer_range=0.05)
    assert set(found) >= {"tokens.weight", "encoder.positions.weight", "encoder.segments.weight", "encoder.blocks.1.feed_forward.up.weight"}
    assert found == pytest.approx(dict.fromkeys(found, 0.05), rel=0.1)


def test_relative_tables_begin_with_it_too() -> None:
    found = deviations(Stack(block=BLOCK, num_layers=2, positions=RelativeTable(max_length=64, on_keys=True)))
    assert [found[f"encoder.positions.distances.{layer}"] for layer in range(2)] == pytest.approx([0.02, 0.02], rel=0.1)


def test_fan_in_scales_each_matrix_by_its_inputs() -> None:
    block = dataclasses.replace(BLOCK, scaled=False, norm="rms", attention_bias=False, feed_forward_bias=False)
    found = deviations(Stack(block=block, num_layers=1, positions=Bucketed(num_buckets=64, max_distance=128)), fan_in=True)
    expected = {
        "tokens.weight": 1.0,
        "encoder.positions.weight": 64**-0.5,
        "encoder.blocks.0.attention.query.weight": (64 * 16) ** -0.5,
        "encoder.blocks.0.attention.key.weight": 64**-0.5,
        "encoder.blocks.0.feed_forward.up.weight": 64**-0.5,
        "encoder.blocks.0.feed_forward.down.weight": 256**-0.5,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=0.1)


def test_what_writes_to_the_residual_is_divided_by_the_root_of_twice_the_layers() -> None:
    found = deviations(Stack(block=BLOCK, num_layers=8, positions=Absolute(max_length=64)), scaled_residuals=True)
    for name, value in found.items():
        scaled = name.endswith(("attention.output.weight", "down.weight"))
        assert value == pytest.approx(0.02 / math.sqrt(16) if scaled else 0.02, rel=0.1), name

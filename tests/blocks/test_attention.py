"""The attention path for short rows is the fused one in value and gradients; rows that nobody reads are left out without a difference."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bertwright.architecture import Block
from bertwright.blocks import layout as layouts
from bertwright.blocks.attention import Attention
from bertwright.blocks.encoder_block import EncoderBlock
from bertwright.blocks.layout import Packed, Padded
from bertwright.blocks.short_attention import LONGEST, short_attention, suits

BATCH, HEADS, LENGTH, SIZE = 3, 2, 12, 5


def tensors(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    # Laid out as `Attention.project` leaves them, so that strides are what they are in training.
    joined = torch.randn(BATCH, LENGTH, count, HEADS, SIZE, generator=generator).permute(2, 0, 3, 1, 4)
    return [part.requires_grad_() for part in joined.unbind(0)]


def masks() -> dict[str, Tensor | None]:
    padding = torch.arange(LENGTH)[None, :] < torch.tensor([[12], [7], [1]])
    sequences = torch.tensor([[0] * 5 + [1] * 7, [0] * 12, [0] * 3 + [1] * 4 + [2] * 5])
    return {"none": None, "padded": Padded(padding).allowed, "packed": Packed(sequences).allowed}


@pytest.mark.parametrize("name", ["none", "padded", "packed"])
def test_short_attention_is_the_fused_attention(name: str) -> None:
    allowed = masks()[name]
    query, key, value, upstream = tensors(4)
    ours = short_attention(query, key, value, allowed)
    fused = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    torch.testing.assert_close(ours, fused, rtol=1e-5, atol=1e-6)
    found, expected = (torch.autograd.grad(out, (query, key, value), upstream.detach()) for out in (ours, fused))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_short_path_is_taken_on_a_cpu_for_short_rows_without_dropout() -> None:
    query = torch.zeros(1, 1, LONGEST, 4)
    assert suits(query, dropout=0.0)
    assert not suits(query, dropout=0.1)
    assert not suits(torch.zeros(1, 1, LONGEST + 1, 4), dropout=0.0)
    assert not suits(query.to("meta"), dropout=0.0)


@pytest.mark.parametrize(
    "layout", [Padded(), Padded(torch.arange(LENGTH)[None, :] < torch.tensor([[12], [7], [1]])), Packed(torch.arange(36).view(3, 12) // 5)]
)
def test_probabilities_are_what_the_attention_uses(layout: layouts.Layout) -> None:
    query, key, value = tensors(3)
    torch.testing.assert_close(layout.probabilities(query, key) @ value, layout.attend(query, key, value, dropout=0.0), rtol=1e-5, atol=1e-6)


def test_dropout_of_the_attention_takes_the_fused_path_and_is_off_in_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    attention = Attention(Block(hidden_size=8, num_heads=2, intermediate_size=8, attention_dropout=0.5))
    hidden = torch.randn(2, 6, 8)
    seen = []
    monkeypatch.setattr(layouts.F, "scaled_dot_product_attention", lambda *_, dropout_p, **__: seen.append(dropout_p) or torch.zeros(2, 2, 6, 4))
    attention.train()(hidden, Padded())
    assert seen == [0.5]
    attention.eval()(hidden, Padded())
    assert seen == [0.5]


def test_a_block_for_some_rows_gives_what_it_gives_for_all() -> None:
    torch.manual_seed(0)
    block = EncoderBlock(Block(hidden_size=8, num_heads=2, intermediate_size=16))
    hidden, rows = torch.randn(3, 6, 8, requires_grad=True), torch.tensor([0, 6, 7, 17])
    whole, some = block(hidden, Padded()).flatten(0, 1)[rows], block(hidden, Padded(), rows)
    torch.testing.assert_close(some, whole)
    found, expected = (torch.autograd.grad(out.square().sum(), (hidden, *block.parameters())) for out in (some, whole))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)

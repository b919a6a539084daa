"""The attention path for short rows is the fused one in value and gradients; rows that nobody reads are left out without a difference."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bertwright.architecture import Absolute, Block, Dropout, Stack
from bertwright.blocks import attention as attentions
from bertwright.blocks import scores as scoring
from bertwright.blocks.attention import Attention
from bertwright.blocks.dropout import kept, scale_of
from bertwright.blocks.layout import Layout, Packed, Padded
from bertwright.blocks.scores import Scores
from bertwright.blocks.short_attention import LONGEST, LONGEST_FLOAT32, short_attention, suits
from bertwright.blocks.transformer_block import TransformerBlock

BATCH, HEADS, LENGTH, SIZE = 3, 2, 12, 5
SCORES = Scores(scale=SIZE**-0.5)


def tensors(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    # Laid out as `Attention.project` leaves them, so that strides are what they are in training.
    joined = torch.randn(BATCH, LENGTH, count, HEADS, SIZE, generator=generator).permute(2, 0, 3, 1, 4)
    return [part.requires_grad_() for part in joined.unbind(0)]


def layouts() -> dict[str, Layout]:
    padding = torch.arange(LENGTH)[None, :] < torch.tensor([[12], [7], [1]])
    sequences = torch.tensor([[0] * 5 + [1] * 7, [0] * 12, [0] * 3 + [1] * 4 + [2] * 5])
    return {"none": Padded(), "padded": Padded(padding), "packed": Packed(sequences)}


def masks(scores: Scores) -> dict[str, Tensor | None]:
    query, key = tensors(2)
    return {name: layout.allowed(scores, query, key) for name, layout in layouts().items()}


@pytest.mark.parametrize("scores", [SCORES, dataclasses.replace(SCORES, causal=True), dataclasses.replace(SCORES, window=2, scale=1.0)])
@pytest.mark.parametrize("name", ["none", "padded", "packed"])
def test_short_attention_is_the_fused_attention(name: str, scores: Scores) -> None:
    allowed = masks(scores)[name]
    query, key, value, upstream = tensors(4)
    ours = short_attention(query, key, value, allowed, scale=scores.scale)
    fused = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, scale=scores.scale)
    torch.testing.assert_close(ours, fused, rtol=1e-5, atol=1e-6)
    found, expected = (torch.autograd.grad(out, (query, key, value), upstream.detach()) for out in (ours, fused))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_short_attention_takes_fewer_queries_than_keys() -> None:
    query, key, value, upstream = tensors(4)
    few = query[:, :, -4:]
    ours = short_attention(few, key, value, None, scale=0.3)
    fused = F.scaled_dot_product_attention(few, key, value, scale=0.3)
    torch.testing.assert_close(ours, fused, rtol=1e-5, atol=1e-6)
    found, expected = (torch.autograd.grad(out, (query, key, value), upstream.detach()[:, :, -4:]) for out in (ours, fused))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_short_path_is_taken_where_it_is_the_fast_one() -> None:
    """On a CPU, for short rows: in bfloat16, and for shorter ones in float32 with gradients."""
    query = torch.zeros(1, 1, LONGEST_FLOAT32, 4, requires_grad=True)
    assert suits(query, dropout=0.0)
    assert not suits(query.detach(), dropout=0.0)
    assert not suits(torch.zeros(1, 1, LONGEST_FLOAT32 + 1, 4, requires_grad=True), dropout=0.0)
    assert suits(torch.zeros(1, 1, LONGEST, 4, requires_grad=True), dropout=0.1)
    half = torch.zeros(1, 1, LONGEST, 4, dtype=torch.bfloat16)
    assert suits(half, dropout=0.0)
    assert not suits(torch.zeros(1, 1, LONGEST + 1, 4, dtype=torch.bfloat16), dropout=0.0)
    assert not suits(half.to("meta"), dropout=0.0)


def test_short_attention_drops_probabilities_and_their_gradients_at_the_same_places() -> None:
    """Against plain operations with the places that the same random state gives."""
    query, key, value, upstream = tensors(4)
    torch.manual_seed(3)
    ours = short_attention(query, key, value, None, scale=0.3, dropout=0.25)
    torch.manual_seed(3)
    chances = torch.softmax(0.3 * query @ key.mT, -1)
    plain = chances * kept(chances, 0.25) * scale_of(0.25) @ value
    assert kept(chances, 0.25).mean() < 1
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-6)
    found, expected = (torch.autograd.grad(out, (query, key, value), upstream.detach()) for out in (ours, plain))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("queries", [1, 4, 12])
def test_a_causal_row_goes_to_the_fused_kernel_as_a_triangle(queries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing else decides, and only where queries and keys are the same tokens: with a cache they are not."""
    query, key, value = (x.detach() for x in tensors(3))
    query, triangles, fused = query[:, :, -queries:], list[bool](), F.scaled_dot_product_attention
    monkeypatch.setattr(
        scoring.F, "scaled_dot_product_attention", lambda *x, is_causal, **y: triangles.append(is_causal) or fused(*x, is_causal=is_causal, **y)
    )
    causal = dataclasses.replace(SCORES, causal=True)
    found = Padded().attend(query, key, value, causal)
    assert triangles == [queries == LENGTH]
    torch.testing.assert_close(found, Padded().probabilities(query, key, causal) @ value, rtol=1e-5, atol=1e-6)
    if queries == LENGTH:
        for layout in (layouts()["padded"], layouts()["packed"]):
            layout.attend(query, key, value, causal)
        Padded().attend(query, key, value, dataclasses.replace(causal, window=3))
        assert triangles[1:] == [False] * 3


@pytest.mark.parametrize("name", ["none", "padded", "packed"])
def test_a_bias_that_layers_share_keeps_to_the_reach_of_each(name: str) -> None:
    layout, (query, key, value) = layouts()[name], tensors(3)
    bias = torch.randn(1, HEADS, LENGTH, LENGTH)
    for window in (None, 2, None, 1):
        scores = dataclasses.replace(SCORES, bias=bias, window=window)
        torch.testing.assert_close(layout.attend(query, key, value, scores), layout.probabilities(query, key, scores) @ value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("name", ["none", "padded", "packed"])
def test_probabilities_are_what_the_attention_uses(name: str, biased: bool) -> None:
    layout = layouts()[name]
    query, key, value = tensors(3)
    bias = torch.randn(HEADS, LENGTH, LENGTH, generator=torch.Generator().manual_seed(1)) if biased else None
    scores = dataclasses.replace(SCORES, bias=bias, causal=True)
    torch.testing.assert_close(layout.probabilities(query, key, scores) @ value, layout.attend(query, key, value, scores), rtol=1e-5, atol=1e-6)
    plain = dataclasses.replace(scores, bias=None)
    assert torch.allclose(layout.probabilities(query, key, scores), layout.probabilities(query, key, plain), atol=1e-2) is not biased


@pytest.mark.parametrize("biased", [False, True])
def test_what_is_mixed_in_comes_on_top_of_the_values(biased: bool) -> None:
    query, key, value = tensors(3)
    vectors, bias = torch.randn(LENGTH, SIZE), torch.randn(HEADS, LENGTH, LENGTH) if biased else None
    scores = dataclasses.replace(SCORES, bias=bias, mix=lambda chances: chances @ vectors)
    found = Padded().attend(query, key, value, scores)
    torch.testing.assert_close(found, Padded().probabilities(query, key, scores) @ (value + vectors))


def test_a_bias_keeps_to_the_fused_kernel_and_a_mix_alone_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain operations hold the probabilities of all layers: they are for NEZHA and for looking."""
    query, key, value = tensors(3)
    calls: list[Tensor | None] = []
    fused = F.scaled_dot_product_attention
    monkeypatch.setattr(scoring.F, "scaled_dot_product_attention", lambda *x, attn_mask, **y: calls.append(attn_mask) or fused(*x, attn_mask=attn_mask, **y))
    Padded().attend(query, key, value, dataclasses.replace(SCORES, bias=torch.zeros(HEADS, LENGTH, LENGTH)))
    Padded().attend(query, key, value, dataclasses.replace(SCORES, mix=lambda chances: chances @ value))
    assert [mask is not None for mask in calls] == [True]


def test_dropout_of_the_attention_reaches_the_fused_path_and_is_off_in_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    attention = Attention(Block(hidden_size=8, num_heads=2, intermediate_size=8, dropout=Dropout(attention=0.5)))
    hidden = torch.randn(2, LONGEST + 1, 8)
    seen = []
    monkeypatch.setattr(scoring.F, "scaled_dot_product_attention", lambda query, *_, dropout_p, **__: seen.append(dropout_p) or torch.zeros_like(query))
    attention.train()(hidden, Padded())
    attention.eval()(hidden, Padded())
    assert seen == [0.5, 0.0]


def test_dropout_of_short_rows_is_off_in_evaluation() -> None:
    attention = Attention(Block(hidden_size=8, num_heads=2, intermediate_size=8, dropout=Dropout(attention=0.5)))
    hidden = torch.randn(2, 6, 8)
    assert not torch.equal(attention.train()(hidden, Padded()), attention(hidden, Padded()))
    assert torch.equal(attention.eval()(hidden, Padded()), attention(hidden, Padded()))


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_block_for_some_rows_gives_what_it_gives_for_all(norm_first: bool) -> None:
    torch.manual_seed(0)
    shape = Block(hidden_size=8, num_heads=2, intermediate_size=16, norm_first=norm_first)
    block = TransformerBlock(Stack(block=shape, num_layers=1, positions=Absolute(max_length=6)), number=0)
    hidden, rows = torch.randn(3, 6, 8, requires_grad=True), torch.tensor([0, 6, 7, 17])
    place = {"layout": Padded(), "placement": attentions.NOWHERE, "layer": 0}
    whole, some = block(hidden, **place).flatten(0, 1)[rows], block(hidden, **place, rows=rows)
    torch.testing.assert_close(some, whole)
    found, expected = (torch.autograd.grad(out.square().sum(), (hidden, *block.parameters())) for out in (some, whole))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_what_is_looked_at_is_what_is_computed() -> None:
    attention = Attention(Block(hidden_size=8, num_heads=2, intermediate_size=8))
    hidden, seen = torch.randn(2, 6, 8), list[Tensor]()
    out = attention(hidden, Padded(), seen=seen)
    value = attention.split(attention.value(hidden))
    torch.testing.assert_close(attention.output((seen[0] @ value).transpose(1, 2).flatten(2)), out)

"""Who may attend to whom: causal rows, windows, padding, several texts in a row, and a cache in front."""

import pytest
import torch
from torch import Tensor

from bertwright.architecture import Block
from bertwright.blocks.attention import Attention
from bertwright.blocks.cache import Cache, KeysValues
from bertwright.blocks.layout import Packed, Padded
from bertwright.blocks.scores import Scores

MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1]]).bool()
SEQUENCES = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 1, 2], [0, 0, 0, 0, 0, 0]])


def rows(length: int, *, batch: int = 3) -> Tensor:
    return torch.zeros(batch, 2, length, 4)


def by_hand(*, causal: bool, window: int | None, queries: int = 6, keys: int = 6) -> Tensor:
    """[queries, keys], one pair after the other; the queries are the last of the keys."""
    allowed = torch.ones(queries, keys, dtype=torch.bool)
    for place in range(queries):
        for key in range(keys):
            query = keys - queries + place
            allowed[place, key] = not (causal and key > query) and not (window is not None and abs(key - query) > window)
    return allowed


REACHES = [(False, None), (True, None), (False, 1), (False, 2), (True, 1), (True, 0)]


@pytest.mark.parametrize(("causal", "window"), REACHES)
def test_padded_rows_reach_as_far_as_the_layer_and_never_to_padding(causal: bool, window: int | None) -> None:
    scores = Scores(scale=1.0, causal=causal, window=window)
    for queries in (6, 3, 1):
        reach = by_hand(causal=causal, window=window, queries=queries)
        plain = Padded().allowed(scores, rows(queries), rows(6))
        assert (plain is None and reach.all()) or torch.equal(plain.expand(queries, 6), reach)
        allowed = Padded(MASK).allowed(scores, rows(queries), rows(6)).expand(3, 1, queries, 6)[:, 0]
        for text, mask in enumerate(MASK):
            wanted = reach & mask
            real = mask[6 - queries :]
            assert torch.equal(allowed[text][real], wanted[real])
            assert allowed[text].any(-1).all(), "kernels may make no number of a row that looks at nothing"


@pytest.mark.parametrize(("causal", "window"), REACHES)
def test_packed_texts_reach_as_far_as_the_layer_and_never_to_each_other(causal: bool, window: int | None) -> None:
    layout = Packed(SEQUENCES)
    allowed = layout.allowed(Scores(scale=1.0, causal=causal, window=window), rows(6), rows(6))
    for row, sequences in enumerate(SEQUENCES):
        same = sequences[:, None] == sequences[None, :]
        assert torch.equal(allowed[row, 0], same & by_hand(causal=causal, window=window))


def test_one_layout_serves_layers_of_different_reach() -> None:
    for layout in (Padded(MASK), Packed(SEQUENCES)):
        far = layout.allowed(Scores(scale=1.0), rows(6), rows(6)).expand(3, 1, 6, 6)
        near = layout.allowed(Scores(scale=1.0, window=1), rows(6), rows(6))
        assert int(near.sum()) < int(far.sum())
        assert layout.allowed(Scores(scale=2.0, window=1), rows(6), rows(6)) is near, "made once for each kind of layer"


@pytest.mark.parametrize(("causal", "window"), REACHES)
def test_padding_that_reaches_only_padding_is_still_a_number(causal: bool, window: int | None) -> None:
    torch.manual_seed(0)
    attention = Attention(Block(hidden_size=8, num_heads=2, intermediate_size=8), causal=causal, window=window)
    hidden = torch.randn(3, 6, 8, requires_grad=True)
    out = attention(hidden, Padded(MASK))
    assert out.isfinite().all()
    (grad,) = torch.autograd.grad(out[MASK].sum(), hidden)
    assert grad.isfinite().all()
    assert not grad[~MASK].any(), "no real token looks at padding"


def test_positions_of_packed_rows_begin_anew_with_every_text() -> None:
    assert Packed(SEQUENCES).positions().tolist() == [[0, 1, 2, 0, 1, 2], [0, 0, 1, 2, 3, 0], [0, 1, 2, 3, 4, 5]]
    assert Padded(MASK).positions() is None


def test_a_layout_moves_with_its_batch() -> None:
    for layout in (Padded(MASK), Packed(SEQUENCES)):
        moved = layout.each(lambda tensor: tensor.to("meta"))
        assert (moved.mask if isinstance(moved, Padded) else moved.sequences).device.type == "meta"
    assert Padded().each(torch.clone).mask is None


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("cuts", [(1, 1, 1, 1, 1, 1), (3, 1, 1, 1), (2, 4)])
def test_with_a_cache_a_causal_attention_gives_what_it_gives_at_once(cuts: tuple[int, ...], window: int | None) -> None:
    torch.manual_seed(1)
    attention = Attention(Block(hidden_size=8, num_heads=2, intermediate_size=8), causal=True, window=window)
    hidden, cache, begin = torch.randn(3, 6, 8), KeysValues(), 0
    mask = MASK | ~MASK.any(1, keepdim=True)
    whole, parts = attention(hidden, Padded(mask)), []
    for cut in cuts:
        assert cache.length == begin
        parts.append(attention(hidden[:, begin : begin + cut], Padded(mask[:, : begin + cut]), cache=cache))
        begin += cut
    torch.testing.assert_close(torch.cat(parts, 1)[mask], whole[mask])


def test_another_stacks_keys_and_values_are_computed_once() -> None:
    torch.manual_seed(2)
    attention = Attention(Block(hidden_size=8, num_heads=2, intermediate_size=8))
    hidden, memory, cache = torch.randn(2, 3, 8), torch.randn(2, 5, 8), KeysValues()
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]).bool()
    whole = attention(hidden, Padded(mask), memory=memory)
    parts = [attention(hidden[:, [place]], Padded(mask), memory=memory if place == 0 else memory * float("nan"), cache=cache) for place in range(3)]
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    assert cache.length == 5
    torch.testing.assert_close(attention(hidden, Padded(mask), memory=torch.where(mask[..., None], memory, 1e3)), whole)


def test_a_cache_keeps_the_rows_it_is_told_to() -> None:
    cache = Cache(2)
    assert cache.length == 0
    assert not cache.memory[0].filled
    keys, values = torch.randn(3, 2, 4, 5), torch.randn(3, 2, 4, 5)
    for held in (*cache.own, cache.memory[0]):
        held.add(keys, values)
    cache.select(torch.tensor([2, 2, 0, 1]))
    assert cache.length == 4
    for held in (*cache.own, cache.memory[0]):
        assert torch.equal(held.content()[0], keys[[2, 2, 0, 1]])
        assert torch.equal(held.content()[1], values[[2, 2, 0, 1]])
    with pytest.raises(ValueError, match="the cache is empty"):
        cache.memory[1].content()


def test_a_window_as_wide_as_the_row_costs_no_mask() -> None:
    query = torch.zeros(1, 1, 5, 4)
    assert Padded().allowed(Scores(scale=1.0, window=4), query, query) is None
    assert Padded().allowed(Scores(scale=1.0, window=3), query, query) is not None

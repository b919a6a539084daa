"""Each position scheme against its formula, one pair of places after the other; packed rows count anew."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bertwright.architecture import Absolute, Block, Bucketed, Positions, RelativeSinusoid, RelativeTable, Rotary, Stack
from bertwright.blocks.attention import Attention
from bertwright.blocks.layout import Packed, Padded
from bertwright.blocks.positions import AbsolutePosition, Position, RotaryPosition, build_position

LENGTH, HEADS, SIZE = 7, 2, 6
BLOCK = Block(hidden_size=HEADS * SIZE, num_heads=HEADS, intermediate_size=8)
SEQUENCES = torch.tensor([[0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1, 1]])

# What is added to the product of query and key (both [size]) at places i and j of a head; query, key or value [size] at its place; what comes to the value.
Pair = Callable[[Position, Tensor, Tensor, int, int, int], Tensor]
Turn = Callable[[Tensor, int, bool], Tensor]
Spread = Callable[[int, int], Tensor]


def build(data: Positions, *, causal: bool = False) -> Position:
    torch.manual_seed(3)
    position = build_position(Stack(block=BLOCK, num_layers=2, positions=data, causal=causal), BLOCK.hidden_size)
    with torch.no_grad():
        for parameter in position.parameters():
            parameter.normal_()
    return position


def by_hand(position: Position, attention: Attention, hidden: Tensor, places: Tensor, allowed: Tensor, *, pair: Pair, turn: Turn, spread: Spread) -> Tensor:
    """Attention of one row, [length, hidden_size], with sums over pairs of places."""
    query, key, value = (part(hidden).view(len(hidden), HEADS, SIZE) for part in (attention.query, attention.key, attention.value))
    found = torch.zeros(len(hidden), HEADS, SIZE)
    for head in range(HEADS):
        turned = [[turn(x[n, head], int(places[n]), is_value) for n in range(len(hidden))] for x, is_value in ((query, False), (key, False), (value, True))]
        for i in range(len(hidden)):
            products = [
                turned[0][i] @ turned[1][j] + pair(position, turned[0][i], turned[1][j], int(places[i]), int(places[j]), head)
                if allowed[i, j]
                else torch.tensor(-math.inf)
                for j in range(len(hidden))
            ]
            chances = torch.stack(products).mul(attention.scale).softmax(0)
            for j in range(len(hidden)):
                found[i, head] += chances[j] * (turned[2][j] + spread(int(places[i]), int(places[j])))
    return attention.output(found.flatten(1))


def nothing(*_: object) -> Tensor:
    return torch.zeros(())


def stay(x: Tensor, place: int, is_value: bool) -> Tensor:
    return x


def relative_table(on_keys: bool) -> Pair:
    def pair(position: Position, query: Tensor, key: Tensor, i: int, j: int, head: int) -> Tensor:
        vector = position.distances[1][i - j + 8]  # type: ignore[index]  # a module's attribute
        return query @ vector + (key @ vector if on_keys else 0)

    return pair


def sinusoid(i: int, j: int) -> Tensor:
    """NEZHA, section 2.1: distances from query to key, clipped to 3."""
    distance = max(-3, min(3, j - i)) + 3
    return torch.tensor([(math.sin, math.cos)[k % 2](distance / 10000 ** ((k - k % 2) / SIZE)) for k in range(SIZE)])


def bucket(distance: int, *, causal: bool) -> int:
    """T5: 8 buckets up to distance 20; without causality half of them are for keys to the right."""
    buckets, first = 8, 0
    if causal:
        away = max(0, -distance)
    else:
        buckets, first, away = 4, 4 if distance > 0 else 0, abs(distance)
    exact = buckets // 2
    if away < exact:
        return first + away
    return first + min(buckets - 1, exact + int(math.log(away / exact) / math.log(20 / exact) * (buckets - exact)))


def rotary(*, base: float, interleaved: bool, on_values: bool = False) -> Turn:
    """Su et al. 2021, equation 34, with complex numbers."""

    def turn(x: Tensor, place: int, is_value: bool) -> Tensor:
        if is_value and not on_values:
            return x
        real, imaginary = (x[::2], x[1::2]) if interleaved else (x[: SIZE // 2], x[SIZE // 2 :])
        angles = torch.tensor([place * base ** (-2 * i / SIZE) for i in range(SIZE // 2)])
        turned = torch.complex(real, imaginary) * torch.polar(torch.ones(SIZE // 2), angles)
        return torch.stack([turned.real, turned.imag], 1).flatten() if interleaved else torch.cat([turned.real, turned.imag])

    return turn


SCHEMES: dict[str, tuple[Positions, bool, Pair, Turn, Spread]] = {
    "relative_key": (RelativeTable(max_length=9, on_keys=False), False, relative_table(False), stay, nothing),
    "relative_key_query": (RelativeTable(max_length=9, on_keys=True), False, relative_table(True), stay, nothing),
    "sinusoid": (RelativeSinusoid(max_distance=3, max_length=9), False, lambda _, q, k, i, j, h: q @ sinusoid(i, j), stay, sinusoid),
    "bucketed": (Bucketed(num_buckets=8, max_distance=20), False, lambda p, q, k, i, j, h: p.weight[bucket(j - i, causal=False), h], stay, nothing),
    "bucketed causal": (Bucketed(num_buckets=8, max_distance=20), True, lambda p, q, k, i, j, h: p.weight[bucket(j - i, causal=True), h], stay, nothing),
    "rotary": (Rotary(base=100.0, max_length=9), False, nothing, rotary(base=100.0, interleaved=False), nothing),
    "interleaved": (Rotary(base=100.0, max_length=9, interleaved=True), False, nothing, rotary(base=100.0, interleaved=True), nothing),
    "on values": (
        Rotary(base=100.0, max_length=9, interleaved=True, on_values=True, stored=True),
        False,
        nothing,
        rotary(base=100.0, interleaved=True, on_values=True),
        nothing,
    ),
    "nowhere": (Absolute(max_length=9), False, nothing, stay, nothing),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", SCHEMES)
def test_attention_with_a_scheme_is_its_formula(name: str, packed: bool) -> None:
    data, causal, pair, turn, spread = SCHEMES[name]
    position = build(data, causal=causal)
    attention, hidden = Attention(BLOCK, causal=causal), torch.randn(2, LENGTH, BLOCK.hidden_size)
    with torch.no_grad():
        attention.query.weight.mul_(3)
    layout = Packed(SEQUENCES) if packed else Padded()
    places = Packed(SEQUENCES).positions() if packed else torch.arange(LENGTH).expand(2, -1)
    placement = position.at(*(2 * (places if packed else places[0],)), hidden.dtype)
    found = attention(hidden, layout, placement, layer=1)
    for row in range(2):
        allowed = torch.ones(LENGTH, LENGTH).bool().tril() if causal else torch.ones(LENGTH, LENGTH).bool()
        allowed &= (SEQUENCES[row][:, None] == SEQUENCES[row]) | (not packed)
        expected = by_hand(position, attention, hidden[row], places[row], allowed, pair=pair, turn=turn, spread=spread)
        torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-5)
    if name != "nowhere":
        assert not torch.allclose(attention(hidden, layout, layer=1), found, atol=1e-2), "without the scheme it would be the same: the test says nothing"


def test_far_places_share_the_last_bucket() -> None:
    places = torch.tensor([0, 60, 128, 300, 9000])
    placement = build(Bucketed(num_buckets=32, max_distance=128)).at(places[:1], places, torch.float32)
    bias = placement.bias(torch.empty(0), torch.empty(0), 0)
    assert bias is not None
    assert bias.shape == (1, HEADS, 1, 5)
    bias = bias[0]
    assert torch.equal(bias[:, 0, 2:], bias[:, 0, 2:3].expand(-1, 3))
    assert not torch.equal(bias[:, 0, 1], bias[:, 0, 2])


@pytest.mark.parametrize("shift", [1, 1000])
def test_rotations_depend_on_the_distance_alone(shift: int) -> None:
    position = build(Rotary(base=100.0, max_length=9))
    query, key = torch.randn(1, HEADS, LENGTH, SIZE, dtype=torch.float64), torch.randn(1, HEADS, LENGTH, SIZE, dtype=torch.float64)
    products = []
    for begin in (0, shift):
        places = torch.arange(begin, begin + LENGTH)
        turned_query, turned_key, _ = position.at(places, places, torch.float64).rotate(query, key, key, 0)
        products.append(turned_query @ turned_key.transpose(-1, -2))
    torch.testing.assert_close(*products, rtol=1e-3, atol=1e-3)


def test_layers_with_a_window_turn_by_the_local_base() -> None:
    data = Rotary(base=1000.0, local_base=10.0, max_length=9)
    position = build_position(Stack(block=BLOCK, num_layers=3, positions=data, windows=(None, 2, None)), BLOCK.hidden_size)
    places = torch.arange(LENGTH)
    placement = position.at(places, places, torch.float32)
    query = torch.randn(1, 1, LENGTH, SIZE)
    for layer, base in enumerate([1000.0, 10.0, 1000.0]):
        expected = torch.stack([rotary(base=base, interleaved=False)(query[0, 0, place], place, False) for place in range(LENGTH)])
        torch.testing.assert_close(placement.rotate(query, query, query, layer)[0][0, 0], expected, rtol=1e-4, atol=1e-5)


def test_the_stored_table_holds_what_turns() -> None:
    table = build(Rotary(base=100.0, max_length=9, stored=True)).table
    assert table.shape == (9, SIZE)
    angles = torch.arange(9)[:, None] * 100.0 ** (-torch.arange(0, SIZE, 2) / SIZE)
    torch.testing.assert_close(table, torch.cat([angles.sin(), angles.cos()], 1))
    assert not list(build(Rotary(base=100.0, max_length=9, stored=True)).parameters())


class TestAbsolute:
    ids = torch.tensor([[0, 7, 8, 0, 9, 0, 0], [5, 5, 5, 5, 5, 5, 5]])

    def test_every_place_has_its_row_behind_the_offset(self) -> None:
        position = build(Absolute(max_length=9, offset=2))
        assert isinstance(position, AbsolutePosition)
        assert position.weight.shape == (11, BLOCK.hidden_size)
        torch.testing.assert_close(position.embed(self.ids, None, 0), position.weight[2:9])
        places = torch.tensor([[3, 4, 5, 0, 1, 2, 8]])
        torch.testing.assert_close(position.embed(self.ids, places, 0), F.embedding(places + 2, position.weight))

    def test_places_that_skip_padding_count_real_tokens(self) -> None:
        """RoBERTa: padding has the row before place 0, and a token's place is how many real ones stand before it."""
        position = build(Absolute(max_length=9, offset=3, skip_padding=True))
        assert isinstance(position, AbsolutePosition)
        expected = [[2, 3, 4, 2, 5, 2, 2], [3, 4, 5, 6, 7, 8, 9]]
        torch.testing.assert_close(position.embed(self.ids, None, 0), position.weight[torch.tensor(expected)])
        torch.testing.assert_close(position.embed(self.ids, None, None)[0], position.weight[3:10])

    def test_other_schemes_add_nothing_to_the_embeddings(self) -> None:
        for name, (data, *_) in SCHEMES.items():
            assert (build(data).embed(self.ids, None, 0) is None) == (name != "nowhere")


def test_a_stored_table_is_what_turns_as_far_as_it_goes() -> None:
    data = Rotary(base=100.0, max_length=8, interleaved=True, stored=True)
    position = RotaryPosition(data, head_size=4, windows=())
    query = torch.randn(1, 1, 6, 4)
    places = torch.arange(6)
    usual, _, _ = position.at(places, places, torch.float32).rotate(query, query, query, 0)
    position.table.fill_(0.5)
    turned, _, _ = position.at(places, places, torch.float32).rotate(query, query, query, 0)
    assert not torch.allclose(usual, turned)
    beyond = places + 5
    far, _, _ = position.at(beyond, beyond, torch.float32).rotate(query, query, query, 0)
    assert torch.isfinite(far).all()

"""What stacks are made of, beside BERT's: shared blocks, a projection, norms in other places; two stacks; token by token with a cache."""

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from bertwright.architecture import (
    LM,
    Absolute,
    Architecture,
    Block,
    Bucketed,
    Head,
    Positions,
    RelativeSinusoid,
    RelativeTable,
    Rotary,
    Stack,
)
from bertwright.blocks.layout import Packed, Padded
from bertwright.errors import InputError
from bertwright.models import Model

VOCAB = 30
BLOCK = Block(hidden_size=16, num_heads=2, intermediate_size=24)
POSITIONS = Absolute(max_length=32)
SCHEMES: dict[str, Positions] = {
    "absolute": Absolute(max_length=32, offset=2),
    "skipping": Absolute(max_length=32, offset=1, skip_padding=True),
    "relative": RelativeTable(max_length=32, on_keys=True),
    "sinusoid": RelativeSinusoid(max_distance=3, max_length=32),
    "rotary": Rotary(base=100.0, max_length=32, local_base=10.0, on_values=True),
    "bucketed": Bucketed(num_buckets=8, max_distance=6),
    "rotary on keys": Rotary(base=100.0, max_length=32),
}


def made(*, encoder: Stack | None = None, decoder: Stack | None = None, embedding_size: int = 16, **changes: object) -> Model:
    torch.manual_seed(0)
    shape = Architecture(vocab_size=VOCAB, pad_id=0, embedding_size=embedding_size, encoder=encoder, decoder=decoder, heads=(Head(kind="lm"),))
    model = Model(dataclasses.replace(shape, **changes), ("lm",))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


def stack(**changes: object) -> Stack:
    return dataclasses.replace(Stack(block=BLOCK, num_layers=2, positions=POSITIONS), **changes)


def ids(*shape: int, seed: int = 1) -> Tensor:
    return torch.randint(5, VOCAB, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("layers", "groups", "inner", "order"), [(4, 1, 1, [0, 0, 0, 0]), (4, 2, 1, [0, 0, 1, 1]), (5, 2, 1, [0, 0, 0, 1, 1]), (3, 1, 2, [0, 1] * 3)]
)
def test_shared_blocks_run_in_order(layers: int, groups: int, inner: int, order: list[int]) -> None:
    model = made(encoder=stack(num_layers=layers, groups=groups, inner_groups=inner))
    blocks = [block for group in model.encoder.blocks for block in group]
    assert len(blocks) == groups * inner
    assert [blocks.index(block) for block in model.encoder.in_order()] == order
    assert model.encoder.data.depth == len(order)
    output = model(ids(2, 5), output_hidden_states=True, output_attentions=True)
    assert len(output.hidden_states) == len(order) + 1
    assert len(output.attentions) == len(order)


def test_a_projection_widens_factorised_embeddings() -> None:
    model = made(encoder=stack(projection=True), embedding_size=6, heads=(Head(kind="lm", transform=None),))
    states = model.encoder.embed(model.tokens(ids(2, 5)), ids(2, 5), None, None)
    embedded = model.encoder.embedding_norm(model.tokens(ids(2, 5)) + model.encoder.positions.weight[:5])
    torch.testing.assert_close(states, model.encoder.projection(embedded))
    assert states.shape == (2, 5, 16)


def test_a_pre_norm_block_adds_to_what_it_was_given() -> None:
    model = made(encoder=stack(num_layers=1, block=dataclasses.replace(BLOCK, norm_first=True), embedding_norm=False, embedding_scale=4.0, final_norm=True))
    encoder = model.encoder
    (block,) = encoder.in_order()
    first = model.tokens(ids(2, 5)) * 4 + encoder.positions.weight[:5]
    middle = first + block.attention(block.attention_norm(first), Padded())
    last = middle + block.feed_forward(block.feed_forward_norm(middle))
    output = model(ids(2, 5), output_hidden_states=True)
    torch.testing.assert_close(output.hidden_states[0], first)
    torch.testing.assert_close(output.last_hidden_state, encoder.norm(last))
    assert output.hidden_states[-1] is output.last_hidden_state


def test_without_a_first_norm_the_first_block_reads_the_embeddings_as_they_are() -> None:
    model = made(encoder=stack(block=dataclasses.replace(BLOCK, norm_first=True), first_norm=False))
    assert [type(block.attention_norm).__name__ for block in model.encoder.in_order()] == ["Identity", "LayerNorm"]


def test_a_window_keeps_far_tokens_out_of_sight() -> None:
    model = made(encoder=stack(windows=(1, 1), positions=Rotary(base=100.0, max_length=32)))
    one, other = ids(1, 8), ids(1, 8)
    other[0, 0] = 29 if one[0, 0] != 29 else 28
    moved = (model(one).last_hidden_state - model(other).last_hidden_state).abs().amax(-1)[0] > 1e-6
    assert moved.tolist() == [True] * 3 + [False] * 5, "two layers of one step to either side"


@pytest.mark.parametrize("name", SCHEMES)
def test_a_causal_stack_does_not_know_what_comes(name: str) -> None:
    model = made(decoder=stack(causal=True, positions=SCHEMES[name], windows=(None, 3)))
    text = ids(2, 9)
    torch.testing.assert_close(model(text[:, :6]).last_hidden_state, model(text).last_hidden_state[:, :6], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cuts", [[1] * 9, [4, 1, 1, 1, 1, 1], [5, 4]])
@pytest.mark.parametrize("name", SCHEMES)
def test_token_by_token_with_a_cache_is_the_whole_at_once(name: str, cuts: Sequence[int]) -> None:
    model = made(decoder=stack(causal=True, positions=SCHEMES[name], windows=(None, 3)))
    text, cache, begin, parts = ids(2, 9), model.new_cache(), 0, []
    whole = model(text).logits
    for cut in cuts:
        parts.append(model(text[:, begin : begin + cut], cache=cache).logits)
        begin += cut
        assert cache.length == begin
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["absolute", "rotary on keys", "bucketed"])
def test_texts_padded_in_front_go_on_by_their_own_places(name: str) -> None:
    """As generation reads a batch of prompts of different lengths."""
    model = made(decoder=stack(causal=True, positions=SCHEMES[name]))
    short = ids(1, 4)
    alone = model(short).logits
    padded = torch.cat([torch.zeros(1, 3, dtype=torch.long), short], 1)
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1]])
    places = (mask.cumsum(1) - 1).clamp(min=0)
    cache = model.new_cache()
    first = model(padded[:, :5], mask[:, :5], position_ids=places[:, :5], cache=cache).logits
    rest = [model(padded[:, [place]], mask[:, : place + 1], position_ids=places[:, [place]], cache=cache).logits for place in (5, 6)]
    torch.testing.assert_close(torch.cat([first[:, 3:], *rest], 1), alone, rtol=1e-4, atol=1e-5)


class TestTwoStacks:
    @staticmethod
    def model(**changes: object) -> Model:
        return made(encoder=stack(), decoder=stack(causal=True, cross_attention=True, **changes), decoder_start_id=2)

    def test_the_decoder_sees_the_encoder_and_not_its_padding(self) -> None:
        model, mask = self.model(), torch.tensor([[1, 1, 1, 1, 0, 0]])
        source, target = ids(1, 6), ids(1, 4, seed=2)
        other = torch.where(mask.bool(), source, ids(1, 6, seed=3))
        found = model(source, mask, decoder_input_ids=target)
        torch.testing.assert_close(model(other, mask, decoder_input_ids=target).logits, found.logits)
        torch.testing.assert_close(model(source[:, :4], decoder_input_ids=target).logits, found.logits, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(model(source, decoder_input_ids=target).logits, found.logits, atol=1e-3)

    def test_without_decoder_ids_the_input_moves_one_place_to_the_right(self) -> None:
        model, source = self.model(), ids(2, 6)
        shifted = torch.cat([torch.full((2, 1), 2), source[:, :-1]], 1)
        assert torch.equal(model(source).logits, model(source, decoder_input_ids=shifted).logits)
        with pytest.raises(ValueError, match="give decoder_input_ids"):
            made(encoder=stack(), decoder=stack(causal=True, cross_attention=True))(source)

    def test_token_by_token_with_a_memory_and_a_cache_is_the_whole_at_once(self) -> None:
        model, mask = self.model(), torch.tensor([[1] * 6, [1] * 3 + [0] * 3])
        source, target = ids(2, 6), ids(2, 5, seed=2)
        whole = model(source, mask, decoder_input_ids=target).logits
        memory, cache = model.remember(source, mask), model.new_cache()
        parts = [model(source, decoder_input_ids=target[:, [place]], memory=memory, cache=cache).logits for place in range(5)]
        torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)

    def test_everything_on_the_way_can_be_looked_at(self) -> None:
        output = self.model()(ids(2, 6), decoder_input_ids=ids(2, 4), output_hidden_states=True, output_attentions=True)
        assert [len(states) for states in (output.encoder_hidden_states, output.decoder_hidden_states)] == [3, 3]
        assert [tuple(seen[0].shape) for seen in (output.encoder_attentions, output.decoder_attentions, output.cross_attentions)] == [
            (2, 2, 6, 6),
            (2, 2, 4, 4),
            (2, 2, 4, 6),
        ]
        torch.testing.assert_close(output.encoder_hidden_states[-1], output.encoder_last_hidden_state)

    def test_packed_rows_are_refused(self) -> None:
        with pytest.raises(ValueError, match="takes one text a row"):
            self.model()(ids(1, 4), layout=Packed(torch.tensor([[0, 0, 1, 1]])))


def test_a_model_without_any_stack_is_refused() -> None:
    with pytest.raises(InputError, match="needs an encoder or a decoder"):
        Model(Architecture(vocab_size=5, pad_id=0, embedding_size=4), (LM,))


def test_only_a_model_with_an_encoder_remembers() -> None:
    with pytest.raises(ValueError, match="no encoder"):
        made(decoder=stack(causal=True)).remember(ids(1, 4))

"""At step 0 every head of a neighbour start looks at its neighbour, in a stock BERT; a random start does not."""

import dataclasses
import math

import pytest
import torch

from bertwright.architecture import MLM, Architecture
from bertwright.families import preset_architecture
from bertwright.models import Model
from bertwright.models.starts import knows_neighbours, offsets, start_at_frequencies, start_at_neighbours, start_at_words

LENGTH = 64
WORD_SIZE = 1.8 / 16


def model(name: str = "bert-mini", **keys: int) -> Model:
    torch.manual_seed(0)
    return Model(preset_architecture(name, vocab_size=500, max_position_embeddings=128, **keys), (MLM,)).eval()


def attention_at(made: Model, offset_of_head: list[int]) -> torch.Tensor:
    """[layers, heads] mean probability, over the places that have one, of each head's neighbour at its offset."""
    ids = torch.randint(5, 500, (4, LENGTH), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        attentions = made(ids, output_attentions=True).attentions
    found = []
    for layer in attentions:
        heads = [torch.diagonal(layer[:, head], offset_of_head[head], dim1=-2, dim2=-1).mean() for head in range(layer.shape[1])]
        found.append(torch.stack(heads))
    return torch.stack(found)


def test_offsets_go_outwards_to_both_sides() -> None:
    assert offsets(6) == [-1, 1, -2, 2, -3, 3]


@pytest.mark.parametrize(
    ("name", "keys"), [("bert-tiny", {}), ("bert-mini", {}), ("albert-mini", {}), ("albert-mini", {"inner_group_num": 2}), ("electra-mini", {})], ids=str
)
def test_attention_at_step_0_sits_on_the_offsets_in_every_head_of_every_layer(name: str, keys: dict[str, int]) -> None:
    made = model(name, **keys)
    wanted = offsets(made.architecture.encoder.block.num_heads)
    before = attention_at(made, wanted)
    start_at_neighbours(made)
    after = attention_at(made, wanted)
    assert before.max() < 0.1
    assert after.min() > 0.4, after
    assert after[0].min() > 0.8, after


@pytest.mark.parametrize("name", ["modernbert-tiny", "modernbert-mini", "roformer-mini"])
@pytest.mark.parametrize("distinct", [False, True], ids=["new words", "words of the text"])
def test_rotated_heads_sit_on_their_offsets_too(name: str, distinct: bool) -> None:
    made = model(name)
    wanted = offsets(made.architecture.encoder.block.num_heads)
    before = attention_at(made, wanted)
    taken = start_at_neighbours(made)
    if distinct:
        vectors = torch.randn(500, made.architecture.embedding_size - taken, generator=torch.Generator().manual_seed(0))
        start_at_words(made, vectors, taken=taken)
    after = attention_at(made, wanted)
    assert before.max() < 0.1
    assert after[0].min() > 0.7, after
    assert after.min() > 0.4, after


def test_only_encoders_whose_places_can_be_turned_or_added_know_neighbours() -> None:
    known = {name: knows_neighbours(preset_architecture(f"{name}-tiny", vocab_size=500)) for name in ("bert", "modernbert", "roformer", "gpt2", "t5", "bart")}
    assert known == {"bert": True, "modernbert": True, "roformer": True, "gpt2": False, "t5": False, "bart": False}


def test_words_begin_where_their_vectors_are_up_to_a_turn() -> None:
    made = model()
    taken = start_at_neighbours(made)
    stayed = made.tokens.weight[7].clone()
    vectors = torch.randn(500, 256 - taken, generator=torch.Generator().manual_seed(0))
    vectors[7] = 0
    start_at_words(made, vectors, taken=taken)
    weight = made.tokens.weight
    torch.testing.assert_close(weight[7], stayed * WORD_SIZE / 0.02, msg="nothing is known of this word")
    assert not weight[:, :taken].any(), "these are the places'"
    vectors[7] = stayed[taken:] / 0.02
    found = weight[:7, taken:] @ weight[8:, taken:].T
    torch.testing.assert_close(found, WORD_SIZE**2 * vectors[:7] @ vectors[8:].T, rtol=1e-3, atol=1e-4)


def test_words_pass_a_projection_apart_from_positions_and_at_their_own_size() -> None:
    made = model("albert-mini")
    start_at_neighbours(made)
    assert made.encoder.projection is not None
    words = torch.cat([torch.zeros(100, 64), torch.randn(100, 64, generator=torch.Generator().manual_seed(0))], dim=1)
    with torch.no_grad():
        found = made.encoder.projection(words)
    assert not found[:, :64].any()
    assert found[:, 64:].std().item() == pytest.approx(1, rel=0.1)


def test_a_head_looks_at_its_own_offset_and_at_no_other() -> None:
    made = model()
    start_at_neighbours(made)
    for wrong in (-4, 3, 0):
        assert attention_at(made, [wrong] * 4).max() < 0.15


def test_the_architecture_and_the_parameters_are_those_of_a_stock_bert() -> None:
    plain, made = model(), model()
    start_at_neighbours(made)
    assert made.architecture == plain.architecture
    assert {name: tensor.shape for name, tensor in made.state_dict().items()} == {name: tensor.shape for name, tensor in plain.state_dict().items()}
    kept = ("value", "output", "feed_forward.up", "norm", "heads", "bias")
    for (name, before), after in zip(plain.state_dict().items(), made.state_dict().values(), strict=True):
        if "feed_forward.down.weight" in name:
            assert not after.any()
        elif any(part in name for part in kept):
            assert torch.equal(before, after), f"{name} is none of the start's business"


def test_an_odd_head_size_and_a_single_head_work_too() -> None:
    lone = model("albert-mini", num_attention_heads=1, hidden_size=64)  # whose head is as wide as its hidden state
    start_at_neighbours(lone)
    assert lone.encoder.projection is not None
    assert lone.encoder.projection.weight[:, 64:].any(), "no word reaches the first layer"
    found = preset_architecture("bert-tiny", vocab_size=50, max_position_embeddings=32)
    block = dataclasses.replace(found.encoder.block, hidden_size=45, num_heads=5)
    odd: Architecture = dataclasses.replace(found, embedding_size=45, encoder=dataclasses.replace(found.encoder, block=block))
    start_at_neighbours(Model(odd))
    single = dataclasses.replace(block, hidden_size=16, num_heads=1)
    made = Model(dataclasses.replace(found, embedding_size=16, encoder=dataclasses.replace(found.encoder, block=single)))
    start_at_neighbours(made)
    assert all(parameter.isfinite().all() for parameter in made.parameters())


def test_the_frequency_start_predicts_the_frequencies_before_it_has_learnt_anything() -> None:
    made = model()
    counts = torch.randint(0, 1000, (500,), generator=torch.Generator().manual_seed(2))
    counts[7] = 0
    start_at_frequencies(made, counts)
    bias = made.heads["mlm"].bias
    torch.testing.assert_close(bias.exp().sum().item(), 1.0, rtol=1e-4, atol=0.0)
    assert bias[7] == bias.min()
    assert math.isfinite(bias[7].item())
    torch.testing.assert_close(bias.exp(), (counts + 0.5) / (counts + 0.5).sum())

"""Padding is not computed: the same output from fewer rows, for rows padded at their ends."""

import numpy as np
import pytest
import torch
from torch import Tensor

from bertwright.architecture import (
    MLM,
    NSP,
    POOLER,
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
    Transform,
)
from bertwright.blocks.layout import Padded
from bertwright.models import Model
from bertwright.models.unpadding import Unpadding, worth_unpadding

HEADS = (
    Head(kind="pooler", reads="first", transform=Transform(activation="tanh")),
    Head(kind="mlm", transform=Transform(activation="gelu", norm=True)),
    Head(kind="nsp", reads="pooled", labels=2),
)
SCHEMES: dict[str, Positions] = {
    "absolute": Absolute(max_length=32),
    "behind an offset": Absolute(max_length=32, offset=2, skip_padding=True),
    "relative": RelativeTable(max_length=32, on_keys=True),
    "sinusoid": RelativeSinusoid(max_distance=4, max_length=32),
    "rotary": Rotary(base=100.0, max_length=32),
    "bucketed": Bucketed(num_buckets=8, max_distance=20),
}


def mask_of(*lengths: int, length: int = 16) -> Tensor:
    return (torch.arange(length) < torch.tensor(lengths)[:, None]).long()


def made(positions: Positions, **changes: object) -> Model:
    torch.manual_seed(0)
    stack = Stack(block=Block(hidden_size=16, num_heads=4, intermediate_size=24), num_layers=2, positions=positions, segments=2, **changes)  # type: ignore[arg-type]
    model = Model(Architecture(vocab_size=30, pad_id=0, embedding_size=16, encoder=stack, heads=HEADS), (POOLER, MLM, NSP))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


@pytest.mark.parametrize("seed", range(5))
def test_every_token_has_one_place_and_few_rows_hold_them_all(seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(1, 129, size=64)
    mask = mask_of(*lengths.tolist(), length=128)
    unpadding = Unpadding.of(mask)
    rows = len(unpadding.source)
    least = -(-int(lengths.sum()) // 128)
    assert least <= rows <= 11 / 9 * least + 1, "first fit by falling length"
    places = unpadding.target[mask.flatten().bool()]
    assert len(places.unique()) == int(lengths.sum())
    numbers = torch.arange(64 * 128).view(64, 128)
    packed = unpadding.pack(numbers)
    assert torch.equal(packed.flatten()[places], numbers[mask.bool()])
    assert torch.equal(unpadding.unpack(packed[..., None])[..., 0][mask.bool()], numbers[mask.bool()])
    assert torch.equal(unpadding.layout.positions().flatten()[places], (numbers % 128)[mask.bool()])
    texts = unpadding.layout.sequences
    same = texts.flatten()[places]
    assert all(len(group.unique()) == 1 for group in same.split(lengths.tolist())), "a text is in one piece"


@pytest.mark.parametrize(
    ("lengths", "worth"),
    [
        ((16, 4, 3, 9), True),
        ((16, 16, 16, 16), False),
        ((16, 16, 15, 16), False),
        ((4,), False),
        ((0,), False),
        ((9, 8), False),
        ((8, 8), True),
        ((0, 16), True),
    ],
)
def test_rows_are_moved_only_where_one_at_least_is_saved(lengths: tuple[int, ...], worth: bool) -> None:
    assert worth_unpadding(mask_of(*lengths)) is worth


def test_padding_in_front_or_between_stays_where_it_is() -> None:
    assert not worth_unpadding(mask_of(16, 4, 3, 9).flip(1))
    holes = mask_of(16, 4, 3, 9)
    holes[0, 5] = 0
    assert not worth_unpadding(holes)


@pytest.mark.parametrize("windows", [(), (None, 2)])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", SCHEMES)
def test_the_model_computes_fewer_rows_and_gives_the_same(name: str, causal: bool, windows: tuple[int | None, ...]) -> None:
    model = made(SCHEMES[name], causal=causal, windows=windows)
    mask = mask_of(16, 4, 3, 9, 1)
    ids = torch.randint(5, 30, mask.shape, generator=torch.Generator().manual_seed(1)) * mask
    types = torch.randint(0, 2, mask.shape, generator=torch.Generator().manual_seed(2))
    rows = list[int]()
    hook = model.encoder.blocks[0].attention.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    found, plain = model(ids, mask, types), model(ids, token_type_ids=types, layout=Padded(mask.bool()))
    assert rows == [3, 5]
    hook.remove()
    real = mask.bool()
    torch.testing.assert_close(found.last_hidden_state[real], plain.last_hidden_state[real], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.prediction_logits[real], plain.prediction_logits[real], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.seq_relationship_logits, plain.seq_relationship_logits, rtol=1e-4, atol=1e-4)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    sums = [output.prediction_logits[real].square().sum() + output.seq_relationship_logits.square().sum() for output in (found, plain)]
    for one, other in zip(*(torch.autograd.grad(value, parameters) for value in sums), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-2)


def test_scored_places_and_given_places_move_along() -> None:
    model = made(Absolute(max_length=32))
    mask = mask_of(16, 4, 3, 9)
    ids = torch.randint(5, 30, mask.shape, generator=torch.Generator().manual_seed(1)) * mask
    places = (torch.arange(16).flip(0) + 7).expand(4, -1)
    scored, labels = torch.tensor([0, 3, 17, 34, 56]), torch.tensor([5, 6, 7, 8, 9])
    asked = {"position_ids": places, "predict_positions": scored}
    found, plain = model(ids, mask, **asked), model(ids, layout=Padded(mask.bool()), **asked)
    torch.testing.assert_close(found.prediction_logits, plain.prediction_logits, rtol=1e-4, atol=1e-4)
    one, other = (model(ids, prediction_labels=labels, **given, **asked) for given in ({"attention_mask": mask}, {"layout": Padded(mask.bool())}))
    torch.testing.assert_close(one.prediction_loss, other.prediction_loss, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(one.seq_relationship_logits, other.seq_relationship_logits, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(model(ids, mask, predict_positions=scored).prediction_logits, found.prediction_logits, atol=1e-2)


def test_one_places_row_serves_all_texts() -> None:
    model = made(Absolute(max_length=32))
    mask = mask_of(16, 4, 3, 9)
    ids = torch.randint(5, 30, mask.shape, generator=torch.Generator().manual_seed(1)) * mask
    places = torch.arange(3, 19)[None]
    torch.testing.assert_close(model(ids, mask, position_ids=places).pooler_output, model(ids, mask, position_ids=places.expand(4, -1)).pooler_output)


def test_states_and_attentions_come_in_the_rows_that_were_given() -> None:
    model, mask = made(Absolute(max_length=32)), mask_of(16, 4, 3, 9)
    output = model(torch.ones_like(mask) * 7, mask, output_hidden_states=True, output_attentions=True)
    assert output.hidden_states[0].shape == (4, 16, 16)
    assert output.attentions[0].shape == (4, 4, 16, 16)

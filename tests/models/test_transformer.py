"""The model: packed rows are documents one by one, padding does not matter, dropout belongs to training, mistakes are named."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bertwright.architecture import MLM, NSP, POOLER, Absolute, Architecture, Block, Dropout, Head, Stack, Transform
from bertwright.blocks.layout import Packed, Padded
from bertwright.families import preset_architecture
from bertwright.models import Model

VOCAB, LENGTH = 30, 16
HEADS = (POOLER, MLM, NSP)


def architecture(dropout: Dropout = Dropout()) -> Architecture:  # noqa: B008  # frozen
    block = Block(hidden_size=16, num_heads=4, intermediate_size=24, dropout=dropout)
    heads = (
        Head(kind="pooler", reads="first", transform=Transform(activation="tanh")),
        Head(kind="mlm", transform=Transform(activation="gelu", norm=True)),
        Head(kind="nsp", reads="pooled", labels=2),
    )
    stack = Stack(block=block, num_layers=3, positions=Absolute(max_length=32), segments=2)
    return Architecture(vocab_size=VOCAB, pad_id=0, embedding_size=16, encoder=stack, heads=heads)


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    made = Model(architecture(), HEADS)
    with torch.no_grad():  # larger weights than a start has, so that what attention does shows
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return made.eval()


def ids(*shape: int, seed: int = 1) -> Tensor:
    return torch.randint(5, VOCAB, shape, generator=torch.Generator().manual_seed(seed))


DOCUMENTS = [ids(7, seed=1), ids(9, seed=2), ids(4, seed=3), ids(12, seed=4)]


def packed() -> tuple[Tensor, Packed, list[tuple[int, slice]]]:
    """Four documents in two rows, and where each of them lies."""
    rows = torch.stack([torch.cat([DOCUMENTS[0], DOCUMENTS[1]]), torch.cat([DOCUMENTS[2], DOCUMENTS[3]])])
    sequences = torch.tensor([[0] * 7 + [1] * 9, [0] * 4 + [1] * 12])
    return rows, Packed(sequences), [(0, slice(0, 7)), (0, slice(7, 16)), (1, slice(0, 4)), (1, slice(4, 16))]


def test_packed_rows_are_the_documents_one_by_one(model: Model) -> None:
    rows, layout, places = packed()
    together = model(rows, layout=layout)
    padded = torch.zeros(4, 12, dtype=torch.long)
    mask = torch.zeros(4, 12, dtype=torch.long)
    for row, document in enumerate(DOCUMENTS):
        padded[row, : len(document)], mask[row, : len(document)] = document, 1
    apart = model(padded, mask)
    for row, (document, (packed_row, place)) in enumerate(zip(DOCUMENTS, places, strict=True)):
        for name in ("last_hidden_state", "prediction_logits"):
            torch.testing.assert_close(getattr(together, name)[packed_row, place], getattr(apart, name)[row, : len(document)], rtol=1e-4, atol=1e-5)
    loss = sum(together.last_hidden_state[row, place].square().sum() for row, place in places)
    other = sum(apart.last_hidden_state[row, : len(document)].square().sum() for row, document in enumerate(DOCUMENTS))
    parameters = [parameter for name, parameter in model.named_parameters() if not name.startswith("heads")]
    for one, expected in zip(torch.autograd.grad(loss, parameters), torch.autograd.grad(other, parameters), strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-3, atol=1e-4)


def test_packing_is_more_than_a_long_row(model: Model) -> None:
    """The test above would say nothing if the layout did not matter."""
    rows, layout, _ = packed()
    assert not torch.allclose(model(rows, layout=layout).last_hidden_state, model(rows).last_hidden_state, atol=1e-2)


def test_padding_does_not_change_what_stands_before_it(model: Model) -> None:
    document = ids(1, 9)
    alone = model(document)
    longer, mask = torch.cat([document, ids(1, 6, seed=9)], dim=1), torch.tensor([[1] * 9 + [0] * 6])
    beside = model(longer, mask, torch.cat([torch.zeros(1, 9, dtype=torch.long), torch.ones(1, 6, dtype=torch.long)], dim=1))
    torch.testing.assert_close(beside.last_hidden_state[:, :9], alone.last_hidden_state, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(beside.pooler_output, alone.pooler_output, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model(longer).last_hidden_state[:, :9], alone.last_hidden_state, atol=1e-3)


def test_a_mask_and_its_layout_say_the_same(model: Model) -> None:
    mask = torch.tensor([[1] * 16, [1] * 5 + [0] * 11])
    torch.testing.assert_close(model(ids(2, 16), mask).pooler_output, model(ids(2, 16), layout=Padded(mask.bool())).pooler_output)


def test_scored_places_alone_give_the_logits_and_the_loss_of_all(model: Model) -> None:
    """Leaving out the rows nobody reads, in the last block and the head, changes nothing: values and gradients."""
    rows, layout, _ = packed()
    positions = torch.tensor([1, 2, 15, 16, 30])
    labels = ids(5, seed=5)
    whole = model(rows, layout=layout)
    some = model(rows, layout=layout, predict_positions=positions)
    torch.testing.assert_close(some.prediction_logits, whole.prediction_logits.flatten(0, 1)[positions], rtol=1e-4, atol=1e-5)
    scored = model(rows, layout=layout, predict_positions=positions, prediction_labels=labels)
    assert scored.prediction_logits is None
    torch.testing.assert_close(scored.seq_relationship_logits, whole.seq_relationship_logits, rtol=1e-4, atol=1e-5)
    plain = torch.nn.functional.cross_entropy(whole.prediction_logits.flatten(0, 1)[positions], labels, reduction="sum")
    torch.testing.assert_close(scored.prediction_loss, plain)
    found, expected = (
        torch.autograd.grad(loss + output.seq_relationship_logits.square().sum(), list(model.parameters()))
        for loss, output in ((scored.prediction_loss, scored), (plain, whole))
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_hidden_states_and_attentions_come_as_hugging_face_has_them(model: Model) -> None:
    mask = torch.tensor([[1] * 10, [1] * 4 + [0] * 6])
    output = model(ids(2, 10), mask, output_hidden_states=True, output_attentions=True)
    assert len(output.hidden_states) == 4
    assert output.hidden_states[-1] is output.last_hidden_state
    first = output.hidden_states[0]
    expected = model.encoder.embedding_norm(model.tokens(ids(2, 10)) + model.encoder.positions.weight[:10] + model.encoder.segments.weight[0])
    torch.testing.assert_close(first, expected)
    assert [attention.shape for attention in output.attentions] == [(2, 4, 10, 10)] * 3
    torch.testing.assert_close(torch.stack(output.attentions).sum(-1), torch.ones(3, 2, 4, 10))
    assert not output.attentions[0][1, :, :, 4:].any()
    assert model(ids(2, 10)).hidden_states is None


@pytest.mark.parametrize("rate", [field.name for field in dataclasses.fields(Dropout)])
def test_dropout_is_at_work_in_training_and_off_in_evaluation(rate: str) -> None:
    model = Model(architecture(Dropout(**{rate: 0.5})), HEADS)
    one, other = (model.train()(ids(2, 10)).last_hidden_state for _ in range(2))
    assert not torch.allclose(one, other)
    one, other = (model.eval()(ids(2, 10)).last_hidden_state for _ in range(2))
    assert torch.equal(one, other)


def test_every_parameter_takes_a_gradient(model: Model) -> None:
    output = model(ids(2, 10), token_type_ids=torch.tensor([[0] * 5 + [1] * 5] * 2))
    (output.prediction_logits.square().sum() + output.seq_relationship_logits.sum()).backward()
    unused = [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    # The same number added to every key's score changes no softmax, so the bias of keys moves nothing beyond rounding.
    assert [name for name in unused if not name.endswith("key.bias")] == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model(ids(1, 33)), "33 tokens is longer than the model's 32 positions"),
        (lambda model: model(ids(1, 4), torch.ones(1, 4), layout=Padded()), "attention_mask or layout, not both"),
        (lambda model: Model(architecture(), (NSP,)), "add the pooler head"),
    ],
)
def test_mistakes_are_named(model: Model, call: Callable[[Model], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(model)


def test_heads_that_a_model_lacks_are_none() -> None:
    output = Model(architecture())(ids(1, 4))
    assert output.pooler_output is output.prediction_logits is output.seq_relationship_logits is output.prediction_loss is None


def test_labels_without_positions_are_refused() -> None:
    model = Model(preset_architecture("bert-tiny", vocab_size=50), (MLM,))
    with pytest.raises(ValueError, match="prediction_labels belong to predict_positions"):
        model(ids(2, 5), prediction_labels=torch.tensor([1]))


def test_a_padding_token_inside_a_text_counts_alike_in_packed_rows() -> None:
    """RoBERTa's places skip the pad id wherever it stands."""
    torch.manual_seed(0)
    model = Model(preset_architecture("roberta-tiny", vocab_size=50)).eval()
    rows = torch.randint(5, 50, (4, 12))
    rows[:, 2] = model.architecture.pad_id
    mask = (torch.arange(12) < torch.tensor([12, 5, 4, 3])[:, None]).long()
    together = model(rows, mask).last_hidden_state
    for row, length in enumerate((12, 5, 4, 3)):
        torch.testing.assert_close(together[row, :length], model(rows[row : row + 1, :length]).last_hidden_state[0], rtol=1e-4, atol=1e-5)


def test_position_ids_are_hugging_faces() -> None:
    """Where padding is skipped they are rows of the table."""
    model = Model(preset_architecture("roberta-tiny", vocab_size=50)).eval()
    rows = torch.randint(5, 50, (1, 6))
    first = 1 + (model.architecture.pad_id or 0)
    given = model(rows, position_ids=torch.arange(first, first + 6)[None]).last_hidden_state
    torch.testing.assert_close(given, model(rows).last_hidden_state)

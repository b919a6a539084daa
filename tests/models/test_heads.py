"""Heads: what they read, what they give, under which names; a loss without logits is that of the logits."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bertwright.architecture import Absolute, Architecture, Block, Head, Stack, Transform
from bertwright.errors import InputError
from bertwright.families import family_of
from bertwright.models import Model
from bertwright.models.heads import Labelling, LanguageModelling, read

VOCAB, PAD, END = 30, 0, 3
POOLER = Head(kind="pooler", reads="first", transform=Transform(activation="tanh"))


def architecture(*heads: Head, **changes: object) -> Architecture:
    stack = Stack(block=Block(hidden_size=16, num_heads=2, intermediate_size=24), num_layers=2, positions=Absolute(max_length=32))
    plain = Architecture(vocab_size=VOCAB, pad_id=PAD, embedding_size=16, encoder=stack, heads=heads, eos_id=END)
    return dataclasses.replace(plain, **changes)


def made(*heads: Head, **changes: object) -> Model:
    torch.manual_seed(0)
    model = Model(architecture(*heads, **changes), tuple(head.kind for head in heads))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


def ids(*shape: int) -> Tensor:
    return torch.randint(5, VOCAB, shape, generator=torch.Generator().manual_seed(1))


def test_each_way_of_reading_takes_its_vector() -> None:
    hidden, text = torch.randn(3, 5, 4), torch.tensor([[7, END, 8, END, 9], [7, 8, END, PAD, PAD], [END, PAD, PAD, PAD, PAD]])
    mask = text != PAD
    rows = torch.arange(3)
    expected = {
        "tokens": hidden,
        "first": hidden[:, 0],
        "mean": torch.stack([hidden[0].mean(0), hidden[1, :3].mean(0), hidden[2, 0]]),
        "last": hidden[rows, [4, 2, 0]],
        "end": hidden[rows, [3, 2, 0]],
    }
    for how, wanted in expected.items():
        torch.testing.assert_close(read(how, hidden, input_ids=text, mask=mask, pad_id=PAD, eos_id=END), wanted)
    torch.testing.assert_close(read("mean", hidden, input_ids=text, mask=None, pad_id=PAD, eos_id=END), hidden.mean(1))
    torch.testing.assert_close(read("last", hidden, input_ids=text, mask=None, pad_id=None, eos_id=END), hidden[:, -1])
    with pytest.raises(ValueError, match="last end token, id 3"):
        read("end", hidden, input_ids=ids(3, 5), mask=None, pad_id=PAD, eos_id=END)


LANGUAGE = {
    "tied": (Head(kind="mlm", transform=Transform(activation="gelu", norm=True)), {}),
    "tied, no bias": (Head(kind="mlm", bias=False), {}),
    "scaled": (Head(kind="mlm", scale=0.25, bias=False), {}),
    "buffer": (Head(kind="mlm", bias="buffer"), {}),
    "untied": (Head(kind="mlm", transform=Transform(activation="relu")), {"tied": False}),
    "untied, idle bias": (Head(kind="mlm", idle_bias=True), {"tied": False}),
    "untied, no bias": (Head(kind="mlm", bias=False), {"tied": False}),
}


@pytest.mark.parametrize("name", LANGUAGE)
def test_a_language_modelling_head_is_its_formula_and_its_loss_that_of_the_logits(name: str) -> None:
    head, changes = LANGUAGE[name]
    model = made(head, **changes)
    made_head = model.heads["mlm"]
    assert isinstance(made_head, LanguageModelling)
    if head.bias == "buffer":
        made_head.bias.normal_()
    output = model(ids(2, 6))
    x = output.last_hidden_state
    if made_head.dense is not None:
        x = made_head.activation(made_head.dense(x))
    if made_head.norm is not None:
        x = made_head.norm(x)
    matrix = model.tokens.weight if made_head.decoder is None else made_head.decoder.weight
    bias = made_head.bias if made_head.decoder is None or made_head.decoder.bias is None else made_head.decoder.bias
    expected = head.scale * x @ matrix.t() + (0 if bias is None else bias.view(-1))
    torch.testing.assert_close(output.prediction_logits, expected, rtol=1e-4, atol=1e-5)
    assert output.logits is output.prediction_logits
    assert ("bias" in dict(made_head.named_buffers())) is (head.bias == "buffer")
    assert (made_head.decoder is None) is (changes.get("tied", True) is True)
    scored, labels = torch.tensor([0, 3, 7]), torch.tensor([4, 29, 6])
    loss = model(ids(2, 6), predict_positions=scored, prediction_labels=labels).prediction_loss
    torch.testing.assert_close(loss, F.cross_entropy(expected.flatten(0, 1)[scored], labels, reduction="sum"), rtol=1e-4, atol=1e-4)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for one, other in zip(
        torch.autograd.grad(loss, trained),
        torch.autograd.grad(F.cross_entropy(expected.flatten(0, 1)[scored], labels, reduction="sum"), trained),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_the_bias_that_nobody_reads_is_not_trained() -> None:
    head = made(Head(kind="mlm", idle_bias=True), tied=False).heads["mlm"]
    assert [name for name, parameter in head.named_parameters() if not parameter.requires_grad] == ["bias"]


def test_logits_come_under_hugging_faces_names_and_in_its_shapes() -> None:
    text = ids(2, 6)
    for head, field, shape in (
        (Head(kind="nsp", reads="first", labels=2), "seq_relationship_logits", (2, 2)),
        (Head(kind="sop", reads="first", labels=2), "sop_logits", (2, 2)),
        (Head(kind="rtd", labels=1), "logits", (2, 6)),
        (Head(kind="tag"), "logits", (2, 6, 5)),
        (Head(kind="classify", reads="mean"), "logits", (2, 5)),
        (Head(kind="span", labels=2), "start_logits", (2, 6)),
    ):
        model = made(head, num_labels=5)
        output = model(text)
        assert getattr(output, field).shape == shape
        if head.kind == "span":
            torch.testing.assert_close(torch.stack([output.start_logits, output.end_logits], -1), model.heads["span"](output.last_hidden_state))


def test_choices_are_read_row_by_row() -> None:
    model = made(POOLER, Head(kind="choice", reads="pooled", labels=1))
    text, mask = ids(2, 3, 6), torch.ones(2, 3, 6, dtype=torch.long)
    mask[0, 1, 4:] = 0
    logits = model(text, mask).logits
    assert logits.shape == (2, 3)
    for row in range(2):
        for choice in range(3):
            torch.testing.assert_close(logits[row, choice], model(text[row, choice][None], mask[row, choice][None]).logits[0, 0], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="need a multiple-choice head"):
        made(POOLER)(text)


def test_a_classifier_of_two_layers_drops_out_in_front_of_both() -> None:
    model = made(Head(kind="classify", reads="first", transform=Transform(activation="tanh", dropout=True), dropout=0.5))
    head = model.heads["classify"]
    assert isinstance(head, Labelling)
    x = torch.randn(4, 16)
    torch.testing.assert_close(head(x), head.output(torch.tanh(head.dense(x))))
    head.train()
    seen = []
    for module in (head.dense, head.output):
        module.register_forward_pre_hook(lambda _, given: seen.append(bool((given[0] == 0).any())))
    head(x)
    assert seen == [True, True]


def test_heads_that_cannot_be_are_named() -> None:
    with pytest.raises(InputError, match="no lm head: it has pooler, nsp"):
        Model(architecture(POOLER, Head(kind="nsp", reads="pooled", labels=2)), ("lm",))
    with pytest.raises(ValueError, match="nsp head reads the pooled vector: add the pooler head"):
        Model(architecture(POOLER, Head(kind="nsp", reads="pooled", labels=2)), ("nsp",))
    with pytest.raises(ValueError, match="a head that reads others: leave it out"):
        made(Head(kind="mlm"), Head(kind="tag"))(ids(1, 4), predict_positions=torch.tensor([1]), prediction_labels=torch.tensor([5]))


def test_without_a_pad_id_the_mask_says_which_token_is_last() -> None:
    """The released GPT-2 knows no padding."""
    hidden = torch.randn(2, 4, 3)
    mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]]).bool()
    found = read("last", hidden, input_ids=torch.ones(2, 4, dtype=torch.long), mask=mask, pad_id=None, eos_id=None)
    torch.testing.assert_close(found, torch.stack([hidden[0, 1], hidden[1, 3]]))


CLASSIFIERS = {
    "pooled": (POOLER, Head(kind="classify", reads="pooled")),
    "first": (Head(kind="classify", reads="first", transform=Transform(activation="tanh")),),
}


@pytest.mark.parametrize("heads", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_the_last_block_computes_first_tokens_alone_where_nothing_else_is_read(heads: tuple[Head, ...]) -> None:
    model, text = made(*heads), ids(4, 20)
    even, uneven = torch.ones_like(text), torch.arange(20) < torch.tensor([20, 7, 5, 3])[:, None]
    for mask in (even, uneven.long()):
        whole, part = model(text, mask), model(text, mask, heads_only=True)
        torch.testing.assert_close(part.logits, whole.logits)
        torch.testing.assert_close(part.last_hidden_state, whole.last_hidden_state[:, 0])
        assert part.last_hidden_state.shape == (4, 16)


def test_heads_that_read_more_get_more() -> None:
    tagger, text = made(Head(kind="tag", reads="tokens")), ids(2, 6)
    torch.testing.assert_close(tagger(text, heads_only=True).logits, tagger(text).logits)
    classifier = made(*CLASSIFIERS["pooled"])
    watched = classifier(text, heads_only=True, output_hidden_states=True)
    assert [state.shape for state in watched.hidden_states] == [(2, 6, 16)] * 3
    both = made(*CLASSIFIERS["pooled"], Head(kind="mlm"))
    torch.testing.assert_close(both(text, heads_only=True).prediction_logits, both(text).prediction_logits)


def test_new_weights_have_a_decoder_of_their_own_where_the_output_is_not_scaled() -> None:
    """Token embeddings of T5 are large; through a tied decoder that nothing scales the first loss lies far above that of guessing."""
    sizes = {"d_model": 32, "num_layers": 1, "num_heads": 2, "d_kv": 16, "d_ff": 32, "vocab_size": 50, "decoder_start_token_id": 0}
    torch.manual_seed(0)
    ids = torch.randint(50, (4, 8))
    for described, own in (({"model_type": "t5"}, False), ({"model_type": "t5", "tie_word_embeddings": False}, True), ({"model_type": "mt5"}, True)):
        config = {**described, **sizes}
        model = Model(family_of(config).architecture(config), ("lm",))
        assert (model.heads["lm"].decoder is not None) == own
        logits = model(ids, decoder_input_ids=ids).prediction_logits
        assert F.cross_entropy(logits.flatten(0, 1), ids.flatten()) < 2 * math.log(50)

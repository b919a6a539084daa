"""What every family's models keep: padding means nothing, packed and unpadded rows give what padded ones do, dropout is on in training alone."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import pytest
import torch
from family_cases import EACH, Case
from family_reference import DECODER_LENGTHS, LENGTHS, draw_ids, padding_mask, randomise
from torch import Tensor

import bertwright.models.transformer
from bertwright.blocks.layout import Packed
from bertwright.models import Model, Output

CLOSE = 1e-5
# Heads that read a place which the ids or the row's end decide, padding or not, as transformers' classes do.
BY_PADDING = ("last", "final")


def new_model(case: Case, **keys: Any) -> Model:
    torch.manual_seed(0)
    heads = case.family.complete_heads((*case.family.base_heads, *case.family.classes[case.class_name]))
    model = Model(case.family.architecture({**case.config, **keys}), heads)
    randomise(model)
    return model.eval()


def two_stacks(model: Model) -> bool:
    return len(model.architecture.stacks) == 2


def padded_inputs(case: Case, model: Model) -> dict[str, Tensor]:
    """Three rows with their padding at the end."""
    torch.manual_seed(1)
    mask = padding_mask(LENGTHS)
    inputs = {"input_ids": draw_ids(case.shape, mask), "attention_mask": mask}
    if segments := case.shape.config.get("type_vocab_size", 0):
        inputs["token_type_ids"] = torch.randint(0, segments, mask.shape)
    if "classify" in model.head_kinds and model.architecture.head("classify").reads == "end":
        # Every row has an end token to be read at, and the decoder gets the input shifted.
        inputs["input_ids"][:, 2] = case.shape.config["eos_token_id"]
    elif two_stacks(model):
        decoder_mask = padding_mask(DECODER_LENGTHS)
        inputs |= {"decoder_input_ids": draw_ids(case.shape, decoder_mask), "decoder_attention_mask": decoder_mask}
    return inputs


def values(output: Output) -> Iterator[tuple[str, Tensor]]:
    """The tensors of an output by name."""
    for field in fields(output):
        value = getattr(output, field.name)
        if isinstance(value, Tensor):
            yield field.name, value


def by_padding(model: Model, name: str) -> bool:
    return name == "logits" and any(model.architecture.head(kind).reads in BY_PADDING for kind in model.head_kinds)


def lengths_of(inputs: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    """Real tokens of each row of an output."""
    return DECODER_LENGTHS if "decoder_input_ids" in inputs and not name.startswith("encoder_") else LENGTHS


def same(model: Model, inputs: Mapping[str, Tensor], output: Output, expected: Output) -> None:
    """Equal on real tokens of every row."""
    checked = 0
    for name, value in values(expected):
        mine, lengths = getattr(output, name), lengths_of(inputs, name)
        assert mine.shape == value.shape
        if not by_padding(model, name):
            per_token = value.shape[:2] == (len(lengths), max(lengths))
            for row, length in enumerate(lengths):
                close(mine[row, :length] if per_token else mine[row], value[row, :length] if per_token else value[row], name)
            checked += 1
    assert checked


def close(mine: Tensor, value: Tensor, name: str) -> None:
    torch.testing.assert_close(mine, value, rtol=0, atol=CLOSE * max(1.0, float(value.detach().abs().max())), msg=lambda text: f"{name}: {text}")


@pytest.mark.parametrize("case", EACH, ids=str)
@torch.no_grad()
def test_what_stands_at_padding_changes_nothing(case: Case) -> None:
    model = new_model(case)
    inputs = padded_inputs(case, model)
    expected = model(**inputs)
    other = dict(inputs)
    for name in ("input_ids", "decoder_input_ids"):
        if name in inputs:
            mask = inputs[name.replace("input_ids", "attention_mask")].bool()
            other[name] = torch.where(mask, inputs[name], inputs[name].flip(0).clamp(min=8))
            assert not torch.equal(other[name], inputs[name])
    same(model, inputs, model(**other), expected)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        changed = {**inputs, "input_ids": draw_ids(case.shape, inputs["attention_mask"])}
    with pytest.raises((AssertionError, ValueError)):
        same(model, inputs, model(**changed), expected)


@pytest.mark.parametrize("case", EACH, ids=str)
@torch.no_grad()
def test_a_row_alone_is_the_row_in_a_padded_batch(case: Case) -> None:
    model = new_model(case)
    inputs = padded_inputs(case, model)
    together, compared = model(**inputs), set[str]()
    for row, length in enumerate(LENGTHS):
        cut = {name: value[row : row + 1, : DECODER_LENGTHS[row] if name.startswith("decoder") else length] for name, value in inputs.items()}
        alone = model(**{name: value for name, value in cut.items() if not name.endswith("attention_mask")})
        for name, value in values(alone):
            if name != "logits" or "final" not in [model.architecture.head(kind).reads for kind in model.head_kinds]:
                yours = getattr(together, name)[row : row + 1]
                close(yours[:, : lengths_of(inputs, name)[row]] if yours.ndim > 1 and yours.shape[1] != value.shape[1] else yours, value, name)
                compared.add(name)
    assert compared


@pytest.mark.parametrize("case", EACH, ids=str)
@torch.no_grad()
def test_packed_rows_are_the_padded_ones(case: Case) -> None:
    model = new_model(case)
    inputs = padded_inputs(case, model)
    first, second, third = LENGTHS
    # The second and the third text share a row, with padding behind them.
    packed = {}
    for name in ("input_ids", "token_type_ids"):
        if name in inputs:
            value = inputs[name]
            packed[name] = torch.stack([value[0], torch.cat([value[1, :second], value[2, :third], value[1, second + third :]])])
    numbers = torch.zeros(2, first, dtype=torch.long)
    numbers[1, second:], numbers[1, second + third :] = 1, 2
    if two_stacks(model):
        with pytest.raises(ValueError, match="two stacks takes one text a row: give it padded rows"):
            model(**packed, layout=Packed(numbers))
        return
    together, apart = model(**packed, layout=Packed(numbers)), model(**inputs)
    for name, value in values(apart):
        if value.shape[:2] == (3, first):
            mine = getattr(together, name)
            close(mine[0], value[0], name)
            close(mine[1, :second], value[1, :second], name)
            close(mine[1, second : second + third], value[2, :third], name)
    assert together.last_hidden_state.shape[:2] == (2, first)


@pytest.mark.parametrize("case", [case for case in EACH if case.class_name not in ("RoFormerForMultipleChoice",)], ids=str)
@torch.no_grad()
def test_rows_without_their_padding_are_the_padded_ones(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    model = new_model(case)
    inputs = padded_inputs(case, model)
    if not two_stacks(model):
        inputs["position_ids"] = torch.randperm(max(LENGTHS))[None].expand_as(inputs["input_ids"])
    decide, asked = bertwright.models.transformer.worth_unpadding, []
    monkeypatch.setattr(bertwright.models.transformer, "worth_unpadding", lambda mask: asked.append(decide(mask)) or asked[-1])
    for names in (inputs.keys(), inputs.keys() - {"position_ids"}):
        given = {name: inputs[name] for name in names}
        without = model(**given)
        with monkeypatch.context() as patch:
            patch.setattr(bertwright.models.transformer, "worth_unpadding", lambda mask: False)
            same(model, inputs, without, model(**given))
    assert asked == ([] if two_stacks(model) else [True, True])

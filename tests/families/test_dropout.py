"""Dropout stands where the reference has it, at the rates of the config; on in training, off in evaluation."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from family_cases import CASES, FIRST, SHAPES, Case
from family_reference import beyond, build_reference, draw_inputs, gap, randomise, run, run_reference
from torch import Tensor

from bertwright.architecture import Dropout
from bertwright.blocks import dropout as dropouts
from bertwright.blocks import scores as scoring
from bertwright.checkpoints.huggingface import load_model
from bertwright.errors import InputError
from bertwright.families import FAMILIES, Family
from bertwright.models import Model, Output

# Keys of config.json that are rates, with the class that shows each.
RATES: dict[str, dict[str, str]] = {
    "bert": {"hidden_dropout_prob": "Model", "attention_probs_dropout_prob": "Model", "classifier_dropout": "ForSequenceClassification"},
    "distilbert": {
        "dropout": "Model",
        "attention_dropout": "Model",
        "seq_classif_dropout": "ForSequenceClassification",
        "qa_dropout": "ForQuestionAnswering",
    },
    "albert": {"hidden_dropout_prob": "Model", "attention_probs_dropout_prob": "Model", "classifier_dropout_prob": "ForSequenceClassification"},
    "electra": {
        "hidden_dropout_prob": "Model",
        "attention_probs_dropout_prob": "Model",
        "classifier_dropout": "ForTokenClassification",
        "summary_last_dropout": "ForMultipleChoice",
    },
    "roformer": {"hidden_dropout_prob": "Model", "attention_probs_dropout_prob": "Model"},
    "gpt": {"resid_pdrop": "Model", "embd_pdrop": "Model", "attn_pdrop": "Model"},
    "bart": {"dropout": "Model", "attention_dropout": "Model", "activation_dropout": "Model", "classifier_dropout": "ForSequenceClassification"},
    "t5": {"dropout_rate": "Model"},
    "modernbert": {"attention_dropout": "Model", "mlp_dropout": "Model", "embedding_dropout": "Model", "classifier_dropout": "ForSequenceClassification"},
}
RATES |= {"roberta": RATES["bert"], "xlm-roberta": RATES["bert"], "nezha": RATES["bert"], "gpt2": RATES["gpt"], "mt5": RATES["t5"]}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("rate", [1, 1.5, -0.1, "half", float("nan")])
def test_every_rate_that_cannot_be_is_named_by_its_key(family: Family, rate: Any) -> None:
    keys = RATES[family.name]
    with pytest.raises(InputError) as caught:
        family.architecture({**SHAPES[family.name][0].config, **dict.fromkeys(keys, rate)})
    assert sorted(caught.value.problems) == sorted(f"{key} is {rate!r}: it must be a number in [0, 1)" for key in keys)


@pytest.mark.parametrize("place", [field.name for field in fields(Dropout)])
def test_every_rate_of_an_architecture_is_checked(place: str) -> None:
    sound = FAMILIES[0].architecture(SHAPES["bert"][0].config)
    assert sound.problems() == []
    assert sound.encoder is not None
    block = replace(sound.encoder.block, dropout=Dropout(**{place: 1.0}))
    (line,) = replace(sound, encoder=replace(sound.encoder, block=block)).problems()
    assert line.endswith("is 1.0: it must lie in [0, 1)")


def test_the_rate_of_every_head_is_checked() -> None:
    sound = FAMILIES[0].architecture(SHAPES["bert"][0].config)
    wrong = replace(sound, heads=tuple(replace(head, dropout=2.0) for head in sound.heads))
    assert wrong.problems() == [f"dropout of the {head.kind} head is 2.0: it must lie in [0, 1)" for head in sound.heads]


DISTINCT = (0.1, 0.25, 0.4, 0.55)


def certain_dropout(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout without chance: everything shrinks by a function of the rate, so that rates of different places can be told apart."""
    return values * (1 - p / 3) if training else values


def plain_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **asked: Any) -> Tensor:
    """The fused kernel in plain operations, with dropout of its probabilities as above."""
    scores = query @ key.transpose(-1, -2) * asked["scale"]
    if asked.get("is_causal"):
        scores = scores.masked_fill(~torch.ones_like(scores, dtype=torch.bool).tril(), -torch.inf)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    return certain_dropout(scores.softmax(-1), asked.get("dropout_p", 0.0)) @ value


@pytest.mark.parametrize("case", [case for case in FIRST if case.shape.live], ids=lambda case: case.class_name)
@torch.no_grad()
def test_rates_work_where_the_references_do(case: Case, transformers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = dict(zip(RATES[case.family.name], DISTINCT, strict=False))
    dropping = replace(case, shape=replace(case.shape, config={**case.shape.config, **rates}))
    theirs = build_reference(dropping)
    theirs.save_pretrained(tmp_path)
    model = load_model(tmp_path).model
    inputs = draw_inputs(case.shape, case.class_name, two_stacks=len(model.architecture.stacks) == 2)
    quiet, _ = run_reference(theirs, inputs)
    monkeypatch.setattr(torch.nn.functional, "dropout", certain_dropout)
    for ours in (dropouts, scoring):
        monkeypatch.setattr(ours, "dropout", certain_dropout)
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", plain_attention)
    outputs, _ = run_reference(theirs.train(), inputs)
    output = run(model.train(), inputs)
    measured = {}
    for name, yours in outputs.items():
        mine = getattr(output, name)
        measured[name] = gap(name, output.seq_relationship_logits if mine is None else mine, yours, inputs)
        assert gap(name, quiet[name], yours, inputs) > 1e-3
    assert not beyond(measured, 1e-4)


def passes(model: Model, case: Case, *, training: bool) -> tuple[Output, Output]:
    inputs = draw_inputs(case.shape, case.class_name, two_stacks=len(model.architecture.stacks) == 2)
    model.train(training)
    return model(**inputs), model(**inputs)


def differ(first: Output, second: Output) -> bool:
    values = [(getattr(first, field.name), getattr(second, field.name)) for field in fields(first)]
    return any(not torch.equal(mine, yours) for mine, yours in values if isinstance(mine, Tensor))


def built(case: Case, **changed: float) -> Model:
    torch.manual_seed(0)
    rates = {**dict.fromkeys(RATES[case.family.name], 0.0), **changed}
    model = Model(case.family.architecture({**case.config, **rates}), case.family.complete_heads(case.family.classes[case.class_name]))
    randomise(model)
    return model


def case_of(family: Family, ending: str) -> Case:
    shape = SHAPES[family.name][0]
    return next(case for case in CASES if case.shape is shape and case.class_name == shape.classes + ending)


@pytest.mark.parametrize(("family", "key"), [(family, key) for family in FAMILIES for key in RATES[family.name]], ids=lambda part: getattr(part, "name", part))
def test_every_rate_is_on_in_training_and_off_in_evaluation(family: Family, key: str) -> None:
    case = case_of(family, RATES[family.name][key])
    assert differ(*passes(built(case, **{key: 0.5}), case, training=True))
    assert not differ(*passes(built(case, **{key: 0.5}), case, training=False))
    assert not differ(*passes(built(case), case, training=True))
    assert not differ(passes(built(case), case, training=True)[0], passes(built(case), case, training=False)[0])


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_place_of_dropout_drops_alone(family: Family) -> None:
    case = case_of(family, "Model")
    architecture = family.architecture({**case.config, **dict.fromkeys(RATES[family.name], 0.5)})
    quiet = architecture.with_dropout(0.0)
    for name, stack in architecture.stacks.items():
        for place in (field.name for field in fields(Dropout) if getattr(stack.block.dropout, field.name)):
            dropping = replace(quiet.stacks[name], block=replace(stack.block, dropout=Dropout(**{place: 0.5})))
            assert differ(*passes(Model(replace(quiet, **{name: dropping})), case, training=True)), f"{name}: {place}"

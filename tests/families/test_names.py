"""Name rules translate both ways, and refuse rows that could not."""

from collections.abc import Mapping

import pytest

from bertwright.errors import InputError
from bertwright.families import FAMILIES, Family
from bertwright.families.bert import BERT
from bertwright.families.gpt import GPT2
from bertwright.families.names import Claim, Conv1d, Fused, NameRules, Ours

RULES = NameRules(
    {
        "a.layer.*.{x,y}": "b.*.{p,q.r}",
        "a.*.inner.*.{k,v}": "c.*.*.{k,v}",
        "a.single": "d",
        "h.*.qkv": Fused("e.*.{query,key,value}", transposed=True),
        "h.*.wi": Fused("e.*.{up,gate}"),
        "h.*.out": Conv1d("e.*.out"),
    }
)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("a.layer.12.x.weight", "b.12.p.weight"),
        ("a.layer.0.y.bias", "b.0.q.r.bias"),
        ("a.3.inner.7.v.weight", "c.3.7.v.weight"),
        ("a.single", "d"),
        ("a.single.weight", "d.weight"),
    ],
)
def test_a_row_translates_both_ways(theirs: str, ours: str) -> None:
    assert RULES.of_theirs(theirs) == RULES.of_ours(ours) == Claim(theirs, (ours,))


def test_a_tensor_of_several_parts_is_claimed_by_each() -> None:
    weight = Claim("h.4.qkv.weight", ("e.4.query.weight", "e.4.key.weight", "e.4.value.weight"), transposed=True)
    assert RULES.of_theirs("h.4.qkv.weight") == weight
    assert [RULES.of_ours(name) for name in weight.ours] == [weight] * 3
    # A matrix is stored transposed, the bias beside it lies as it is.
    assert RULES.of_theirs("h.4.qkv.bias") == Claim("h.4.qkv.bias", ("e.4.query.bias", "e.4.key.bias", "e.4.value.bias"))
    assert RULES.of_theirs("h.0.wi.weight") == Claim("h.0.wi.weight", ("e.0.up.weight", "e.0.gate.weight"))
    assert RULES.of_ours("e.1.out.weight") == Claim("h.1.out.weight", ("e.1.out.weight",), transposed=True)
    assert RULES.of_ours("e.1.out.bias") == Claim("h.1.out.bias", ("e.1.out.bias",))


@pytest.mark.parametrize("name", ["a.layer.x.weight", "a.layer.1.z.weight", "aXsingle", "a.layer.1.x.gamma", "a.single.weight.more", "a.layer.-1.x.weight"])
def test_an_unclaimed_name_is_nobodys(name: str) -> None:
    assert RULES.of_theirs(name) is None
    assert RULES.of_ours(name) is None


@pytest.mark.parametrize(
    "rows",
    [
        {"a.{x,y}": "b.{p}"},
        {"a.{x,y}": "b"},
        {"a.*": "b"},
        {"a.x": "b", "a.{x,y}": "c.{x,y}"},
        {"a": "c", "b": "c"},
        {"a.*": Fused("b.{x,y}")},
        {"a": Fused("b")},
        {"a": Fused("b.{x,y}"), "c": "b.y"},
    ],
    ids=["alternatives", "groups", "stars", "read twice", "written twice", "stars of parts", "no parts", "a part written twice"],
)
def test_rows_that_cannot_go_both_ways_are_refused(rows: Mapping[str, Ours]) -> None:
    with pytest.raises(ValueError, match=r"do not pair up|two name rules|argument"):
        NameRules(rows)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_class_of_a_family_has_rules(family: Family) -> None:
    for heads in family.classes.values():
        family.names((*family.base_heads, *(head for head in heads if head not in family.base_heads)))
    assert family.base_class in family.classes
    assert {head for heads in family.classes.values() for head in heads} | set(family.base_heads) == set(family.heads)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("embeddings.LayerNorm.gamma", "bert.embeddings.LayerNorm.weight"),
        ("bert.encoder.layer.1.output.LayerNorm.beta", "bert.encoder.layer.1.output.LayerNorm.bias"),
        ("pooler.dense.weight", "bert.pooler.dense.weight"),
        ("embeddings.position_ids", "bert.embeddings.position_ids"),
        ("cls.predictions.bias", "cls.predictions.bias"),
        ("something.else", "something.else"),
    ],
)
def test_old_and_unprefixed_names_get_todays_full_name(name: str, full: str) -> None:
    assert BERT.full_name(name, BERT.names(tuple(BERT.heads)[:3])) == full


def test_constants_are_known_in_every_layer() -> None:
    assert GPT2.constant("transformer.h.11.attn.bias") == "causal"
    assert GPT2.constant("transformer.h.11.attn.c_attn.bias") is None


def test_heads_of_one_name_cannot_be_in_one_file() -> None:
    with pytest.raises(InputError, match="a bert file cannot hold the classify and the tag head at once: both are named classifier; leave one of them out"):
        BERT.names(("pooler", "classify", "tag"))
    assert BERT.names_beside(("tag",)).of_ours("heads.tag.output.weight") is not None
    assert BERT.names_beside(("tag",)).of_ours("heads.classify.output.weight") is None
    assert BERT.names_beside(("tag",)).of_ours("heads.mlm.bias") is not None


def test_heads_bring_what_they_stand_on() -> None:
    assert BERT.complete_heads(("nsp", "mlm")) == ("pooler", "mlm", "nsp")
    assert BERT.class_for(("nsp", "mlm", "pooler")) == "BertForPreTraining"
    assert BERT.class_for(("mlm",)) == BERT.class_for(("mlm", "pooler")) == "BertForMaskedLM"
    assert BERT.class_for(("pooler", "nsp")) == "BertForNextSentencePrediction"
    assert BERT.class_for(("tag",)) == "BertForTokenClassification"
    assert BERT.class_for(("pooler",)) == BERT.class_for(()) == "BertModel"

"""Name rules translate both ways, and refuse rows that could not."""

import re

import pytest

from bertwright.architecture import HeadSpec
from bertwright.families import BERT, FAMILIES, Family
from bertwright.families.names import NameRules

RULES = NameRules({"a.layer.*.{x,y}": "b.*.{p,q.r}", "a.*.inner.*.{k,v}": "c.*.*.{k,v}", "a.single": "d"})


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
    assert RULES.to_ours(theirs) == ours
    assert RULES.to_theirs(ours) == theirs


@pytest.mark.parametrize("name", ["a.layer.x.weight", "a.layer.1.z.weight", "aXsingle", "a.layer.1.x.gamma", "a.single.weight.more", "a.layer.-1.x.weight"])
def test_an_unclaimed_name_is_nobodys(name: str) -> None:
    assert RULES.to_ours(name) is None


@pytest.mark.parametrize(
    "rows",
    [{"a.{x,y}": "b.{p}"}, {"a.{x,y}": "b"}, {"a.*": "b"}, {"a.x": "b", "a.{x,y}": "c.{x,y}"}, {"a": "c", "b": "c"}],
    ids=["alternatives", "groups", "stars", "read twice", "written twice"],
)
def test_rows_that_cannot_go_both_ways_are_refused(rows: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"do not pair up|two name rules|argument"):
        NameRules(rows)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_rule_of_a_family_reads_what_it_writes(family: Family) -> None:
    for row in family.rows:
        # One name of each row: its first alternatives, with 3 for every index.
        theirs = re.sub(r"\{([^},]*)[^}]*\}", r"\1", row).replace("*", "3")
        ours = family.names.to_ours(theirs)
        assert ours is not None
        assert family.names.to_theirs(ours) == theirs


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
    assert BERT.full_name(name) == full


def test_writing_a_name_that_no_rule_claims_is_an_error() -> None:
    assert BERT.written_name("embeddings.norm.bias", prefixed=False) == "embeddings.LayerNorm.bias"
    with pytest.raises(KeyError, match=r"no name rule of the bert family claims heads\.tagger"):
        BERT.written_name("heads.tagger.weight", prefixed=True)


def test_heads_bring_what_they_stand_on() -> None:
    pooler, mlm, nsp = (HeadSpec(kind=kind) for kind in ("pooler", "mlm", "nsp"))
    assert BERT.complete_heads((nsp, mlm)) == (pooler, mlm, nsp)
    assert BERT.class_for((nsp, mlm, pooler)) == "BertForPreTraining"
    assert BERT.class_for((mlm,)) == BERT.class_for((mlm, pooler)) == "BertForMaskedLM"
    assert BERT.class_for((pooler, nsp)) == "BertForNextSentencePrediction"
    assert BERT.class_for((pooler,)) == BERT.class_for(()) == "BertModel"

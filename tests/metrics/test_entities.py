"""Entities are counted as seqeval counts them in its strict mode, illegal transitions included."""

import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from bertwright.errors import InputError
from bertwright.metrics.entities import entity_metrics, per_type, spans, word_metrics
from bertwright.metrics.intervals import Draws, bootstrap, entity_intervals, word_intervals

TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-two-part", "I-two-part"])
PAIRS = st.lists(st.lists(st.tuples(TAGS, TAGS), max_size=9), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def seqeval() -> Any:
    pytest.importorskip("seqeval")
    with warnings.catch_warnings():  # its imports, not ours
        warnings.simplefilter("ignore")
        import seqeval.metrics
        import seqeval.scheme
    return seqeval


@given(pairs=PAIRS)
@settings(max_examples=300, deadline=None)
def test_metrics_are_seqevals(seqeval: Any, pairs: list[list[tuple[str, str]]]) -> None:
    gold, predicted = ([[pair[side] for pair in sentence] for sentence in pairs] for side in (0, 1))
    strict = {"mode": "strict", "scheme": seqeval.scheme.IOB2, "zero_division": 0}
    found = entity_metrics(gold, predicted)
    if not per_type(gold, predicted):  # seqeval fails where neither side has an entity
        assert (found["f1"], found["f1_macro"]) == (0, 0)
        return
    for name in ("precision", "recall", "f1"):
        assert found[name] == pytest.approx(getattr(seqeval.metrics, f"{name}_score")(gold, predicted, average="micro", **strict)), name
    assert found["f1_macro"] == pytest.approx(seqeval.metrics.f1_score(gold, predicted, average="macro", **strict))
    assert found["accuracy"] == pytest.approx(seqeval.metrics.accuracy_score(gold, predicted))
    report = seqeval.metrics.classification_report(gold, predicted, output_dict=True, **strict)
    for row in per_type(gold, predicted):
        assert (row.precision, row.recall, row.f1, row.support) == pytest.approx(tuple(report[row.name].values()))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-PER I-PER O B-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),
        ("O I-PER I-PER O", []),
        ("B-LOC I-PER I-LOC", [("LOC", 0, 1)]),
        ("B-PER B-PER I-PER", [("PER", 0, 1), ("PER", 1, 3)]),
        ("B-PER I-PER I-LOC I-PER", [("PER", 0, 2)]),
        ("", []),
    ],
)
def test_spans_by_hand(tags: str, expected: list[tuple[str, int, int]]) -> None:
    assert spans(tags.split()) == expected


def test_the_default_mode_of_seqeval_is_another_one(seqeval: Any) -> None:
    gold, predicted = [["B-PER", "I-PER"]], [["I-PER", "I-PER"]]
    assert seqeval.metrics.f1_score(gold, predicted) == 1
    assert entity_metrics(gold, predicted)["f1"] == 0


def test_rows_of_types_have_both_counts() -> None:
    row = per_type([["B-A", "O", "B-A"]], [["B-A", "B-A", "O"]])[0]
    assert (row.name, row.precision, row.recall, row.support, row.predicted) == ("A", 0.5, 0.5, 2, 2)


def test_intervals_are_those_of_metrics_on_resampled_sentences() -> None:
    gold = [["B-A", "I-A", "O"], ["O", "B-B"], ["B-A"], ["O", "O"], ["B-C", "O", "B-A"]]
    predicted = [["B-A", "O", "O"], ["O", "B-B"], ["B-B"], ["O", "B-A"], ["B-C", "O", "B-A"]]
    expected = bootstrap(lambda drawn: entity_metrics([gold[row] for row in drawn], [predicted[row] for row in drawn]), 5, resamples=80, seed=2)
    found = entity_intervals(gold, predicted, draws=Draws(resamples=80, seed=2))
    assert found.keys() == expected.keys()
    for name, bounds in expected.items():
        assert found[name] == pytest.approx(bounds)


WORDS = st.lists(st.lists(st.tuples(*[st.sampled_from(["NN", "VB", "JJ", "O"])] * 2), max_size=6), min_size=2, max_size=6).filter(any)


@given(pairs=WORDS)
@settings(max_examples=60, deadline=None)
def test_words_are_scikit_learns_classes_and_their_intervals_those_of_resamples(pairs: list[list[tuple[str, str]]]) -> None:
    gold, predicted = ([[pair[side] for pair in sentence] for sentence in pairs] for side in (0, 1))
    flat = [[tag for tags in side for tag in tags] for side in (gold, predicted)]
    found = word_metrics(gold, predicted)
    assert found == pytest.approx({"accuracy": sk.accuracy_score(*flat), "f1_macro": sk.f1_score(*flat, average="macro", zero_division=0)})
    expected = bootstrap(lambda drawn: word_metrics([gold[row] for row in drawn], [predicted[row] for row in drawn]), len(gold), resamples=20, seed=2)
    for name, bounds in word_intervals(gold, predicted, draws=Draws(resamples=20, seed=2)).items():
        assert bounds == pytest.approx(expected[name])


@pytest.mark.parametrize("tag", ["S-PER", "B", "I-", "o", "PER", "O-PER", ""])
def test_tags_of_other_schemes_are_refused(tag: str) -> None:
    with pytest.raises(InputError, match="of word 2 is not BIO"):
        spans(["O", tag])


def test_sentences_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="sentence 1 has 1 tags and 2 predicted ones"):
        entity_metrics([["O"], ["O"]], [["O"], ["O", "O"]])
    with pytest.raises(InputError, match="no labelled rows"):
        entity_metrics([], [])

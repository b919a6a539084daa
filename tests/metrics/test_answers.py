"""Answers are scored as the official scripts of SQuAD score them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertwright.errors import InputError
from bertwright.metrics.answers import answer_metrics, answer_scores, normalised
from bertwright.metrics.intervals import Draws, answer_intervals, bootstrap

PUBLISHED = json.loads((Path(__file__).parent / "squad_scores.json").read_text(encoding="utf-8"))
QUESTIONS: list[dict[str, Any]] = PUBLISHED["questions"]
SHARED = ("HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1", "f1")


def sides(questions: list[dict[str, Any]]) -> tuple[list[str], list[list[str]], list[float]]:
    return [each["predicted"] for each in questions], [each["answers"] for each in questions], [each["no_answer"] for each in questions]


@pytest.mark.parametrize(("threshold", "key"), [(None, "second"), (1.0, "second"), (0.5, "second_above_0.5")])
def test_v2_is_the_published_scores(threshold: float | None, key: str) -> None:
    predicted, answers, no_answer = sides(QUESTIONS)
    found = answer_metrics(predicted, answers, no_answer=no_answer, threshold=threshold)
    expected = {name: value for name, value in PUBLISHED[key].items() if not name.endswith("total")}
    assert found == pytest.approx({"exact_match": expected.pop("exact"), **expected}, abs=1e-9)


def test_each_question_has_the_published_scores() -> None:
    predicted, answers, _ = sides(QUESTIONS)
    found = answer_scores(predicted, answers)
    assert found.exact.tolist() == [each["exact"] for each in QUESTIONS]
    assert found.f1.tolist() == [each["f1"] for each in QUESTIONS]


def test_v1_is_the_published_scores() -> None:
    predicted, answers, _ = sides([each for each in QUESTIONS if each["answers"]])
    assert answer_metrics(predicted, answers) == pytest.approx(PUBLISHED["first"], abs=1e-4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Cat's\tan\u00a0A-team!", "cats ateam"),
        ("Theatre of the U.S.", "theatre of us"),
        ("«the» ÄRGER — 。", "« » ärger — 。"),
        ("a", ""),
        ("the-cat", "thecat"),
    ],
)
def test_normalisation_by_hand(text: str, expected: str) -> None:
    assert normalised(text) == expected


def test_v1_gives_no_f1_for_two_texts_without_words_and_v2_does() -> None:
    assert answer_metrics(["The"], [["an"]]) == {"exact_match": 100, "f1": 0}
    assert answer_metrics(["The"], [["an"]], second=True) == {"exact_match": 100, "f1": 100, "HasAns_exact": 100, "HasAns_f1": 100}


def test_an_answer_without_words_is_none_in_v2_only() -> None:
    predicted, answers = ["cat"], [["the", "dog"]]
    assert answer_scores(["the"], [["the", "dog"]], second=True).exact.tolist() == [0]
    assert answer_scores(["the"], [["the", "dog"]], second=False).exact.tolist() == [1]
    assert answer_scores(predicted, answers).exact.tolist() == [0]


def test_repeated_words_count_as_often_as_both_have_them() -> None:
    # Two of "new new york" and two of "new new jersey" are shared: precision 2/3, recall 2/3.
    assert answer_scores(["new new york"], [["New New Jersey"]]).f1.tolist() == [pytest.approx(2 / 3)]


def test_the_best_of_several_answers_counts() -> None:
    assert answer_metrics(["in 1999"], [["the year 1999", "In 1999."]]) == {"exact_match": 100, "f1": 100}


def test_the_best_threshold_by_hand() -> None:
    # Surest of an answer first: right (+1), wrong on a question without one (-1), right (+1): the best is after the first, 1 + 1 + 0 of 3.
    found = answer_metrics(["cat", "dog", "cow"], [["cat"], [], ["cow"]], no_answer=[0.1, 0.2, 0.9])
    assert (found["best_exact"], found["best_exact_thresh"]) == (pytest.approx(200 / 3), 0.1)
    nothing = answer_metrics(["dog"], [[]], no_answer=[0.3])
    assert (nothing["best_f1"], nothing["best_f1_thresh"]) == (100, 0)


def test_intervals_are_those_of_metrics_on_resamples() -> None:
    predicted, answers, _ = sides(QUESTIONS[:40])
    scores = answer_scores(predicted, answers)
    expected = bootstrap(
        lambda drawn: answer_metrics([predicted[row] for row in drawn], [answers[row] for row in drawn], second=True), 40, resamples=50, seed=1
    )
    found = answer_intervals(scores, draws=Draws(resamples=50, seed=1))
    assert found.keys() == expected.keys() == {"exact_match", *SHARED}
    for name, bounds in expected.items():
        assert found[name] == pytest.approx(bounds)


def test_intervals_of_the_best_thresholds_are_those_of_metrics_on_resamples() -> None:
    predicted, answers, _ = sides(QUESTIONS[:40])
    sure = np.random.default_rng(0).permutation(40) / 40
    expected = bootstrap(
        lambda drawn: answer_metrics([predicted[row] for row in drawn], [answers[row] for row in drawn], no_answer=sure[drawn], second=True),
        40,
        resamples=50,
        seed=1,
    )
    found = answer_intervals(answer_scores(predicted, answers), no_answer=sure, empty=[not text for text in predicted], draws=Draws(resamples=50, seed=1))
    assert found.keys() == expected.keys() >= {"best_exact", "best_f1", "best_exact_thresh", "best_f1_thresh"}
    for name, bounds in expected.items():
        assert found[name] == pytest.approx(bounds), name


def test_v1_is_refused_where_a_question_has_no_answer() -> None:
    with pytest.raises(InputError, match="1 of 2 questions have no answer"):
        answer_metrics(["a", "b"], [["a"], []], second=False)
    with pytest.raises(InputError, match="no questions"):
        answer_metrics([], [])
    with pytest.raises(ValueError, match="1 predictions for 2 questions"):
        answer_metrics(["a"], [["a"], ["b"]])


def test_a_threshold_without_values_is_refused() -> None:
    with pytest.raises(ValueError, match="no_answer"):
        answer_metrics(["a"], [[]], threshold=0.5)


def test_questions_of_one_kind_have_the_metrics_of_that_kind() -> None:
    assert answer_metrics(["", "x"], [[], []]) == {"exact_match": 50, "f1": 50, "NoAns_exact": 50, "NoAns_f1": 50}
    assert np.isfinite(list(answer_metrics([""], [["x"]]).values())).all()

"""How right answers to questions are: exact match and F1 of words, in percent, as the official scripts of SQuAD compute them.

evaluate-v1.1.py (Rajpurkar et al. 2016, section 6.1) and evaluate-v2.0.py (Rajpurkar, Jia and Liang 2018, section 5); the names of metrics are theirs, but for
`exact_match`, which the second one calls `exact`.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bertwright.errors import InputError
from bertwright.metrics.arrays import BoolArray, FloatArray, numbers
from bertwright.metrics.weighted import Weighted

PERCENT = 100.0
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """Lower-cased, without ASCII punctuation, then without English articles, with single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(predicted: str, answer: str) -> float:
    """1 where both are the same when normalised, else 0."""
    return float(normalised(predicted) == normalised(answer))


def f1_of_words(predicted: str, answer: str, *, empty_matches: bool) -> float:
    """Harmonic mean of precision and recall of the words of the normalised texts, repeated ones counted.

    empty_matches: two texts without words agree, as in v2.0; in v1.1 they share no word and score 0.
    """
    said, there = normalised(predicted).split(), normalised(answer).split()
    if empty_matches and not (said and there):
        return float(said == there)
    shared = sum((Counter(said) & Counter(there)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(said), shared / len(there)
    return 2 * precision * recall / (precision + recall)


@dataclass(frozen=True, kw_only=True)
class AnswerScores:
    """Of each question [questions]: exact match and F1 in 0..1, the best over its right answers, and whether it has an answer. second: SQuAD v2.0 is meant."""

    exact: FloatArray
    f1: FloatArray
    answerable: BoolArray
    second: bool


def answer_scores(predicted: Sequence[str], answers: Sequence[Sequence[str]], *, second: bool | None = None) -> AnswerScores:
    """The scores of each question. predicted: a text for each, empty for "no answer"; answers: the right texts of each, none where there is no answer.

    second: score as v2.0, else as v1.1; by default as v2.0 where a question has no answer. Raises InputError where there are no questions, and for v1.1 where a
    question has no answer; ValueError where the two sides differ in length.
    """
    if not predicted:
        raise InputError("there are no questions to measure: give data with answers")
    if len(predicted) != len(answers):
        raise ValueError(f"{len(predicted)} predictions for {len(answers)} questions: one each is needed")
    answerable = np.array([bool(texts) for texts in answers])
    second = not answerable.all() if second is None else second
    if not second and not answerable.all():
        raise InputError(f"{int((~answerable).sum())} of {len(answers)} questions have no answer: SQuAD v1.1 has none such, measure them as v2.0")
    exact, f1 = [], []
    for text, right in zip(predicted, answers, strict=True):
        # In v2.0 an answer that is an article or a comma alone is none.
        meant = ([one for one in right if normalised(one)] or [""]) if second else right
        exact.append(max(exact_match(text, one) for one in meant))
        f1.append(max(f1_of_words(text, one, empty_matches=second) for one in meant))
    return AnswerScores(exact=np.array(exact), f1=np.array(f1), answerable=answerable, second=second)


def answer_metrics(
    predicted: Sequence[str],
    answers: Sequence[Sequence[str]],
    *,
    no_answer: ArrayLike | None = None,
    threshold: float | None = None,
    second: bool | None = None,
) -> dict[str, float]:
    """exact_match and f1 in percent; of v2.0 also HasAns_exact, HasAns_f1, NoAns_exact, NoAns_f1 over the questions of that kind.

    predicted, answers, second: as in `answer_scores`. no_answer: for each question how sure the model is that there is none, on any scale; with it v2.0 has
    best_exact, best_f1 and best_exact_thresh, best_f1_thresh too: what the best threshold on it would give, above which an answer is taken back. threshold:
    take answers back above this one, in all metrics.
    """
    found = answer_scores(predicted, answers, second=second)
    if threshold is not None and no_answer is None:
        raise ValueError(f"a threshold of {threshold} needs no_answer, which it is laid on")
    sure = None if no_answer is None else numbers(no_answer, name="no_answer values", rows=len(predicted))
    best: Mapping[str, FloatArray] = {}
    if sure is not None and found.second:
        best = weighted_thresholds(found, sure, np.array([not text for text in predicted]))(np.ones((1, len(predicted))))
    found = found if sure is None or threshold is None else without_answers(found, sure > threshold)
    metrics = {**weighted_answers(found)(np.ones((1, len(predicted)))), **best}
    return {name: float(value[0]) for name, value in metrics.items()}


def without_answers(scores: AnswerScores, taken_back: BoolArray) -> AnswerScores:
    """The scores when the predictions of these questions are replaced by "no answer"."""
    right = (~scores.answerable).astype(float)
    return AnswerScores(
        exact=np.where(taken_back, right, scores.exact), f1=np.where(taken_back, right, scores.f1), answerable=scores.answerable, second=scores.second
    )


def weighted_thresholds(scores: AnswerScores, no_answer: FloatArray, empty: BoolArray) -> Weighted:
    """best_exact, best_f1, best_exact_thresh, best_f1_thresh of `answer_metrics`, of questions that count several times or not at all.

    no_answer: as there; empty: the predictions that are "no answer" already: [questions] each. As the official script has it: the questions are answered one
    after the other, the surest first, those with equal values in the order given, and a threshold may fall between these.
    """
    order = np.argsort(no_answer, kind="stable")
    gains = {name: np.where(scores.answerable, values, np.where(empty, 0.0, -1.0))[order] for name, values in (("exact", scores.exact), ("f1", scores.f1))}
    thresholds = np.r_[0.0, no_answer[order]]

    def weighted(weights: FloatArray) -> Mapping[str, FloatArray]:
        found, ordered = {}, weights[:, order]
        none = (weights @ ~scores.answerable)[:, None]
        for name, gain in gains.items():
            totals = np.hstack([none, none + np.cumsum(ordered * gain, axis=1)])
            found[f"best_{name}"] = PERCENT * totals.max(axis=1) / weights.sum(axis=1)
            found[f"best_{name}_thresh"] = thresholds[totals.argmax(axis=1)]
        return found

    return weighted


def weighted_answers(scores: AnswerScores) -> Weighted:
    """`answer_metrics` of questions that count several times or not at all, without the best thresholds."""
    kinds = {"": np.ones(len(scores.exact), dtype=bool)}
    if scores.second:
        kinds |= {name: which for name, which in (("HasAns_", scores.answerable), ("NoAns_", ~scores.answerable)) if which.any()}

    def weighted(weights: FloatArray) -> Mapping[str, FloatArray]:
        found = {}
        for kind, which in kinds.items():
            rows = weights[:, which].sum(axis=1)
            for name, values in (("exact" if kind else "exact_match", scores.exact), ("f1", scores.f1)):
                sums = PERCENT * (weights[:, which] @ values[which])
                found[kind + name] = np.divide(sums, rows, out=np.full(len(weights), np.nan), where=rows > 0)
        return found

    return weighted

"""Written texts are scored by the known libraries, Chinese ones by their characters."""

import builtins
from typing import Any

import pytest

from bertwright.errors import InputError
from bertwright.metrics.generation import Words, generation_metrics, mostly_chinese, rouge_scores
from bertwright.metrics.intervals import Draws, bootstrap, generation_intervals

TARGETS = ["the cat sat on the mat", "It's 20 degrees in Łódź, isn't it?", "a quick brown fox jumps over it"]
WRITTEN = ["the cat is on the mat", "It is 20 degrees in Lodz.", "a brown fox jumps over the dog"]
CHINESE = ["今天天气很好。", "我喜欢吃苹果和香蕉。"]
CHINESE_WRITTEN = ["今天的天气好。", "我喜欢苹果和香蕉。"]


def test_rouge_of_latin_script_is_the_librarys_own() -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rouge1", "rouge2", "rougeL"])
    found = rouge_scores(WRITTEN, TARGETS)
    for row, (text, target) in enumerate(zip(WRITTEN, TARGETS, strict=True)):
        for name, score in scorer.score(target, text).items():
            assert found[name][row] == pytest.approx(score.fmeasure), (name, target)


def test_bleu_and_chrf_are_sacrebleus() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    found = generation_metrics(WRITTEN, TARGETS)
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(WRITTEN, [TARGETS]).score)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(WRITTEN, [TARGETS]).score)
    assert 0 < found["rougeL"] < 1 < found["bleu"] < 100


def test_chinese_is_scored_by_characters() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    found = generation_metrics(CHINESE_WRITTEN, CHINESE)
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(CHINESE_WRITTEN, [CHINESE], tokenize="zh").score)
    assert found["bleu"] > sacrebleu.corpus_bleu(CHINESE_WRITTEN, [CHINESE]).score + 20
    # 今天天气很好 and 今天的天气好 share 5 of their 6 characters each.
    assert rouge_scores(CHINESE_WRITTEN[:1], CHINESE[:1])["rouge1"].tolist() == [pytest.approx(5 / 6)]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hello, World-wide 3.5%", ["hello", "world", "wide", "3", "5"]),
        ("iPhone手机15", ["iphone", "手", "机", "15"]),
        ("naïve", ["na", "ve"]),
        ("Привет, мир", ["привет", "мир"]),
        ("ひらがな𠀀", ["ひ", "ら", "が", "な", "𠀀"]),
    ],
)
def test_words(text: str, tokens: list[str]) -> None:
    assert Words().tokenize(text) == tokens


@pytest.mark.parametrize(("text", "answer"), [("今天 is good", False), ("今天天气好 ok", True), ("", False), ("123 。", False)])
def test_what_is_mostly_chinese(text: str, answer: bool) -> None:
    assert mostly_chinese([text]) is answer


@pytest.mark.parametrize(
    ("written", "targets"), [(WRITTEN * 3, TARGETS * 3), (CHINESE_WRITTEN * 2, CHINESE * 2), (["", "the cat sat on it", "abc"], ["a b", "the cat sat on", "b"])]
)
def test_intervals_are_those_of_metrics_on_resamples(written: list[str], targets: list[str]) -> None:
    expected = bootstrap(lambda drawn: generation_metrics([written[row] for row in drawn], [targets[row] for row in drawn]), len(written), resamples=30, seed=4)
    found = generation_intervals(written, targets, draws=Draws(resamples=30, seed=4))
    assert found.keys() == expected.keys()
    for name, bounds in found.items():
        assert bounds == pytest.approx(expected[name]), name


@pytest.mark.parametrize("missing", ["rouge_score", "sacrebleu"])
def test_a_library_that_is_missing_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == missing:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=rf"{missing}, which is not installed: pip install 'bertwright\[tasks\]'"):
        generation_metrics(["a"], ["a"])


def test_nothing_to_measure_is_said() -> None:
    with pytest.raises(InputError, match="no texts to measure"):
        generation_metrics([], [])
    with pytest.raises(ValueError, match="1 texts for 2 targets"):
        generation_metrics(["a"], ["a", "b"])

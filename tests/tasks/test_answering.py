"""Answers: learnt where they stand, scored as transformers scores, found as the released code finds them."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from bertwright.architecture import SPAN
from bertwright.data.labelled.examples import Answer, QuestionExample
from bertwright.data.places import Place
from bertwright.errors import InputError
from bertwright.tasks.answering import Answering
from bertwright.tasks.running import run
from bertwright.tasks.spans import best_spans
from bertwright.tasks.task import Item
from bertwright.text.tokenizer import Tokenizer

CONTEXT = "Anna Smith of acme left Rome, the capital of Italy, in June 1998; Bob Jones works in Paris since May."
ASKED = (
    ("who left rome?", "Anna Smith"),
    ("what did anna leave?", "Rome"),
    ("what is rome the capital of?", "Italy"),
    ("when did she leave?", "June 1998"),
    ("who works in paris?", "Bob Jones"),
    ("where does bob work?", "Paris"),
    ("since when?", "May"),
    ("which company?", "acme"),
    ("which year?", "1998"),
    ("what is rome?", "the capital of Italy"),
)
TASK = Answering()


def question(text: str, answer: str | None = None, *, context: str = CONTEXT) -> QuestionExample:
    answers = None if answer is None else (Answer(text=answer, start=context.index(answer)),) if answer else ()
    return QuestionExample(id=text, question=text, context=context, answers=answers)


EXAMPLES = [question(*asked) for asked in ASKED]


@pytest.fixture
def bert(tokenizer_of: Callable[[str], Tokenizer]) -> Tokenizer:
    return tokenizer_of("bert")


def outputs_for(items: Sequence[Item], scores: Callable[[int, int], tuple[float, float]]) -> list[Any]:
    """Start and end logits by (item, place)."""
    return [np.array([scores(number, place) for place in range(item.length)], dtype=np.float32).T for number, item in enumerate(items)]


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_the_loss_is_that_of_transformers(family: str, tiny: Callable[..., Any], library: Any) -> None:
    made = tiny(family, (SPAN,))
    items = TASK.items(EXAMPLES, made.tokenizer, max_length=40).items
    assert len(items) > 10  # several windows
    batch = TASK.batch(items, numbers=np.arange(len(items)), reading=made.reading)
    assert (batch.token_type_ids is None) == (family != "bert")
    with torch.inference_mode():
        ours = TASK.losses(made.model, batch)["loss"].sum / batch.weights["loss"]
        model = library.AutoModelForQuestionAnswering.from_pretrained(made.folder).eval()
        theirs = []
        for item in items:  # one by one: theirs counts padding in
            ids = torch.tensor([item.rows[0].ids])
            types = {"token_type_ids": torch.tensor([item.rows[0].type_ids])} if family == "bert" else {}
            start, end = torch.tensor([item.target]).unbind(1)
            theirs.append(float(model(input_ids=ids, **types, start_positions=start, end_positions=end).loss))
    assert float(ours) == pytest.approx(np.mean(theirs), abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_rows_are_what_the_tokenizer_makes_of_the_pair(family: str, tokenizer_of: Callable[[str], Tokenizer]) -> None:
    tokenizer = tokenizer_of(family)
    (item,) = TASK.items(EXAMPLES[:1], tokenizer, max_length=384).items
    encoding = tokenizer.encode(EXAMPLES[0].question, CONTEXT)
    assert item.rows[0].ids == encoding.ids
    assert (item.rows[0].type_ids or [0] * item.length) == encoding.type_ids


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize(("max_length", "stride"), [(384, None), *((40, stride) for stride in range(9, 15))])
def test_targets_point_at_the_answer_in_every_window_that_holds_it(
    family: str, max_length: int, stride: int | None, tokenizer_of: Callable[[str], Tokenizer]
) -> None:
    tokenizer = tokenizer_of(family)
    items = Answering(stride=stride).items(EXAMPLES, tokenizer, max_length=max_length).items
    for number, example in enumerate(EXAMPLES):
        own = [item for item in items if item.example == number]
        held = [item for item in own if item.target != (0, 0)]
        assert held
        assert max_length == 384 or len(own) > 1
        for item in held:
            assert max(item.target) < item.length - 1
            first, last = (place - item.kept.begin + item.kept.window.start for place in item.target)
            text = CONTEXT[item.kept.offsets[first][0] : item.kept.offsets[last][1]]
            assert example.answers is not None
            assert text == example.answers[0].text


def test_padding_does_not_change_a_rows_loss(tiny: Callable[..., Any]) -> None:
    made = tiny("bert", (SPAN,))
    items = TASK.items([question("who?", "Rome"), question("who?", "Rome", context="Anna left Rome.")], made.tokenizer, max_length=128).items
    with torch.inference_mode():
        together = TASK.losses(made.model, TASK.batch(items, numbers=np.arange(2), reading=made.reading))["loss"].sum
        alone = [TASK.losses(made.model, TASK.batch([item], numbers=np.arange(1), reading=made.reading))["loss"].sum for item in items]
    assert float(together) == pytest.approx(float(sum(alone)), abs=1e-4)


def test_a_tiny_model_learns_ten_questions(tiny: Callable[..., Any]) -> None:
    made = tiny("bert", (SPAN,), initializer_range=0.1)
    items = TASK.items(EXAMPLES, made.tokenizer, max_length=96).items
    batch = TASK.batch(items, numbers=np.arange(len(items)), reading=made.reading)
    optimizer = torch.optim.AdamW(made.model.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        (TASK.losses(made.model, batch)["loss"].sum / batch.weights["loss"]).backward()
        optimizer.step()
    found = TASK.predictions(EXAMPLES, items, run(TASK, made.model, items, made.reading))
    assert [each.text for each in found] == [answer for _, answer in ASKED]
    assert TASK.metrics(EXAMPLES, found) == {"exact_match": 100.0, "f1": 100.0}
    assert all(each.loss is not None and each.loss < 0.2 for each in found)
    assert all(CONTEXT[each.start : each.end] == each.text for each in found)


def released(scores: Any, lo: int, hi: int, *, longest: int) -> list[tuple[float, int, int]]:
    """The prelim_predictions of run_squad.py, of all spans."""
    count = scores.shape[1]
    spans = [(float(scores[0, s] + scores[1, e]), s, e) for s in range(lo, hi) for e in range(s, min(s + longest, count))]
    return sorted(spans, reverse=True)[:20]


def test_the_best_spans_are_those_of_all_that_are_allowed() -> None:
    scores = np.random.default_rng(0).normal(size=(2, 40))
    found = best_spans(scores, np.ones(40, dtype=bool), first=5, last=30, longest=7)
    assert found == released(scores, 5, 30, longest=7)
    usable = np.arange(40) != found[0][1]
    assert all(found[0][1] not in span[1:] for span in best_spans(scores, usable, first=5, last=30, longest=7))
    assert best_spans(scores, np.zeros(40, dtype=bool), first=0, last=40, longest=7) == []
    assert best_spans(scores, usable, first=4, last=4, longest=7) == []
    assert best_spans(scores[:, :3], usable[:3], first=0, last=3, longest=30)[0][2] < 3


def test_an_answer_lies_in_the_context_and_is_no_longer_than_allowed(bert: Tokenizer) -> None:
    example = question("rome rome rome", context="anna left rome")
    (item,) = TASK.items([example], bert, max_length=64).items
    begin = item.kept.begin
    # The question's tokens have the highest scores, then the span of the whole context.
    output = outputs_for([item], lambda _, place: (9.0, 9.0) if place < begin else (1.0 * (place == begin), 1.0 * (place == item.length - 2)))
    (found,) = TASK.predictions([example], [item], output)
    assert (found.text, found.start, found.end) == ("anna left rome", 0, 14)
    (short,) = Answering(max_answer_length=1).predictions([example], [item], output)
    assert short.text == "anna"
    assert found.loss is None
    assert found.no_answer is None


def test_probabilities_are_a_softmax_over_spans_of_different_text(bert: Tokenizer) -> None:
    example = question("who?", context="anna paris anna")
    (item,) = TASK.items([example], bert, max_length=64).items
    values = {0: (2.0, 1.0), 2: (2.0, 0.5)}  # "anna" twice

    def scores(_: int, place: int) -> tuple[float, float]:
        piece = place - item.kept.begin
        return values.get(piece, (0.0, 0.0)) if 0 <= piece < 3 else (-50.0, -50.0)

    (found,) = TASK.predictions([example], [item], outputs_for([item], scores))
    # anna, anna paris, anna paris anna, paris, paris anna
    sums = np.array([3.0, 2.0, 2.5, 0.0, 0.5])
    assert found.text == "anna"
    assert found.start == 0
    assert found.score == pytest.approx(np.exp(3.0) / np.exp(sums).sum())


def test_no_answer_is_given_where_it_scores_above_the_best_span_by_the_threshold(bert: Tokenizer) -> None:
    example = question("who?", "", context="anna paris " * 30)
    task = Answering(no_answer=True, stride=8)
    items = task.items([example], bert, max_length=32).items
    assert len(items) > 2
    assert {item.target for item in items} == {(0, 0)}

    def scores(number: int, place: int) -> tuple[float, float]:
        at_span = place == items[number].kept.begin + 5
        return (4.5 - number, 1.0) if place == 0 else (2.0, 1.0) if at_span else (-9.0, -9.0)

    output = outputs_for(items, scores)
    none, best = min(4.5 - number + 1.0 for number in range(len(items))), 3.0
    assert none < best
    (found,) = task.predictions([example], items, output)
    assert found.text in ("anna", "paris")
    assert found.no_answer is not None
    assert found.no_answer < found.score
    (empty,) = Answering(no_answer=True, stride=8, threshold=none - best - 0.5).predictions([example], items, output)
    assert (empty.text, empty.start, empty.end) == ("", None, None)
    assert empty.score == empty.no_answer == found.no_answer
    (certain,) = Answering(stride=8).predictions([example], items, output)
    assert certain.no_answer is None
    assert certain.text == found.text


def test_a_span_begins_where_its_window_has_most_context(bert: Tokenizer) -> None:
    example = question("who?", context="anna paris rome italy june times since bob jones london acme")
    items = Answering(stride=4).items([example], bert, max_length=18).items
    starts = [place for item in items for place in range(item.kept.window.first, item.kept.window.last)]
    assert starts == list(range(len(items[0].kept.offsets)))
    for number, item in enumerate(items):
        wrong = [place for place in range(item.kept.window.start, item.kept.window.stop) if not item.kept.window.first <= place < item.kept.window.last]
        output = outputs_for(
            items,
            lambda window, place, number=number, item=item, wrong=wrong: (
                (9.0, 0.0) if window == number and place - item.kept.begin + item.kept.window.start in wrong else (0.0, 0.0)
            ),
        )
        (found,) = Answering(stride=4).predictions([example], items, output)
        assert found.score < 0.2  # nobody took the 9


def test_a_long_question_keeps_64_tokens_at_most_half_a_row_and_is_counted(bert: Tokenizer) -> None:
    long = question("what " * 100, "Rome")
    made = TASK.items([long, EXAMPLES[0]], bert, max_length=384)
    assert made.truncated == 1
    assert made.items[0].kept.begin == 1 + 64 + 1
    made = TASK.items([long], bert, max_length=35)
    assert made.items[0].kept.begin == 1 + 16 + 1
    assert max(item.length for item in made.items) == 35
    with pytest.raises(InputError, match="max_seq_length 4 has no room for a question and a context beside the 3 special tokens"):
        TASK.items([long], bert, max_length=4)


def test_a_context_of_100_000_tokens_is_searched_in_windows(bert: Tokenizer) -> None:
    context = "anna left paris " * 33_000 + "in June 1998 " + "anna left paris " * 400
    example = question("when?", "June 1998", context=context)
    began = time.perf_counter()
    items = TASK.items([example], bert, max_length=384).items
    (held,) = {item.target for item in items if item.target != (0, 0)} or {None}
    assert held is not None
    holders = [number for number, item in enumerate(items) if item.target != (0, 0)]
    output = outputs_for(items, lambda number, place: (5.0 * (number in holders and place == held[0]), 5.0 * (number in holders and place == held[1])))
    (found,) = TASK.predictions([example], items, output)
    assert time.perf_counter() - began < 15
    assert found.text == "June 1998"
    assert found.start == context.index("June")


def test_an_answer_that_is_not_where_it_says_is_refused_with_its_place(bert: Tokenizer) -> None:
    wrong = [
        QuestionExample(id="1", question="?", context="anna left", answers=(Answer(text="left", start=4),), place=Place("dev.json", "question", 7)),
        QuestionExample(id="2", question="?", context="anna left", answers=(Answer(text="", start=0),)),
        QuestionExample(id="3", question="?", context="anna left", answers=(Answer(text="le", start=-4),)),
    ]
    with pytest.raises(InputError) as refused:
        TASK.items(wrong, bert, max_length=64)
    assert len(refused.value.problems) == 3
    assert refused.value.problems[0] == "dev.json, question 7: the answer 'left' does not stand at character 4 of its context: mend answer_start"


def test_an_answer_without_a_piece_is_not_scored_and_counted(bert: Tokenizer) -> None:
    example = question("what?", "\u200b", context="anna \u200b left")
    made = TASK.items([example, EXAMPLES[0]], bert, max_length=128)
    assert made.items[0].target == (-100, -100)
    assert made.said == ("1 answers have no piece of their own in this vocabulary: their questions are not scored",)


def test_unscored_rows_have_no_weight(tiny: Callable[..., Any]) -> None:
    made = tiny("bert", (SPAN,))
    items = TASK.items([question("what?", "\u200b", context="anna \u200b left"), EXAMPLES[0]], made.tokenizer, max_length=128).items
    batch = TASK.batch(items, numbers=np.arange(2), reading=made.reading)
    assert batch.weights == {"loss": 1.0}
    with torch.inference_mode():
        alone = TASK.losses(made.model, TASK.batch(items[1:], numbers=np.arange(1), reading=made.reading))["loss"].sum
        assert float(TASK.losses(made.model, batch)["loss"].sum) == pytest.approx(float(alone), abs=1e-5)
    found = TASK.predictions([question("what?", "\u200b", context="anna \u200b left"), EXAMPLES[0]], items, run(TASK, made.model, items, made.reading))
    assert found[0].loss is None
    assert found[1].loss == pytest.approx(float(alone), abs=1e-4)


def test_an_empty_context_has_an_empty_answer(tiny: Callable[..., Any]) -> None:
    made = tiny("roberta", (SPAN,))
    examples = [question("who?", context=""), question("", context="\n \t"), EXAMPLES[0]]
    items = TASK.items(examples, made.tokenizer, max_length=128).items
    found = TASK.predictions(examples, items, run(TASK, made.model, items, made.reading))
    assert [(each.text, each.score) for each in found[:2]] == [("", 0.0)] * 2
    assert found[2].text


def test_metrics_are_those_of_the_second_squad_where_there_may_be_no_answer(bert: Tokenizer) -> None:
    examples = [question("who?", "Anna Smith"), question("why?", "")]
    task = Answering(no_answer=True)
    items = task.items(examples, bert, max_length=128).items
    found = task.predictions(examples, items, outputs_for(items, lambda _, place: (float(place == 0), float(place == 0))))
    assert [each.text for each in found] == ["", ""]
    assert task.metrics(examples, found)["NoAns_exact"] == 100
    assert task.metrics(examples, found)["HasAns_f1"] == 0
    assert task.config == {"bertwright": {"no_answer": True}}

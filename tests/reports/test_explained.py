"""What the answers rest on: chosen examples, from the run's own checkpoint."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertwright.reports.cases import cases, sides
from bertwright.reports.page import write_report
from bertwright.reports.reading import read_run
from bertwright.text.tokenizer import Encoding

Ask = Callable[[Path], Any]
WORDS = ["i", "feel", "today", "am", "it", "makes", "me", "we", "were", "all", "so", "she", "said", "felt", "gloomy", "and", "alone", "happy", "could", "dance"]
TITLE = "What the answers rest on"


def test_right_and_hard_examples_are_explained_from_the_checkpoint(emotion: Path, checkpoint: Callable[..., Path], ask: Ask) -> None:
    labels = read_run(emotion).labels
    checkpoint(emotion, labels, words=WORDS)
    page = ask(write_report(emotion, examples=4))
    assert TITLE in page.texts
    marks = [attributes for attributes in page.named("mark") if attributes.get("class") in ("plus", "minus")]
    assert len(marks) > 20
    assert all(0 <= float(re.findall(r"--weight: ([\d.]+)", str(attributes["style"]))[0]) <= 1 for attributes in marks)
    names = {path.name for path in (emotion / "figures").iterdir()}
    assert {f"attribution_{place}.png" for place in range(1, 5)} | {f"attention_{place}.png" for place in range(1, 5)} <= names
    assert "attribution_4_label.png" in names, "of a wrong example the right label is explained too"
    assert len(page.named("image")) == 4 * 2, "four examples, two layers"


@pytest.mark.usefixtures("without_pictures")
def test_none_are_explained_where_none_are_wanted_or_nothing_is_left_to_explain_them(emotion: Path, ask: Ask) -> None:
    assert TITLE not in ask(write_report(emotion, examples=0)).texts
    assert "Not shown: the run folder has no checkpoints any more." in ask(write_report(emotion, examples=2)).text


def test_half_are_right_and_half_are_the_hardest(emotion: Path) -> None:
    chosen = cases(read_run(emotion), "test", 6)
    assert [case.shown.good for case in chosen] == [True] * 3 + [False] * 3
    losses = [float(re.findall(r"loss ([\d.]+)", fact)[0]) for case in chosen[3:] for fact in case.shown.facts if fact.startswith("loss")]
    assert losses == sorted(losses, reverse=True)
    assert all(len(case.asked) == 2 for case in chosen[3:])
    assert [asked.title for asked in chosen[0].asked] == [f"for {chosen[0].shown.bars[0][0]}"]


def test_the_second_text_begins_after_what_ends_the_first() -> None:
    encoding = Encoding(ids=[0] * 9, type_ids=[0] * 9, tokens=list("<abss>cd>"), special_mask=[1, 0, 0, 0, 0, 1, 0, 0, 1], offsets=[(0, 0)] * 9)
    assert sides(encoding) == [0, 0, 0, 0, 0, 0, 1, 1, 1]
    doubled = Encoding(ids=[0] * 6, type_ids=[0] * 6, tokens=list("<a>>b>"), special_mask=[1, 0, 1, 1, 0, 1], offsets=[(0, 0)] * 6)
    assert sides(doubled) == [0, 0, 0, 0, 1, 1]


def tagged(folder: Any, results_of: Callable[..., dict[str, Any]]) -> list[str]:
    tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    words = ["John", "Smith", "saw", "<b>", "New", "York", "today"]
    right = ["B-PER", "I-PER", "O", "O", "B-LOC", "I-LOC", "O"]
    wrong = ["B-PER", "I-PER", "O", "O", "B-PER", "O", "O"]
    rows = [{"row": n, "words": words, "tags": right, "prediction": {"tags": right if n % 2 else wrong}, "loss": float(n)} for n in range(6)]
    folder.lines("predictions/validation.jsonl", rows).json("results.json", results_of(tags, task="tag", metric="f1"))
    return words


@pytest.mark.usefixtures("without_pictures")
def test_of_a_sentence_the_beginning_of_a_wrong_entity_is_explained(
    tmp_path: Path, folder_of: Any, results_of: Callable[..., dict[str, Any]], checkpoint: Callable[..., Path], ask: Ask
) -> None:
    run = tmp_path / "ner"
    words = tagged(folder_of(run), results_of)
    tags = read_run(run).labels
    checkpoint(run, tags, words=[word.lower() for word in words] + ["<", ">"], head="tag")
    assert [case.asked[0].title for case in cases(read_run(run), "validation", 2)] == ["PER of John Smith", "PER of New"]
    page = ask(write_report(run, examples=2))
    assert TITLE in page.texts
    assert "PER of New: logit" in page.text


@pytest.mark.usefixtures("without_pictures")
def test_of_a_question_the_predicted_span_is_explained(
    tmp_path: Path, folder_of: Any, results_of: Callable[..., dict[str, Any]], checkpoint: Callable[..., Path], ask: Ask
) -> None:
    context = "It spans nine nations."
    said = {"answer": "nine nations", "start": 9, "end": 21, "score": 0.7}
    answers = [{"text": "nine nations", "start": 9}]
    rows = [{"row": 0, "id": "q", "question": "How many?", "context": context, "answers": answers, "prediction": said, "loss": 0.1}]
    folder_of(tmp_path / "squad").lines("predictions/validation.jsonl", rows).json("results.json", results_of([], task="answer", metric="f1"))
    checkpoint(tmp_path / "squad", ["a", "b"], words=["how", "many", "?", "it", "spans", "nine", "nations", "."], head="span")
    page = ask(write_report(tmp_path / "squad", examples=1))
    assert "its answer: logit" in page.text
    strongest = page.text[page.text.index("token, its answer") :].split()
    assert {"nine", "nations"} & set(strongest[6:12]), "an untrained model's span rests on its own tokens most"


@pytest.mark.usefixtures("without_pictures")
def test_a_checkpoint_that_cannot_be_read_is_said(emotion: Path, checkpoint: Callable[..., Path], ask: Ask) -> None:
    folder = checkpoint(emotion, read_run(emotion).labels, words=WORDS)
    (folder / "model.safetensors").unlink()
    assert "Not shown: " in ask(write_report(emotion, examples=1)).text


@pytest.mark.usefixtures("without_pictures")
def test_numbers_are_explained_too(
    tmp_path: Path, folder_of: Any, results_of: Callable[..., dict[str, Any]], checkpoint: Callable[..., Path], ask: Ask
) -> None:
    rows = [{"row": n, "text": "i feel alone", "pair": "me so happy", "label": n / 4, "prediction": {"value": n / 5}, "loss": (n / 20) ** 2} for n in range(20)]
    folder_of(tmp_path / "sts").lines("predictions/validation.jsonl", rows).json("results.json", results_of([], task="regress", metric="spearman"))
    checkpoint(tmp_path / "sts", ["LABEL_0"], words=WORDS)
    page = ask(write_report(tmp_path / "sts", examples=2))
    assert "the number: logit" in page.text
    assert page.text.count("close") == 1
    assert page.text.count("far off") == 1


def test_losses_that_are_missing_do_not_stop_the_choice(emotion: Path) -> None:
    file = emotion / "predictions" / "test.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["loss"] = row["prediction"]["loss"] = None
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert len(cases(read_run(emotion), "test", 4)) == 4


@pytest.mark.parametrize("task", ["choice", "embed", "generate"])
def test_tasks_whose_answer_is_not_one_score_of_one_text_have_no_cases(task: str, emotion: Path) -> None:
    (emotion / "results.json").write_text(json.dumps({"task": task}), encoding="utf-8")
    assert cases(read_run(emotion), "test", 4) == []

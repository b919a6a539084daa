"""Choices, texts to embed, sources and targets: the columns of the known data sets, and what each becomes."""

import json
from pathlib import Path
from typing import Any

import pytest

from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.examples import LabelledSplits
from bertwright.data.labelled.reading import read_labelled, read_splits
from bertwright.errors import InputError


def split(tmp_path: Path, rows: list[dict[str, Any]], **options: Any) -> LabelledSplits:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_splits(str(tmp_path / "a.jsonl"), DataConfig(**options))


CHOICES: dict[str, tuple[dict[str, Any], str, tuple[str, ...], int]] = {
    "SWAG": (
        {"startphrase": "She sat. He", "sent1": "She sat.", "sent2": "He", "ending0": "ran.", "ending1": "fell.", "label": 1},
        "She sat.",
        ("He ran.", "He fell."),
        1,
    ),
    "HellaSwag": ({"ctx": "She sat. He", "endings": ["ran.", "fell."], "label": "0"}, "She sat. He", ("ran.", "fell."), 0),
    "RACE": (
        {"article": "A story.", "question": "Who?", "options": ["Anna", "Bob"], "answer": "B"},
        "A story.",
        ("Who? Anna", "Who? Bob"),
        1,
    ),
    "ARC": ({"question": "Why?", "choices": {"text": ["a", "b", "c"], "label": ["1", "2", "3"]}, "answerKey": "3"}, "Why?", ("a", "b", "c"), 2),
    "COPA": ({"premise": "It rained.", "choice1": "wet", "choice2": "dry", "question": "effect", "label": 0}, "It rained.", ("effect wet", "effect dry"), 0),
    "PIQA": ({"goal": "Boil water", "sol1": "heat", "sol2": "cool", "label": 0}, "Boil water", ("heat", "cool"), 0),
    "the answer itself": ({"text": "One and", "choices": ["two", "blue"], "answer": "two"}, "One and", ("two", "blue"), 0),
}


@pytest.mark.parametrize("case", CHOICES)
def test_choices_of_known_data_sets(tmp_path: Path, case: str) -> None:
    row, text, choices, right = CHOICES[case]
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    (example,) = read_labelled(str(tmp_path / "a.jsonl"), task="choice", config=DataConfig()).examples
    assert (example.text, example.choices, example.label) == (text, choices, right)


def test_choices_are_guessed_from_their_columns(tmp_path: Path) -> None:
    splits = split(tmp_path, [{"text": f"One {n} and", "choices": ["two", "blue"], "answer": "two"} for n in range(4)])
    assert splits.train.task == "choice"
    assert any("there are choices in choices" in line for line in splits.said)


def test_an_empty_choice_between_others_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("context,ending0,ending1,ending2,ending3,label\n" + "".join(f"One {n},two,,blue,,2\n" for n in range(4)))
    example = read_splits(str(tmp_path / "a.csv"), DataConfig()).train.examples[0]
    assert (example.choices, example.label) == (("two", "", "blue"), 2)
    (tmp_path / "a.csv").write_text("context,ending0,ending1,label\nOne,,two,1\n")
    with pytest.raises(InputError, match=r"1 row with fewer than two choices \(line 2\)"):
        read_splits(str(tmp_path / "a.csv"), DataConfig())


def test_right_choices_counted_from_one_are_seen_in_the_whole_file(tmp_path: Path) -> None:
    rows = [{"sentence": f"It was _ {n}.", "option1": "a", "option2": "b", "answer": str(n % 2 + 1)} for n in range(6)]
    splits = split(tmp_path, rows)
    assert {example.text: example.label for example in splits.train.examples}["It was _ 1."] == 1
    assert any("counted from 1" in line for line in splits.said)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "t", "choices": ["a", "b"], "label": 2}, r"line 4: the label is 2, and there are 2 choices"),
        ({"text": "t", "choices": ["a", "b"], "label": "E"}, r"line 4: the label is 'E'"),
        ({"text": "t", "choices": ["a"], "label": 0}, r"1 row with fewer than two choices \(line 4\)"),
        ({"text": "t", "choices": ["a", "b"]}, r"1 row without a label \(line 4\)"),
        ({"text": "", "choices": ["a", "b"], "label": 0}, r"1 row without a text"),
        ({"text": "t", "choices": ["a", 3], "label": 0}, r"line 4: column 'choices' holds a list"),
    ],
)
def test_bad_choices_are_refused(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    good = [{"text": f"t{n}", "choices": ["a", "b"], "label": 0} for n in range(3)]
    with pytest.raises(InputError, match=message):
        split(tmp_path, [*good, row])


EMBED: dict[str, tuple[dict[str, Any], str | None, tuple[str, ...], float | None]] = {
    "pairs": ({"anchor": "a {n}", "positive": "b"}, None, ("a {n}", "b"), None),
    "triplets": ({"anchor": "a {n}", "positive": "b", "negative": "c"}, None, ("a {n}", "b", "c"), None),
    "scored pairs": ({"sentence1": "a {n}", "sentence2": "b", "score": 3.5}, "embed", ("a {n}", "b"), 3.5),
    "pairs without a score": ({"question": "a {n}", "answer": "b"}, "embed", ("a {n}", "b"), None),
    "yes or no": ({"question1": "a {n}", "question2": "b", "label": 1}, "embed", ("a {n}", "b"), 1.0),
}


@pytest.mark.parametrize("case", EMBED)
def test_texts_to_embed(tmp_path: Path, case: str) -> None:
    row, task, texts, score = EMBED[case]
    rows = [{key: value.format(n=n) if isinstance(value, str) else value for key, value in row.items()} for n in range(3)]
    splits = split(tmp_path, rows, task=task)
    assert splits.train.task == "embed"
    number = splits.train.examples[0].place.number - 1
    assert (splits.train.examples[0].texts, splits.train.examples[0].score) == (tuple(text.format(n=number) for text in texts), score)


def test_a_score_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1: column 'score' holds a str \(much\), not a number"):
        split(tmp_path, [{"sentence1": "a", "sentence2": "b", "score": "much"}], task="embed")
    with pytest.raises(InputError, match=r"1 row without a score \(line 1\)"):
        split(tmp_path, [{"sentence1": "a", "sentence2": "b", "score": None}], task="embed")


@pytest.mark.parametrize(
    "names", [("source", "target"), ("document", "summary"), ("article", "highlights"), ("prompt", "completion"), ("dialogue", "summary"), ("input", "output")]
)
def test_sources_and_targets(tmp_path: Path, names: tuple[str, str]) -> None:
    splits = split(tmp_path, [{"id": n, names[0]: f"long text {n}", names[1]: f"short {n}"} for n in range(4)])
    assert splits.train.task == "generate"
    example = splits.train.examples[0]
    assert (example.source, example.target) == (f"long text {example.place.number - 1}", f"short {example.place.number - 1}")


def test_a_row_without_a_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 row without a target \(line 2\)"):
        split(tmp_path, [{"source": "a", "target": "b"}, {"source": "c", "target": ""}])
    named = split(tmp_path, [{"from": f"a{n}", "to": "b"} for n in range(3)], task="generate", text_column="from", pair_column="to")
    assert named.train.examples[0].target == "b"

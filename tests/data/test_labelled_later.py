"""Files that are read after the training file are read as it was: labels, lists, choices, header, columns; also out of what a checkpoint keeps."""

import json
from pathlib import Path
from typing import Any

import pytest

from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.examples import LabelledData, LabelledSplits
from bertwright.data.labelled.reading import read_labelled, read_splits
from bertwright.data.labelled.unlabelled import read_to_predict
from bertwright.errors import InputError


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def table(names: str, rows: list[tuple[Any, ...]]) -> str:
    return (names + "\n" if names else "") + "".join(",".join(map(str, row)) + "\n" for row in rows)


def both(folder: Path, train: str, later: str, *, ending: str = "csv", **options: Any) -> tuple[LabelledSplits, LabelledData]:
    """The splits with a validation file, and that file read again as a checkpoint's user does, with nothing but what JSON kept."""
    (folder / f"train.{ending}").write_text(train)
    (folder / f"later.{ending}").write_text(later)
    splits = read_splits(str(folder / f"train.{ending}"), DataConfig(validation=str(folder / f"later.{ending}"), **options))
    again = read_labelled(
        str(folder / f"later.{ending}"),
        task=splits.train.task,
        config=DataConfig(),
        labels=splits.train.labels,
        several=splits.train.several,
        known=json.loads(json.dumps(splits.train.decisions)),
    )
    assert again.examples == splits.validation.examples
    return splits, again


def labels(data: LabelledData) -> list[Any]:
    return [example.label for example in data.examples]


def test_numbers_keep_the_names_that_training_gave_them(tmp_path: Path) -> None:
    train = table("text,label", [(f"t {n}", n % 3 + 1) for n in range(12)])
    splits, _ = both(tmp_path, train, table("text,label", [("v", 1), ("w", 2)]), label_names="World,Sports,Business")
    assert labels(splits.validation) == ["World", "Sports"]
    with pytest.raises(InputError, match=r"label '0' .* was never seen in training"):
        both(tmp_path, train, table("text,label", [("v", 0)]), label_names="World,Sports,Business")


def test_names_for_numbers_that_may_count_from_0_or_1_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table("text,label", [(f"t {n}", n % 2 + 1) for n in range(12)]))
    with pytest.raises(InputError, match="neither 0 nor 3 occurs"):
        read_splits(str(tmp_path / "a.csv"), DataConfig(label_names="a,b,c"))


def test_numbers_of_tags_keep_their_names(tmp_path: Path) -> None:
    train = jsonl([{"tokens": ["a", "b", str(n)], "ner_tags": [1, 2, 0]} for n in range(12)])
    later = jsonl([{"tokens": ["a", "b"], "ner_tags": [1, 2]}])
    splits, _ = both(tmp_path, train, later, ending="jsonl", label_names="O,B-X,I-X")
    assert splits.validation.examples[0].tags == ("B-X", "I-X")


@pytest.mark.parametrize(
    ("train", "later", "expected"),
    [
        ([[1, 0], [0, 1]], [[0, 1], [1, 0]], [("1",), ("0",)]),
        ([[1, 1], [0, 0], [1, 0]], [[0, 1], [1, 0]], [("1",), ("0",)]),
        ([[0], [1], [0, 1]], [[0, 1], [1, 0]], [("0", "1"), ("1", "0")]),
    ],
)
def test_lists_of_0_and_1_are_what_they_are_in_training(tmp_path: Path, train: list[list[int]], later: list[list[int]], expected: list[Any]) -> None:
    rows = jsonl([{"text": f"t {n}", "labels": train[n % len(train)]} for n in range(12)])
    splits, _ = both(tmp_path, rows, jsonl([{"text": f"v {n}", "labels": each} for n, each in enumerate(later)]), ending="jsonl")
    assert labels(splits.validation) == expected


def test_a_list_of_another_length_is_refused(tmp_path: Path) -> None:
    rows = jsonl([{"text": f"t {n}", "labels": [n % 2, 1 - n % 2, 0]} for n in range(12)])
    with pytest.raises(InputError, match=r"later\.jsonl, line 1: column 'labels' is not 3 times 0 or 1"):
        both(tmp_path, rows, jsonl([{"text": "v", "labels": [0, 1]}]), ending="jsonl")


@pytest.mark.parametrize("first", [0, 1])
def test_choices_are_counted_as_in_training(tmp_path: Path, first: int) -> None:
    def rows(values: list[int]) -> str:
        return jsonl([{"text": f"t {values} {n}", "choices": list("abcd"), "label": value} for n, value in enumerate(values)])

    splits, _ = both(tmp_path, rows([first, first + 1, first + 2, first + 3] * 4), rows([1, 2, 3]), ending="jsonl")
    assert labels(splits.validation) == [1 - first, 2 - first, 3 - first]


HEADERS = [("text,label", ""), ("", "text,label"), ("text,label", "text,label"), ("", "")]


@pytest.mark.parametrize(("first", "second"), HEADERS)
@pytest.mark.parametrize("values", ["ab", ["0.5", "1.5"]])
def test_every_file_may_name_its_columns_or_not(tmp_path: Path, first: str, second: str, values: Any) -> None:
    train = table(first, [(f"some words {n}", values[n % 2]) for n in range(20)])
    splits, _ = both(tmp_path, train, table(second, [(f"other words {n}", values[n % 2]) for n in range(6)]))
    assert len(splits.validation.examples) == 6
    assert splits.validation.examples[0].text == "other words 0"


def test_columns_that_were_guessed_are_not_guessed_again(tmp_path: Path) -> None:
    train = table("remark,lat,verdict", [(f"some words {n}", n, "xy"[n % 2]) for n in range(12)])
    later = table("remark,lat,verdict", [(f"some words {n}", n % 2, "xy"[n % 2]) for n in range(12)])
    splits, again = both(tmp_path, train, later, text_column="remark")
    assert splits.train.columns == splits.validation.columns == again.columns == {"text": "remark", "label": "verdict"}


def test_what_several_labels_were_told_by_is_kept(tmp_path: Path) -> None:
    train = table("text,label", [(f"t {n}", ["a|b", "b", ""][n % 3]) for n in range(12)])
    splits, _ = both(tmp_path, train, table("text,label", [("v", "b|a"), ("w", "")]), several_labels="|")
    assert labels(splits.validation) == [("b", "a"), ()]
    train = table("text,x,y", [(f"t {n}", n % 2, int(n % 3 == 0)) for n in range(12)])
    splits, _ = both(tmp_path, train, table("text,x,y", [("v", 1, 1), ("w", 0, 0)]), label_column="x,y")
    assert labels(splits.validation) == [("x", "y"), ()]


def test_what_is_taken_for_granted_in_later_files_is_said(tmp_path: Path) -> None:
    train = table("text,label", [(f"t {n}", "xy"[n % 2]) for n in range(12)])
    splits, again = both(tmp_path, train, table("sentence,category", [("v", "x"), ("w", "y")]))
    line = "later.csv: 2 rows of CSV; label = category, text = sentence"
    assert any(said.endswith(line) for said in splits.said)
    assert any(said.endswith(line) for said in again.said)


def test_rows_to_predict_are_found_in_the_columns_of_training(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table("text,phrase,label", [(f"t {n}", f"p {n}", n % 2) for n in range(12)]))
    splits = read_splits(str(tmp_path / "a.csv"), DataConfig(text_column="phrase"))
    found = read_to_predict(str(tmp_path / "a.csv"), task="classify", config=DataConfig(), known=splits.train.decisions)
    assert [example.text for _, example in found.rows][:2] == ["p 0", "p 1"]

"""The data report: what it counts, what it warns of, and how it looks on a terminal."""

import json
from pathlib import Path
from unicodedata import east_asian_width

import pytest

from bertwright.data.labelled.examples import (
    Answer,
    ChoiceExample,
    EmbedExample,
    LabelledData,
    LabelledSplits,
    QuestionExample,
    TagExample,
    TextExample,
    WriteExample,
)
from bertwright.data.labelled.report import DataReport, data_report
from bertwright.data.places import Place
from bertwright.text.tokenizer import Tokenizer


def data(rows: list[tuple[str, str]], name: str = "train.csv") -> LabelledData:
    examples = [TextExample(text=text, label=label, place=Place(name, "line", number)) for number, (text, label) in enumerate(rows, start=2)]
    return LabelledData(name=name, task="classify", examples=examples, labels=("x", "y", "z"))


TRAIN = [(f"word {'word ' * (n % 4)}number {n}", "xy"[n % 2]) for n in range(40)]


@pytest.fixture
def report(tokenizer: Tokenizer) -> DataReport:
    """40 training rows and: a repeated one, one text with two labels, one that is in all three parts, a label of test alone."""
    train = [*TRAIN, ("same", "x"), ("same", "x"), ("both ways", "x"), ("both ways", "y"), ("everywhere", "y")]
    validation = [("everywhere", "y"), ("fresh", "x")]
    test = [("everywhere", "x"), ("new", "z"), ("fresh", "x")]
    return data_report(LabelledSplits(train=data(train), validation=data(validation, "dev.csv"), test=data(test, "test.csv")), tokenizer, max_length=6)


def test_rows_labels_and_lengths(report: DataReport) -> None:
    assert report.rows == {"train": 45, "validation": 2, "test": 3}
    assert report.label_counts["train"] == {"x": 23, "y": 22, "z": 0}
    assert (report.unit, report.words.splits["train"]["max"], report.words.splits["train"]["min"]) == ("words", 6, 1)
    assert report.words.labels.keys() == {"x", "y"}
    assert report.words.labels["x"]["max"] == 5


def test_tokens_are_counted_as_the_model_reads_a_row(report: DataReport, tokenizer: Tokenizer) -> None:
    lengths = [len(tokenizer.encode(text).ids) for text, _ in TRAIN]
    assert report.tokens.splits["train"]["max"] == max(lengths)
    assert report.truncated["train"] == sum(length > 6 for length in lengths) > 0


def test_pairs_are_counted_with_both_texts_and_three_special_tokens(tokenizer: Tokenizer) -> None:
    examples = [TextExample(text="bar ban", pair="bel", label=label) for label in "xy"]
    part = LabelledData(name="a", task="classify", examples=examples, labels=("x", "y"))
    report = data_report(LabelledSplits(train=part, validation=part), tokenizer, max_length=128)
    assert report.tokens.splits["train"]["max"] == len(tokenizer.encode("bar ban", "bel").ids)
    assert report.words.splits["train"]["max"] == 3


def test_duplicates_overlaps_and_texts_with_two_labels(report: DataReport) -> None:
    assert report.duplicates == {"train": 2, "validation": 0, "test": 0}
    assert report.overlaps == {"validation": 1, "test": 1, "test_validation": 2}
    assert report.two_labels == 2
    assert {(each.text, each.labels) for each in report.conflicts} == {("both ways", ("x", "y")), ("everywhere", ("y", "y", "x"))}
    assert report.conflicts[0].places == ("train.csv, line 44", "train.csv, line 45")


def test_labels_of_one_split_only(report: DataReport) -> None:
    assert report.one_split_only == {"train": (), "validation": (), "test": ("z",)}
    assert report.absent == {"train": ("z",), "validation": ("z",), "test": ("y",)}


@pytest.mark.parametrize(
    "warning",
    [
        "only the test rows have z, which cannot be learnt",
        "2 texts stand with different labels, such as",
        "1 of the 2 validation rows stands in the training rows too",
        "1 of the 3 test rows stands in the training rows too",
        "training rows lose their end at 6 tokens: raise --max_seq_length",
        "only 2 validation rows",
        "2 training rows repeat an earlier one word for word",
    ],
)
def test_warnings(report: DataReport, warning: str) -> None:
    assert any(warning in line for line in report.warnings), report.warnings


def test_good_data_has_no_warnings(tokenizer: Tokenizer) -> None:
    rows = [(f"word number {n}", "xyz"[n % 3]) for n in range(600)]
    splits = LabelledSplits(train=data(rows[:300]), validation=data(rows[300:450]), test=data(rows[450:]))
    assert data_report(splits, tokenizer, max_length=64).warnings == ()


def test_rare_labels_and_one_that_rules(tokenizer: Tokenizer) -> None:
    rows = [(f"word number {n}", "x") for n in range(300)] + [("rare one", "y"), ("rare two", "y")]
    splits = LabelledSplits(train=data(rows), validation=data([(f"v {n}", "xy"[n % 2]) for n in range(100)]))
    warnings = data_report(splits, tokenizer, max_length=64).warnings
    assert any("fewer than 10 training rows have y" in line for line in warnings)
    assert any("99% of the training rows have x" in line for line in warnings)
    assert any("no training row has z" in line for line in warnings)


def test_rows_left_out_are_a_warning(tokenizer: Tokenizer) -> None:
    part = LabelledData(name="a", task="regress", examples=[TextExample(text=f"t {n}", label=float(n)) for n in range(200)], left_out={"without a text": 3})
    report = data_report(LabelledSplits(train=part, validation=part), tokenizer, max_length=64)
    assert any("3 training rows without a text were left out" in line for line in report.warnings)
    assert report.label_counts == {"train": {}, "validation": {}}


def test_the_json_is_plain(report: DataReport) -> None:
    assert json.loads(json.dumps(report.to_json()))["label_counts"]["train"] == {"x": 23, "y": 22, "z": 0}


@pytest.mark.parametrize("width", [60, 100])
def test_lines_fit_and_align(tokenizer: Tokenizer, width: int) -> None:
    examples = [TextExample(text=f"这个房间很好 {n}", label=("非常满意的顾客", "bad")[n % 2], place=Place("a.tsv", "line", n)) for n in range(300)]
    part = LabelledData(name="a.tsv", task="classify", examples=examples, labels=("bad", "非常满意的顾客"))
    report = data_report(LabelledSplits(train=part, validation=part, test=part), tokenizer, max_length=4)
    lines = report.lines(width)

    def columns(text: str) -> int:
        return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)

    assert max(map(columns, lines)) <= width
    table = [line for line in lines if "%" in line and line.startswith("  ")][:2]
    assert len({columns(line) for line in table}) == 1
    assert report.unit == "characters"


EXAMPLES = {
    "tag": [TagExample(words=("Anna", "saw", "Rome"), tags=("B-PER", "O", "B-LOC"))],
    "answer": [
        QuestionExample(id="1", question="who", context="Anna saw", answers=(Answer(text="Anna", start=0),)),
        QuestionExample(id="2", question="why", context="x", answers=()),
    ],
    "choice": [ChoiceExample(text="a b", choices=("c", "d e"), label=1)],
    "embed": [EmbedExample(texts=("a b", "c")), EmbedExample(texts=("a", "d", "e f g"))],
    "generate": [WriteExample(source="a b c", target="a"), WriteExample(source="a b c", target="b")],
}
COUNTS = {"tag": {"LOC": 1, "PER": 1}, "answer": {"answered": 1, "no answer": 1}, "choice": {"choice 2": 1}, "embed": {}, "generate": {}}
WORDS = {"tag": 3, "answer": 3, "choice": 4, "embed": 3, "generate": 3}


@pytest.mark.parametrize("task", EXAMPLES)
def test_every_task_has_a_report(tokenizer: Tokenizer, task: str) -> None:
    part = LabelledData(name="a", task=task, examples=EXAMPLES[task])
    report = data_report(LabelledSplits(train=part, validation=part), tokenizer, max_length=64)
    assert (report.label_counts["train"], report.words.splits["train"]["max"]) == (COUNTS[task], WORDS[task])
    assert report.two_labels == 0
    assert report.lines()


def test_the_report_of_shared_emotion(tokenizer: Tokenizer) -> None:
    folder = Path(__file__).parents[2] / "../shared/data/emotion"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    from bertwright.data.labelled.config import DataConfig
    from bertwright.data.labelled.reading import read_splits

    report = data_report(read_splits(str(folder), DataConfig()), tokenizer, max_length=128)
    assert report.label_counts["train"] == {"0": 4666, "1": 5362, "2": 1304, "3": 2159, "4": 1937, "5": 572}
    assert (report.duplicates["train"], report.two_labels, report.overlaps["test"]) == (31, 51, 11)


def test_shares_of_several_labels_are_of_the_rows(tokenizer: Tokenizer) -> None:
    examples = [TextExample(text=f"t {n}", label=("x", "y") if n % 4 else ("x",)) for n in range(400)]
    part = LabelledData(name="a", task="classify", examples=examples, labels=("x", "y"), several=True)
    lines = data_report(LabelledSplits(train=part, validation=part), tokenizer, max_length=64).lines()
    assert any(line.split() == ["x", "400", "100.0%", "400", "100.0%"] for line in lines)


def test_published_warnings_quote_no_texts_and_no_folders(tokenizer: Tokenizer) -> None:
    examples = [TextExample(text="a secret", label=label, place=Place("/home/anna/train.csv", "line", n)) for n, label in enumerate("xy", start=2)]
    part = LabelledData(name="/home/anna/train.csv", task="classify", examples=examples, labels=("x", "y"))
    report = data_report(LabelledSplits(train=part, validation=part), tokenizer, max_length=64)
    warnings = report.to_json()["warnings"]
    assert any("1 text stands with different labels, such as that at train.csv, line 2 and train.csv, line 3" in line for line in warnings)
    assert not any("secret" in line or "/home" in line for line in warnings)
    assert any("/home/anna" in line for line in report.warnings)
    assert "secret" in "".join(report.lines())


def test_which_choice_is_right_is_no_label(tokenizer: Tokenizer) -> None:
    examples = [ChoiceExample(text=f"a {n}", choices=("b", "c"), label=n) for n in (0, 1)]
    train, validation = (LabelledData(name="a", task="choice", examples=rows) for rows in (examples, examples[:1]))
    assert not any("choice 2" in line for line in data_report(LabelledSplits(train=train, validation=validation), tokenizer, max_length=64).warnings)


def test_targets_that_are_cut_are_counted(tokenizer: Tokenizer) -> None:
    part = LabelledData(name="a", task="generate", examples=[WriteExample(source="a b", target="a b c d e f g h i j"), WriteExample(source="a", target="b")])
    report = data_report(LabelledSplits(train=part, validation=part), tokenizer, max_length=8)
    assert report.truncated["train"] == 1
    assert any("50% of the training rows lose their end" in line for line in report.warnings)

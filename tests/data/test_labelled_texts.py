"""Texts with labels, in every kind of file: what the columns are taken for, how labels are named and ordered, what is said of it."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.examples import LabelledSplits, TextExample
from bertwright.data.labelled.reading import read_splits
from bertwright.errors import InputError

ROWS = [(f"some {word} words of number {number}", ("good", "bad")[number % 2]) for number, word in enumerate(("kind", "odd", "long", "new", "old", "red") * 4)]


def split(path: Path, **options: Any) -> LabelledSplits:
    return read_splits(str(path), DataConfig(**options))


def whole(path: Path, **options: Any) -> list[TextExample]:
    """All rows of a file, in its order: those held out are put back."""
    splits = split(path, **options)
    return sorted([*splits.train.examples, *splits.validation.examples], key=lambda example: example.place.number)


def csv_text(rows: list[tuple[str, Any]], header: str = "text,label\n") -> str:
    return header + "".join(f"{text},{label}\n" for text, label in rows)


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


RECORDS = [{"text": text, "label": label} for text, label in ROWS]
KINDS: dict[str, Callable[[Path], object]] = {
    "a.csv": lambda path: path.write_text(csv_text(ROWS)),
    "semicolon.csv": lambda path: path.write_text(csv_text(ROWS).replace(",", ";")),
    "tabs.csv": lambda path: path.write_text(csv_text(ROWS).replace(",", "\t")),
    "bom.csv": lambda path: path.write_text("\ufeff" + csv_text(ROWS)),
    "windows.csv": lambda path: path.write_bytes(csv_text(ROWS).replace("\n", "\r\n").encode()),
    "blank-lines.csv": lambda path: path.write_text(csv_text(ROWS).replace("\n", "\n\n")),
    "quoted.csv": lambda path: path.write_text("text,label\n" + "".join(f'"{text}","{label}"\n' for text, label in ROWS)),
    "no-header.csv": lambda path: path.write_text(csv_text(ROWS, header="")),
    "a.tsv": lambda path: path.write_text(csv_text(ROWS).replace(",", "\t")),
    "a.jsonl": lambda path: path.write_text(jsonl(RECORDS)),
    "array.json": lambda path: path.write_text(json.dumps(RECORDS, indent=2)),
    "lines.json": lambda path: path.write_text(jsonl(RECORDS)),
    "data.json": lambda path: path.write_text(json.dumps({"data": RECORDS})),
    "a.parquet": lambda path: pq.write_table(pa.Table.from_pylist(RECORDS), path),
    "a.csv.gz": lambda path: path.write_bytes(gzip.compress(csv_text(ROWS).encode())),
    "a.tsv.bz2": lambda path: path.write_bytes(bz2.compress(csv_text(ROWS).replace(",", "\t").encode())),
    "a.jsonl.xz": lambda path: path.write_bytes(lzma.compress(jsonl(RECORDS).encode())),
    "a.json.zst": lambda path: path.write_bytes(zstandard.compress(json.dumps(RECORDS).encode())),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    KINDS[name](tmp_path / name)
    splits = split(tmp_path / name)
    assert (splits.train.task, splits.train.labels) == ("classify", ("bad", "good"))
    assert [(example.text, example.label) for example in whole(tmp_path / name)] == ROWS


def test_a_saved_data_set_names_its_classes_and_splits(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["good", "bad", "so so"])})
    data = {"text": [text for text, _ in ROWS], "label": [("good", "bad").index(label) for _, label in ROWS]}
    whole_set = datasets.Dataset.from_dict(data, features=features)
    datasets.DatasetDict({"train": whole_set, "validation": whole_set.select(range(4)), "test": whole_set.select(range(6))}).save_to_disk(str(tmp_path / "set"))
    splits = split(tmp_path / "set")
    assert splits.train.labels == ("good", "bad", "so so")
    assert [(example.text, example.label) for example in splits.train.examples] == ROWS
    assert (len(splits.validation.examples), len(splits.test.examples if splits.test else ())) == (4, 6)
    assert any("set@validation, found with the training data" in line for line in splits.said)


def test_place_is_the_line_that_a_row_begins_on(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"two\nlines",x\none,y\n\n"three\n\nlines",x\nlast,y\n')
    assert [(str(example.place).removeprefix(str(tmp_path)), example.text) for example in whole(tmp_path / "a.csv")] == [
        ("/a.csv, line 2", "two\nlines"),
        ("/a.csv, line 4", "one"),
        ("/a.csv, line 6", "three\n\nlines"),
        ("/a.csv, line 9", "last"),
    ]


def test_quotes_are_literal_in_tsv(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('text\tlabel\n"open\t1\nclosed"\t0\n5" wide\t1\n""\t0\n')
    assert [example.text for example in whole(tmp_path / "a.tsv")] == ['"open', 'closed"', '5" wide', '""']


def test_characters_that_a_tokenizer_drops_stay_in_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nsoft\u00adhyphen,1\nzero\u200bwidth,0\nbell\x07,1\nplain,0\n")
    assert [example.text for example in whole(tmp_path / "a.csv")] == ["soft\u00adhyphen", "zero\u200bwidth", "bell\x07", "plain"]


def test_a_text_of_100_000_words_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(csv_text([("word " * 100_000, "x"), ("short", "y"), ("brief", "x"), ("tiny", "y")]))
    assert max(len(example.text.split()) for example in whole(tmp_path / "a.csv")) == 100_000


COLUMNS = {
    "text and label": ("text,label", {"text": "text", "label": "label"}),
    "sentence1, sentence2, label": ("idx,sentence1,sentence2,label", {"text": "sentence1", "pair": "sentence2", "label": "label"}),
    "question1, question2, is_duplicate": (
        "id,qid1,qid2,question1,question2,is_duplicate",
        {"text": "question1", "pair": "question2", "label": "is_duplicate"},
    ),
    "premise, hypothesis": ("premise,hypothesis,gold_label", {"text": "premise", "pair": "hypothesis", "label": "gold_label"}),
    "review, sentiment": ("review,sentiment", {"text": "review", "label": "sentiment"}),
    "Tweet, Class": ("Tweet,Class", {"text": "Tweet", "label": "Class"}),
    "text, target": ("id,keyword,text,target", {"text": "text", "label": "target"}),
    "QNLI": ("index,question,sentence,label", {"text": "question", "pair": "sentence", "label": "label"}),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_usual_columns_are_found(tmp_path: Path, case: str) -> None:
    header, roles = COLUMNS[case]
    names = header.split(",")
    rows = [",".join(str(number % 2) if name == roles["label"] else f"{name} words {number}" for name in names) for number in range(12)]
    (tmp_path / "a.csv").write_text("\n".join([header, *rows]) + "\n")
    assert split(tmp_path / "a.csv").train.columns == roles


def test_columns_are_named_by_the_user(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,other,first,second\n" + "".join(f"t{n} x,{n % 3},a{n} x,b{n} x\n" for n in range(12)))
    splits = split(tmp_path / "a.csv", text_column="first", pair_column="second", label_column="other")
    assert (splits.train.examples[0].text[0], splits.train.examples[0].pair[0], splits.train.labels) == ("a", "b", ("0", "1", "2"))
    assert any("not used: text" in line for line in splits.said)


def test_columns_without_names_are_told_by_what_stands_in_them(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("".join(f"u{n}\tthe {n} first words\tthe {n} second words\t{n % 2}\n" for n in range(12)))
    splits = split(tmp_path / "a.tsv")
    assert splits.train.columns == {"label": "3", "text": "1", "pair": "2"}
    assert any("no header line" in line for line in splits.said)
    assert any("columns told by what stands in them: text = 1, pair = 2, label = 3" in line for line in splits.said)


@pytest.mark.parametrize(
    ("text", "options", "rows"),
    [
        ("a b,1\nc d,0\ne f,1\ng h,0\n", {}, 4),  # no header: the first line has a number as all below it
        ("words,kind\na b,1\nc d,0\ne f,1\ng h,0\n", {}, 4),  # a word above numbers
        ("words,kind\na b,x\nc d,y\ne f,x\ng h,y\ni j,x\nk l,y\n", {}, 6),  # a word that is none of the few below it
        ("a b,x\nc d,y\ne f,x\ng h,y\ni j,x\nk l,y\n", {}, 6),
        ("text,label\na b,label\nc d,text\ne f,label\ng h,text\n", {}, 4),
        ("a b,1\nc d,0\ne f,1\ng h,0\n", {"header": True, "text_column": "0", "label_column": "1"}, 3),
        ("text,label\na b,1\nc d,0\ne f,1\ng h,label\n", {"header": False, "text_column": "0", "label_column": "1"}, None),
    ],
)
def test_a_header_line_is_told_from_rows(tmp_path: Path, text: str, options: dict[str, Any], rows: int | None) -> None:
    (tmp_path / "a.csv").write_text(text)
    if rows is None:
        with pytest.raises(InputError, match=r"labels are words \('label', line 1\) and numbers"):
            split(tmp_path / "a.csv", **options)
    else:
        assert len(whole(tmp_path / "a.csv", **options)) == rows


LABELS: dict[str, tuple[list[Any], dict[str, Any], tuple[str, ...], list[Any]]] = {
    "numbers ascend by value": ([10, 9, 2, 10], {}, ("2", "9", "10"), ["10", "9", "2", "10"]),
    "words are sorted": (["b", "c", "a", "b"], {}, ("a", "b", "c"), ["b", "c", "a", "b"]),
    "1, 1.0 and '1' are one label": ([1, 1.0, "1", 0], {}, ("0", "1"), ["1", "1", "1", "0"]),
    "true and false": ([True, False, True, False], {}, ("false", "true"), ["true", "false", "true", "false"]),
    "names for numbers from 0": ([0, 2, 1, 0], {"label_names": "sad, happy,angry"}, ("sad", "happy", "angry"), ["sad", "angry", "happy", "sad"]),
    "names for other numbers": ([-1, 1, -1, 1], {"label_names": "no,yes"}, ("no", "yes"), ["no", "yes", "no", "yes"]),
    "names order words": (["b", "a", "b", "a"], {"label_names": "b,a"}, ("b", "a"), ["b", "a", "b", "a"]),
    "a name without rows": ([0, 1, 0, 1], {"label_names": "x,y,z"}, ("x", "y", "z"), ["x", "y", "x", "y"]),
    "lists of labels": ([["a", "b"], ["b"], [], ["c", "c"]], {}, ("a", "b", "c"), [("a", "b"), ("b",), (), ("c",)]),
    "labels with a separator": (["a|b", "b", "", "c | a"], {"several_labels": "|"}, ("a", "b", "c"), [("a", "b"), ("b",), (), ("c", "a")]),
    "lists of 0 and 1": ([[1, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 1]], {}, ("0", "1", "2"), [("0", "2"), (), ("1",), ("2",)]),
    "named lists of 0 and 1": ([[1, 0], [0, 0], [1, 1], [0, 1]], {"label_names": "p,q"}, ("p", "q"), [("p",), (), ("p", "q"), ("q",)]),
    "lists of the labels 0 and 1": ([[0], [0, 1], [1], []], {}, ("0", "1"), [("0",), ("0", "1"), ("1",), ()]),
    "spaces around words": ([" a", "b ", "a", "b"], {}, ("a", "b"), ["a", "b", "a", "b"]),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_are_named_and_ordered(tmp_path: Path, case: str) -> None:
    values, options, names, expected = LABELS[case]
    (tmp_path / "a.jsonl").write_text(jsonl([{"text": f"words {number}", "label": value} for number, value in enumerate(values * 2)]))
    assert split(tmp_path / "a.jsonl", **options).train.labels == names
    assert [example.label for example in whole(tmp_path / "a.jsonl", **options)] == expected * 2


TASKS: dict[str, tuple[list[Any], str, str]] = {
    "fractions are numbers": ([0.5, 1.0, 2.5, 0.1] * 3, "regress", "numbers with a fraction"),
    "whole numbers are classes": ([0, 1, 2, 1] * 3, "classify", "3 different whole numbers"),
    "1.0 and 0.0 are classes": ([1.0, 0.0] * 6, "classify", "2 different whole numbers"),
    "many whole numbers are numbers": (list(range(60)), "regress", "60 different numbers"),
    "words are classes": (["x", "y"] * 6, "classify", "2 different words"),
    "lists are classes": ([["x"], ["y"]] * 6, "classify", "lists of labels"),
}


@pytest.mark.parametrize("case", TASKS)
def test_the_task_is_guessed_and_said(tmp_path: Path, case: str) -> None:
    values, task, reason = TASKS[case]
    (tmp_path / "a.jsonl").write_text(jsonl([{"text": f"words {number}", "label": value} for number, value in enumerate(values)]))
    splits = split(tmp_path / "a.jsonl")
    assert splits.train.task == task
    assert any(line.startswith(f"task: {task}, since") and reason in line for line in splits.said)
    assert not any(line.startswith("task:") for line in split(tmp_path / "a.jsonl", task=task).said)


def test_numbers_are_read_as_such_where_the_task_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(csv_text([(f"words {number}", number % 3) for number in range(9)]))
    assert [example.label for example in whole(tmp_path / "a.csv", task="regress")] == [0.0, 1.0, 2.0] * 3
    assert split(tmp_path / "a.csv", task="regress").train.labels == ()


def test_a_column_for_each_of_several_labels(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,comment_text,toxic,insult\n" + "".join(f"{n},words {n},{n % 2},{int(n % 3 == 0)}\n" for n in range(12)))
    splits = split(tmp_path / "a.csv", label_column="toxic,insult")
    assert (splits.train.task, splits.train.labels, splits.train.several) == ("classify", ("insult", "toxic"), True)
    assert [example.label for example in whole(tmp_path / "a.csv", label_column="toxic,insult")][:4] == [("insult",), ("toxic",), (), ("toxic", "insult")]
    assert any("not used: id" in line and "toxic" not in line.partition("not used")[2] for line in splits.said)
    (tmp_path / "a.csv").write_text("text,toxic,insult,threat\n" + "".join(f"words {n},{n % 2},{int(n % 3 == 0)},0\n" for n in range(12)))
    never = "WARNING: labels: no row has threat, so it is no label of this model"
    assert never in split(tmp_path / "a.csv", label_column="toxic,insult,threat").said
    assert not any("WARNING" in line for line in splits.said)
    (tmp_path / "a.csv").write_text("text,toxic,insult\na,1,0\nb,2,0\n")
    with pytest.raises(InputError, match=r"line 3: column 'toxic' holds '2', and a label of several is 0 or 1"):
        split(tmp_path / "a.csv", label_column="toxic,insult")
    with pytest.raises(InputError, match=r"no column 'rude', found text, toxic, insult"):
        split(tmp_path / "a.csv", label_column="toxic,rude")


def test_columns_without_a_name_are_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",text,label,,\n" + "".join(f"{n},words {n},{n % 2},,\n" for n in range(8)))
    assert len(whole(tmp_path / "a.csv")) == 8


def test_quotes_that_a_program_wrote_into_a_tsv_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('text\tlabel\n"a ""quoted"" word"\t1\nplain\t0\nplain too\t1\nlast\t0\n')
    assert any("quotes are part of the text in .tsv" in line for line in split(tmp_path / "a.tsv").said)


class Streamed(dict[str, Any]):
    """What `datasets.load_dataset` gives for a data set with splits."""


def test_a_data_set_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})

    def part(count: int, *, labelled: bool = True) -> Any:
        rows = [{"text": f"words {n}", "label": n % 2 if labelled else -1} for n in range(count)]
        return datasets.Dataset.from_list(rows, features=features).to_iterable_dataset()

    asked = []

    def load(name: str, config: str | None, *, split: str | None, streaming: bool) -> Any:
        asked.append((name, config, split))
        found = Streamed(train=part(20), validation=part(6), test=part(4, labelled=False))
        return found if split is None else found[split]

    monkeypatch.setattr(datasets, "load_dataset", load)
    splits = read_splits("someone/reviews:small", DataConfig())
    assert (splits.train.labels, len(splits.train.examples), len(splits.validation.examples), splits.test) == (("neg", "pos"), 20, 6, None)
    assert any("test: someone/reviews:small@test has no labels" in line for line in splits.said)
    assert set(asked) == {("someone/reviews", "small", split) for split in (None, "train", "validation", "test")}

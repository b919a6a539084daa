"""Bad labelled data, one table: each is refused in a line that names file, place and mend, or left out and counted where the user says so."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.reading import read_labelled, read_splits
from bertwright.errors import InputError

GOOD = "text,label\na b,x\nc d,y\ne f,x\ng h,y\n"


def jsonl(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


REFUSED: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "empty CSV": ("a.csv", "", {}, r"a\.csv: no rows in it"),
    "only a header": ("a.csv", "text,label\n", {}, r"a\.csv: no rows in it"),
    "empty JSON lines": ("a.jsonl", "\n\n", {}, r"a\.jsonl: no rows in it"),
    "empty JSON": ("a.json", "[]", {}, r"a\.json: no rows in it"),
    "empty text": ("a.txt", "", {}, r"a\.txt: is no table"),
    "prose": ("a.txt", "It was the best of times.\nIt was the worst of times, too.\n", {}, r"a\.txt: is no table, nor words and tags in columns"),
    "missing text": ("a.csv", "id,label\n1,x\n2,y\n", {}, r"a\.csv: no column for the text, found id, label: pass --text_column"),
    "missing label": ("a.csv", "text,when\na b,\nc d,\n", {}, r"a\.csv: no column for the label, found text, when: pass --label_column"),
    "missing text named": ("a.csv", GOOD, {"text_column": "body"}, r"a\.csv: no column 'body', found text, label: pass --text_column"),
    "missing label named": ("a.csv", GOOD, {"label_column": "kind"}, r"a\.csv: no column 'kind', found text, label: pass --label_column"),
    "missing words": ("a.csv", GOOD, {"task": "tag"}, r"no column for the words \(tokens\), found text, label"),
    "missing context": ("a.csv", "question,answers\na b,c\n", {"task": "answer"}, r"no column for the context, found question, answers: pass --pair_column"),
    "missing choices": ("a.csv", GOOD, {"task": "choice"}, r"no column for the choices .*, found text, label: rename the column"),
    "missing target": ("a.csv", "source,label\na b,x\n", {"task": "generate"}, r"no column for the target, found source, label"),
    "one class": ("a.csv", GOOD.replace("y", "x"), {}, r"a\.csv: every row has the label 'x', and a classifier learns from two or more"),
    "no label at all": ("a.jsonl", jsonl(*({"text": text, "labels": []} for text in "abc")), {}, r"a\.jsonl: no row has a label: there is nothing to learn"),
    "no label of those named": ("a.csv", "text,label\na b,\nc d,\n", {"several_labels": ";", "label_names": "x,y"}, r"a\.csv: no row has a label"),
    "one number": ("a.csv", "text,score\na b,1.5\nc d,1.5\n", {}, r"column 'score' holds 1\.5 in every row"),
    "rows without a text": ("a.csv", GOOD + ",x\n  ,y\n", {}, r"a\.csv: 2 rows without a text \(lines 6 and 7\): mend them, or pass --drop_bad_rows"),
    "row without a label": ("a.csv", GOOD + "i j,\n", {}, r"a\.csv: 1 row without a label \(line 6\): mend them, or pass --drop_bad_rows"),
    "null label": ("a.jsonl", jsonl({"text": "a", "label": "x"}, {"text": "b", "label": None}, {"text": "c"}), {}, r"2 rows without a label \(lines 2 and 3\)"),
    "more cells": ("a.csv", GOOD + "i, j,x\n", {}, r"a\.csv: 1 row with 3 cells in place of 2 \(line 6\): quote cells that hold the separator"),
    "fewer cells": ("a.tsv", GOOD.replace(",", "\t") + "i\n", {}, r"a\.tsv: 1 row with 1 cell in place of 2 \(line 6\)"),
    "words among numbers": ("a.csv", "text,label\na b,1\nc d,0\ne f,one\n", {}, r"labels are words \('one', line 4\) and numbers \('1', line 2\)"),
    "a number for a text": (
        "a.jsonl",
        jsonl({"text": "a", "label": 1}, {"text": 7, "label": 0}),
        {},
        r"a\.jsonl, line 2: column 'text' holds a int \(7\), not text",
    ),
    "a record for a label": ("a.jsonl", jsonl({"text": "a", "label": {"x": 1}}), {}, r"a\.jsonl, line 1: column 'label' holds a record"),
    "a word for a number": ("a.csv", GOOD, {"task": "regress"}, r"a\.csv, line 2: column 'label' holds 'x', not a number, nor do 3 rows after it"),
    "no record": ("a.jsonl", '"a text"\n', {}, r"a\.jsonl, line 1: is a str \(a text\), not a record"),
    "broken JSON": ("a.jsonl", jsonl({"text": "a", "label": 1}) + "{\n", {}, r"a\.jsonl, line 2: is not JSON"),
    "open quote": ("a.csv", GOOD + '"never closed,x\n', {}, r"a\.csv: damaged row"),
    "invalid UTF-8": ("a.csv", GOOD + "\udcff\n", {}, r"a\.csv: byte \d+ \(0xff\) is not UTF-8: save it as UTF-8$"),
    "half a character": (
        "a.jsonl",
        '{"text": "\\ud83d bad", "label": 1}\n',
        {},
        r"a\.jsonl, line 1: \\ud83d is half a character \(a lone surrogate\): mend it$",
    ),
    "two columns of one name": ("a.csv", "text,text,label\na,b,x\nc,d,y\n", {}, r"several columns are named 'text'"),
    "texts for labels": (
        "a.csv",
        "text,label\n" + "".join(f"a {n},words {n}\n" for n in range(40)),
        {},
        r"column 'label' holds 40 different values in 40 rows, which look like no labels",
    ),
    "a name too few": ("a.csv", "text,label\na,1\nb,2\nc,3\n", {"label_names": "x,y"}, r"the labels are 1, 2, 3, and --label_names gives 2 names"),
    "a name that is none": ("a.csv", GOOD, {"label_names": "x,z"}, r"labels 'y' are not among --label_names x,z"),
    "all rows left out": ("a.csv", "text,label\n,x\n,y\n", {"drop_bad_rows": True}, r"a\.csv: no row is left to read"),
    "unknown GLUE task": ("a.csv", GOOD, {"glue": "sst3"}, r"glue is 'sst3': take one of cola, sst2"),
    "too few rows to hold out": ("a.csv", "text,label\na,x\nb,y\n", {}, r"none of which can be held out for validation"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_lines_that_name_file_and_mend(tmp_path: Path, case: str) -> None:
    name, content, options, message = REFUSED[case]
    (tmp_path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message) as caught:
        read_splits(str(tmp_path / name), DataConfig(**options))
    assert all("\n" not in problem for problem in caught.value.problems)


def test_all_that_is_wrong_with_a_file_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD + ",x\ni j,\nk,l,m\n")
    with pytest.raises(InputError) as caught:
        read_splits(str(tmp_path / "a.csv"), DataConfig())
    assert len(caught.value.problems) == 3
    with pytest.raises(InputError) as caught:
        read_splits(str(tmp_path / "a.csv"), DataConfig(text_column="body", label_column="kind"))
    assert len(caught.value.problems) == 2


def test_bad_rows_are_left_out_and_counted_where_the_user_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD + ",x\n ,y\ni j,\nk,l,m\n")
    splits = read_splits(str(tmp_path / "a.csv"), DataConfig(drop_bad_rows=True))
    assert splits.train.left_out == {"without a text": 2, "without a label": 1, "with 3 cells in place of 2": 1}
    assert len(splits.train.examples) + len(splits.validation.examples) == 4
    assert any(line.endswith("2 rows without a text left out") for line in splits.said)


def test_many_bad_rows_are_named_by_the_first(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD + "w,\n" * 1000)
    with pytest.raises(InputError, match=r"1,000 rows without a label \(lines 6, 7, 8, 9, 10, 11, 12, 13 and 992 more\)"):
        read_splits(str(tmp_path / "a.csv"), DataConfig())


def test_empty_parquet_and_a_column_that_is_no_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.int64())}), tmp_path / "empty.parquet")
    with pytest.raises(InputError, match=r"empty\.parquet: no rows in it"):
        read_splits(str(tmp_path / "empty.parquet"), DataConfig())
    pq.write_table(pa.table({"text": [1, 2, 3, 4], "label": [0, 1, 0, 1]}), tmp_path / "numbers.parquet")
    with pytest.raises(InputError, match=r"numbers\.parquet, row 1: column 'text' holds a int \(1\), not text"):
        read_splits(str(tmp_path / "numbers.parquet"), DataConfig())


def test_rows_that_repeat_an_id_are_kept_and_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text,label\n1,a b,x\n2,c d,y\n1,e f,x\n3,g h,y\n")
    splits = read_splits(str(tmp_path / "a.csv"), DataConfig())
    assert len(splits.train.examples) + len(splits.validation.examples) == 4
    assert any("1 row with the id of an earlier row (line 4): all are kept" in line for line in splits.said)


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_label_that_training_never_saw_is_named(tmp_path: Path, part: str) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    (tmp_path / "b.csv").write_text("text,label\na b,x\nc d,z\ne f,w\ng h,z\n")
    with pytest.raises(InputError) as caught:
        read_splits(str(tmp_path / "a.csv"), DataConfig(**{part: str(tmp_path / "b.csv")}))
    assert caught.value.problems == (
        f"{tmp_path}/b.csv: label 'z' (2 rows: lines 3 and 5) was never seen in training, which had x, y: "
        f"add rows of it to {tmp_path}/a.csv, or take these out",
        f"{tmp_path}/b.csv: label 'w' (1 row: line 4) was never seen in training, which had x, y: add rows of it to {tmp_path}/a.csv, or take these out",
    )


def test_a_later_file_must_have_the_columns_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    (tmp_path / "b.csv").write_text("id,label\n1,x\n2,y\n")
    with pytest.raises(InputError, match=r"b\.csv: no column for the text, found id, label"):
        read_splits(str(tmp_path / "a.csv"), DataConfig(validation=str(tmp_path / "b.csv")))


def test_a_later_file_may_have_no_label_of_several(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"a {n},{'xy'[n % 2]}\n" for n in range(12)))
    (tmp_path / "later.csv").write_text("text,label\nb,\nc,\n")
    config = DataConfig(several_labels=";", label_names="y,x", validation=str(tmp_path / "later.csv"))
    assert [example.label for example in read_splits(str(tmp_path / "a.csv"), config).validation.examples] == [(), ()]


def test_a_config_that_cannot_stand_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    with pytest.raises(InputError, match="several_labels is empty: give the character"):
        read_labelled(str(tmp_path / "a.csv"), task="classify", config=DataConfig(several_labels=""))


def test_a_label_that_the_model_does_not_know_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("text,label\na b,x\nc d,z\n")
    with pytest.raises(InputError, match=r"label 'z' \(1 row: line 3\) was never seen in training, which had x, y"):
        read_labelled(str(tmp_path / "b.csv"), task="classify", config=DataConfig(), labels=("x", "y"))

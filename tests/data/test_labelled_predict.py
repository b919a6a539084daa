"""Rows to predict: read one by one, with the rows that they come from; labels are not needed and not looked at."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from bertwright.data.labelled import table
from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.examples import ChoiceExample, EmbedExample, QuestionExample, TagExample, TextExample, WriteExample
from bertwright.data.labelled.unlabelled import read_to_predict
from bertwright.errors import InputError

CASES: dict[str, tuple[str, str, Any]] = {
    "texts": ("classify", '{"text": "a b", "label": "x"}', TextExample(text="a b")),
    "texts alone": ("classify", '{"text": "a b"}', TextExample(text="a b")),
    "pairs": ("regress", '{"sentence1": "a", "sentence2": "b"}', TextExample(text="a", pair="b")),
    "words": ("tag", '{"tokens": ["a", "b"], "ner_tags": ["O", "Q-strange"]}', TagExample(words=("a", "b"))),
    "words in a cell": ("tag", "{\"tokens\": \"['a', 'b']\"}", TagExample(words=("a", "b"))),
    "a text to tag": ("tag", '{"text": "a b."}', TagExample(words=(), text="a b.")),
    "a question": ("answer", '{"id": "7", "question": "q", "context": "c"}', QuestionExample(id="7", question="q", context="c")),
    "a question with a wrong answer": ("answer", '{"question": "q", "context": "c", "answers": ["z"]}', QuestionExample(id="1", question="q", context="c")),
    "choices": ("choice", '{"text": "t", "choices": ["a", "b"]}', ChoiceExample(text="t", choices=("a", "b"))),
    "one text to embed": ("embed", '{"text": "t"}', EmbedExample(texts=("t",))),
    "two texts to embed": ("embed", '{"anchor": "t", "positive": "u"}', EmbedExample(texts=("t", "u"))),
    "a source": ("generate", '{"source": "s"}', WriteExample(source="s")),
    "a source with its target": ("generate", '{"document": "s", "summary": "t"}', WriteExample(source="s")),
}


@pytest.mark.parametrize("case", CASES)
def test_each_task_reads_rows_without_labels(tmp_path: Path, case: str) -> None:
    task, row, expected = CASES[case]
    (tmp_path / "a.jsonl").write_text(row + "\n")
    ((cells, example),) = read_to_predict(str(tmp_path / "a.jsonl"), task=task, config=DataConfig()).rows
    assert cells == json.loads(row)
    assert {name: getattr(example, name) for name in expected.__slots__ if name != "place"} == {
        name: getattr(expected, name) for name in expected.__slots__ if name != "place"
    }
    assert example.place.number == 1


def test_rows_are_read_as_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    def counted(*arguments: Any, **options: Any) -> Iterator[Any]:
        nonlocal read
        for row in original(*arguments, **options):
            read += 1
            yield row

    original = table.json_rows
    monkeypatch.setattr(table, "json_rows", counted)
    (tmp_path / "a.jsonl").write_text('{"text": "some words"}\n' * 20_000)
    assert len(list(islice(read_to_predict(str(tmp_path / "a.jsonl"), task="classify", config=DataConfig()).rows, 10))) == 10
    assert read <= 2_000


def test_lines_of_a_text_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("First line.\n\n  \nLast line, of more words.\n")
    found = read_to_predict(str(tmp_path / "a.txt"), task="classify", config=DataConfig())
    assert [(example.text, example.place.number) for _, example in found.rows] == [("First line.", 1), ("Last line, of more words.", 4)]
    assert found.left_out == {"that are blank": 2}


def test_a_blank_text_is_refused_with_its_line_or_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\n1,a b\n2,\n3,c d\n")
    found = read_to_predict(str(tmp_path / "a.csv"), task="classify", config=DataConfig()).rows
    assert next(found)[0] == {"id": "1", "text": "a b"}
    with pytest.raises(InputError, match=r"a\.csv: 1 row without a text \(line 3\)"):
        next(found)
    dropped = read_to_predict(str(tmp_path / "a.csv"), task="classify", config=DataConfig(drop_bad_rows=True))
    assert [row["id"] for row, _ in dropped.rows] == ["1", "3"]
    assert dropped.left_out == {"without a text": 1}


def test_missing_columns_are_said_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,size\n1,2\n")
    with pytest.raises(InputError, match=r"no column for the text, found id, size"):
        read_to_predict(str(tmp_path / "a.csv"), task="classify", config=DataConfig())


def test_a_single_column_without_a_known_name_is_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("remark\nso good\nso bad\n")
    assert [example.text for _, example in read_to_predict(str(tmp_path / "a.csv"), task="classify", config=DataConfig()).rows][-2:] == ["so good", "so bad"]


def test_rows_keep_all_of_their_cells(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,text,more\n1,"a, b",\n2,c,x\n')
    found = read_to_predict(str(tmp_path / "a.csv"), task="classify", config=DataConfig())
    assert found.columns == ("id", "text", "more")
    assert [row for row, _ in found.rows] == [{"id": "1", "text": "a, b", "more": ""}, {"id": "2", "text": "c", "more": "x"}]
    (tmp_path / "a.csv").write_text("id,text\n1,a,b\n2,c\n")
    with pytest.raises(InputError, match=r"a\.csv: 1 row with 3 cells in place of 2 \(line 2\)"):
        list(read_to_predict(str(tmp_path / "a.csv"), task="classify", config=DataConfig()).rows)

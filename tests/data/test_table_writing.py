"""Tables are written in every format, read back as they were, and are whole or say that they are not."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bertwright.data.table_writing import TableWriter
from bertwright.errors import InputError

ROWS = [
    {"text": 'a "quoted", text', "n": 1, "p": 0.1234567890123, "tags": ["B-X", "O"], "none": None},
    {"text": "北京\u2028", "n": 2, "p": 1e-9, "tags": [], "none": None},
]


def write(path: Path, *parts: list[dict[str, object]]) -> Path:
    with TableWriter(path) as writer:
        for rows in parts:
            writer.write(rows)
    return path


def test_csv_keeps_every_cell(tmp_path: Path) -> None:
    with write(tmp_path / "new" / "a.csv", ROWS[:1], [], ROWS[1:]).open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [row["text"] for row in found] == [row["text"] for row in ROWS]
    assert [float(row["p"]) for row in found] == [row["p"] for row in ROWS]
    assert json.loads(found[0]["tags"]) == ["B-X", "O"]
    assert found[0]["none"] == ""
    assert list(tmp_path.joinpath("new").iterdir()) == [tmp_path / "new" / "a.csv"]


def test_tsv_leaves_quotes_alone_and_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    assert write(tmp_path / "a.tsv", [{"text": 'say "a"', "n": 1}]).read_text(encoding="utf-8") == 'text\tn\nsay "a"\t1\n'
    with pytest.raises(InputError, match=r"b.tsv: the cell 'a\\tb' has a tab"):
        write(tmp_path / "b.tsv", [{"text": "a\tb"}])
    assert not (tmp_path / "b.tsv").exists()


def test_json_lines_and_parquet_keep_types(tmp_path: Path) -> None:
    lines = write(tmp_path / "a.jsonl", ROWS).read_text(encoding="utf-8").split("\n")
    assert [json.loads(line) for line in lines[:-1]] == ROWS
    later = [{**ROWS[0], "none": "here"}]
    assert pq.read_table(write(tmp_path / "a.parquet", ROWS, later)).to_pylist() == [*ROWS, *later]


def test_columns_that_do_not_fit_are_said(tmp_path: Path) -> None:
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    with pytest.raises(InputError, match="'b' is not in the first row"):
        write(tmp_path / "a.csv", [{"a": 1}], [{"a": 1, "b": 2}])
    with pytest.raises(InputError, match="columns of one type each"):
        write(tmp_path / "a.parquet", [{"a": 1}], [{"a": "x"}])
    with pytest.raises(InputError, match=r"take one of .csv, .tsv, .jsonl, .parquet"):
        TableWriter(tmp_path / "a.xlsx")
    with pytest.raises(InputError, match="is a folder"):
        write(folder, [])


def interrupted(writer: TableWriter) -> None:
    with writer:
        writer.write([{"text": "one"}])
        raise KeyboardInterrupt


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_what_a_signal_leaves_says_that_it_is_a_part(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_text("before", encoding="utf-8")
    writer = TableWriter(path)
    with pytest.raises(KeyboardInterrupt):
        interrupted(writer)
    assert path.read_text(encoding="utf-8") == "before"
    assert writer.partial == tmp_path / f"a.partial.{ending}"
    assert set(tmp_path.iterdir()) == {path, writer.partial}
    if ending == "parquet":
        assert pq.read_table(writer.partial).to_pylist() == [{"text": "one"}]
    else:
        assert "one" in writer.partial.read_text(encoding="utf-8")


def test_nothing_is_left_where_nothing_was_written(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), TableWriter(tmp_path / "a.csv"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []

"""Every kind of input gives the same documents; the order of files is fixed; nothing depends on where chunks end."""

import bz2
import gzip
import io
import json
import lzma
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bertwright.data import readers, tables
from bertwright.data.cleaning import Tally, clean
from bertwright.data.documents import Reading, read_documents
from bertwright.data.sources import find_sources
from bertwright.errors import InputError

ROWS = ["First text. It has two sentences.", 'Second, with "quotes", a tab\tand\na line break.', "第三个文本。很短。"]
COMPRESS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard.compress}


def parquet(texts: list[str]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": texts, "id": list(range(len(texts)))}), sink)
    return sink.getvalue()


FILES = {
    "rows.jsonl": "".join(json.dumps({"id": 1, "text": row}) + "\n" for row in ROWS).encode(),
    "texts.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n\n" for row in ROWS).encode(),
    "array.json": json.dumps([{"text": row} for row in ROWS], indent=2).encode(),
    "texts.json": json.dumps(ROWS).encode(),
    "concatenated.json": "".join(json.dumps({"text": row}) for row in ROWS).encode(),
    "rows.csv": ("id,text\n" + "".join('1,"' + row.replace('"', '""') + '"\n' for row in ROWS)).encode(),
    "rows.parquet": parquet(ROWS),
}


def texts(path: Path, **options: str) -> list[str]:
    (source,) = find_sources([str(path)], spool=path.parent).files
    return list(tables.row_texts(source, Tally(), column=options.get("column", "text"), errors="strict"))


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("chunk", [7, 1 << 18])
def test_tables_of_every_kind_and_compression_give_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, ending: str, chunk: int) -> None:
    monkeypatch.setattr(readers, "CHUNK", chunk)
    path = tmp_path / f"{name}{ending}"
    path.write_bytes(COMPRESS[ending](FILES[name]))
    assert texts(path) == ROWS


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.rst", "a.TXT"])
def test_text_of_every_compression_is_read(tmp_path: Path, name: str, ending: str) -> None:
    data = b"One here.\n\nTwo there."
    (tmp_path / f"{name}{ending}").write_bytes(COMPRESS[ending](data))
    (source,) = find_sources([str(tmp_path)], spool=tmp_path).files
    assert [document.sentences for document in read_documents(source, Reading("blank_line"), Tally())] == [("One here.",), ("Two there.",)]


def test_archives_of_several_parts_are_read_whole(tmp_path: Path) -> None:
    for ending in (".gz", ".bz2", ".xz", ".zst"):
        (tmp_path / f"a.txt{ending}").write_bytes(COMPRESS[ending](b"one\n") + COMPRESS[ending](b"two\n"))
        (source,) = find_sources([str(tmp_path / f"a.txt{ending}")], spool=tmp_path).files
        assert "".join(readers.text_chunks(source, Tally(), errors="strict")) == "one\ntwo\n"


def test_quotes_are_literal_in_tsv(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('\ufefflabel\ttext\n1\t"an open quote\n0\tnone\n', encoding="utf-8")
    assert texts(tmp_path / "a.tsv") == ['"an open quote', "none"]


def test_a_numbered_column_reads_a_file_without_header(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("x\t1\tfirst\ny\t0\tsecond\n")
    assert texts(tmp_path / "a.tsv", column="2") == ["first", "second"]


def test_the_limit_of_csv_fields_is_put_back(tmp_path: Path) -> None:
    import csv

    before = csv.field_size_limit()
    (tmp_path / "a.csv").write_text("text\n" + "x" * 200_000 + "\n")
    assert len(texts(tmp_path / "a.csv")[0]) == 200_000
    assert csv.field_size_limit() == before


def test_the_order_of_files_is_that_of_the_inputs_then_of_their_names(tmp_path: Path) -> None:
    for name in ("b/z.txt", "b/a.md", "b/.hidden.txt", "b/.git/x.txt", "b/c/d.rst", "b/picture.png", "a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = find_sources([str(tmp_path / "b"), str(tmp_path / "*.txt"), str(tmp_path / "b" / "z.txt")], spool=tmp_path)
    assert [source.path.relative_to(tmp_path).as_posix() for source in found.files] == ["b/a.md", "b/c/d.rst", "b/z.txt", "a.txt"]
    assert found.passed_over == 1


def test_shards_inside_the_folder_are_not_read_as_text(tmp_path: Path) -> None:
    for name in ("a.txt", "shards/shards.json", "shards/corpus.json", "shards/tokenizer/vocab.txt", "other.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [source.path.name for source in find_sources([str(tmp_path)], spool=tmp_path).files] == ["a.txt", "other.json"]


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("x")
    assert len(find_sources([str(tmp_path / "a[1].txt")], spool=tmp_path).files) == 1


def test_standard_input_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"piped text")))
    (source,) = find_sources(["-"], spool=tmp_path).files
    assert "".join(readers.text_chunks(source, Tally(), errors="strict")) == "piped text"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        find_sources([str(tmp_path / "no.txt"), str(tmp_path / "*.txt")], spool=tmp_path)
    assert [problem.rsplit(": ", 1)[1] for problem in caught.value.problems] == ["no such file or folder", "no file matches"]


@pytest.mark.parametrize("splits", [False, True])
def test_a_saved_data_set_is_read(tmp_path: Path, splits: bool) -> None:
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"text": ROWS, "label": [0, 1, 0]})
    (datasets.DatasetDict({"train": rows, "test": rows}) if splits else rows).save_to_disk(str(tmp_path / "saved"))
    assert texts(tmp_path / "saved") == ROWS
    with pytest.raises(InputError, match="no column 'body', found text, label"):
        texts(tmp_path / "saved", column="body")


@given(st.text(st.sampled_from("aé中😀\r\n \t\ufeff\x00"), max_size=40), st.integers(1, 9))
def test_chunks_of_any_size_give_the_same_text(text: str, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "byte_chunks", lambda source, tally: (data[i : i + chunk] for i in range(0, len(data), chunk)))
        data = text.encode()
        tally = Tally()
        found = "".join(readers.text_chunks(readers.Source("a", Path("a"), "text"), tally, errors="strict"))
        expected = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        assert found == clean(expected, Tally())
        assert list(readers.lines(iter([found]), Tally())) == found.split("\n")[: -1 if found.endswith("\n") or not found else None]


@given(st.binary(max_size=30), st.integers(1, 5), st.sampled_from(["replace", "skip"]))
def test_bytes_of_any_kind_are_read_as_python_reads_them(data: bytes, chunk: int, errors: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "byte_chunks", lambda source, tally: (data[i : i + chunk] for i in range(0, len(data), chunk)))
        found = "".join(readers.text_chunks(readers.Source("a", Path("a"), "text"), Tally(), errors=errors))
    expected = data.decode("utf-8", {"replace": "replace", "skip": "ignore"}[errors]).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    assert found == clean(expected, Tally())

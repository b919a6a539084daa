"""Bad files, one table: each is refused in one line that names the place, or read in the documented way, and never leaves a half-written folder."""

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

from bertwright.data import documents, readers, tables
from bertwright.data.prepare import PrepareConfig, prepare
from bertwright.data.report import CorpusReport
from bertwright.data.shards import TokenShards
from bertwright.errors import InputError

TEXT = "The quick brown fox jumps over the lazy dog. It does so often.\n\nA second document stands here. It has sentences too.\n\nAnd a third one.\n"


def run(folder: Path, *inputs: str, **options: Any) -> CorpusReport:
    return prepare(inputs or (str(folder / "in"),), out=folder / "out", config=PrepareConfig(**options))


def put(name: str, data: str | bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data) and None


def table(name: str, column: str, values: list[Any]) -> Callable[[Path], None]:
    return lambda folder: pq.write_table(pa.table({column: pa.array(values)}), folder / name)


def jsonl(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


GOOD_ROW = {"text": "A good row."}
REFUSED = {
    "empty file": (put("a.txt", ""), {}, r"a\.txt: no text in it"),
    "blank file": (put("a.txt", " \n\t\n\r\n\ufeff\u200b\n"), {}, r"a\.txt: no text in it"),
    "blank file and a given tokenizer": (put("a.txt", "\n\n"), {"tokenizer": True}, r"a\.txt: no text in it"),
    "blank validation file": (put("a.txt", TEXT), {"validation_files": ("blank.txt",)}, r"blank\.txt: no text in it"),
    "folder without text": (put("a.png", b"\x89PNG"), {}, r"no text in this folder \(1 other files\)"),
    "invalid UTF-8": (put("a.txt", b"good\nb\xffd\n"), {}, r"a\.txt: byte 6 \(0xff\) is not UTF-8.*--encoding_errors"),
    "invalid UTF-8 far in": (put("a.txt", b"word \n" * 100_000 + b"\xe4\xb8"), {}, r"a\.txt: byte 600000 \(0xe4\)"),
    "invalid UTF-8 in an archive": (put("a.txt.gz", gzip.compress(b"good\nb\xffd")), {}, r"a\.txt\.gz: byte 6 "),
    "Latin-1": (put("a.txt", "très".encode("latin-1")), {}, r"byte 2 \(0xe8\)"),
    "UTF-16": (put("a.txt", TEXT.encode("utf-16")), {}, r"a\.txt: is UTF-16 \(byte 0\).*iconv"),
    "lone surrogate": (put("a.jsonl", '{"text": "good"}\n{"text": "\\ud83d bad"}\n'), {}, r"a\.jsonl, line 2: \\ud83d is half a character"),
    "truncated gzip": (put("a.txt.gz", gzip.compress(TEXT.encode())[:-9]), {}, r"a\.txt\.gz: the gzip archive is damaged or cut off"),
    "truncated bzip2": (put("a.txt.bz2", bz2.compress(TEXT.encode())[:-9]), {}, r"a\.txt\.bz2: the bzip2 archive is damaged or cut off"),
    "truncated xz": (put("a.txt.xz", lzma.compress(TEXT.encode())[:-9]), {}, r"a\.txt\.xz: the xz archive is damaged or cut off"),
    "truncated zstd": (put("a.txt.zst", zstandard.compress(TEXT.encode() * 99)[:-9]), {}, r"a\.txt\.zst: the zstd archive is damaged or cut off"),
    "damaged gzip": (put("a.txt.gz", b"\x1f\x8b\x08\x00" + b"\xff" * 40), {}, r"a\.txt\.gz: the gzip archive is damaged or cut off"),
    "text named gzip": (put("a.txt.gz", TEXT), {}, r"a\.txt\.gz: its name says gzip, its content is not"),
    "gzip named text": (put("a.txt", gzip.compress(TEXT.encode())), {}, r"a\.txt: its name says text, its content is gzip"),
    "zstd named gzip": (put("a.txt.gz", zstandard.compress(TEXT.encode())), {}, r"a\.txt\.gz: its name says gzip, its content is zstd"),
    "PDF named text": (put("a.txt", b"%PDF-1.7 ..."), {}, r"a\.txt: its name says text, its content is PDF"),
    "truncated Parquet": (lambda folder: cut(folder, "a.parquet", 20), {}, r"a\.parquet: is not a whole Parquet file"),
    "missing column in CSV": (put("a.csv", "id,body\n1,hello\n"), {}, r"a\.csv: no column 'text', found id, body: pass --text_column"),
    "missing column in JSON lines": (put("a.jsonl", jsonl(GOOD_ROW, {"body": "x", "id": 1})), {}, r"a\.jsonl, line 2: no column 'text', found body, id"),
    "missing column in Parquet": (table("a.parquet", "body", ["x"]), {}, r"a\.parquet: no column 'text', found body"),
    "null in JSON lines": (put("a.jsonl", jsonl(GOOD_ROW, {"text": None})), {}, r"a\.jsonl, line 2: column 'text' holds nothing \(null\)"),
    "null in Parquet": (table("a.parquet", "text", ["x", None]), {}, r"a\.parquet, row 2: column 'text' holds nothing \(null\)"),
    "number in JSON": (put("a.json", json.dumps([GOOD_ROW, {"text": 3.5}])), {}, r"a\.json, row 2: column 'text' holds a float \(3\.5\)"),
    "list in JSON lines": (put("a.jsonl", jsonl({"text": ["a", "b"]})), {}, r"a\.jsonl, line 1: column 'text' holds a list"),
    "numbers in Parquet": (table("a.parquet", "text", [1, 2]), {}, r"a\.parquet: column 'text' holds int64, not text"),
    "short row in TSV": (put("a.tsv", "id\ttext\n1\tgood\n2\n"), {}, r"a\.tsv, row 2: has 1 cells"),
    "open quote in CSV": (put("a.csv", 'text\n"never closed\nmore\n'), {}, r"a\.csv: damaged row.*quote that is not closed"),
    "broken JSON line": (put("a.jsonl", jsonl(GOOD_ROW) + '{"text": \n'), {}, r"a\.jsonl, line 2: is not JSON"),
    "JSON nested without end": (put("a.jsonl", "[" * 100_000), {}, r"a\.jsonl, line 1: is not JSON"),
    "JSON file nested without end": (put("a.json", "[" * 100_000), {}, r"a\.json, row 1: is not JSON"),
    "cut JSON": (put("a.json", json.dumps([GOOD_ROW, GOOD_ROW])[:-8]), {}, r"a\.json, row 2: is not JSON or is cut off"),
    "text named JSON": (put("a.json", "plain words"), {}, r"a\.json, row 1: is not JSON"),
}


def cut(folder: Path, name: str, count: int) -> None:
    table(name, "text", ["some text"] * 10)(folder)
    (folder / name).write_bytes((folder / name).read_bytes()[:-count])


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line_that_names_the_place(tmp_path: Path, case: str) -> None:
    make, options, message = REFUSED[case]
    (tmp_path / "in").mkdir()
    (tmp_path / "blank.txt").write_text("\n")
    make(tmp_path / "in")
    if options.get("tokenizer"):
        run(tmp_path, str(_good(tmp_path)))
        (tmp_path / "out").rename(tmp_path / "shards")
        options = {"tokenizer": str(tmp_path / "shards")}
    if "validation_files" in options:
        options = {"validation_files": (str(tmp_path / "blank.txt"),)}
    with pytest.raises(InputError, match=message) as caught:
        run(tmp_path, **options)
    assert all("\n" not in problem for problem in caught.value.problems)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".out", "out"))]


def _good(folder: Path) -> Path:
    (folder / "good.txt").write_text(TEXT)
    return folder / "good.txt"


def test_all_missing_inputs_and_all_config_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        run(tmp_path, str(tmp_path / "nowhere.txt"), str(tmp_path / "*.md"), validation_fraction=2, vocab_size=0)
    assert len(caught.value.problems) == 4


READ = {
    "BOM": ("\ufeff" + TEXT).encode(),
    "CRLF": TEXT.replace("\n", "\r\n").encode(),
    "CR": TEXT.replace("\n", "\r").encode(),
    "NUL": TEXT.replace("fox", "f\0ox\0").encode(),
    "control characters": TEXT.replace("fox", "f\x1box\x7f\x9c").encode(),
    "vertical tab and form feed": TEXT.replace("fox jumps", "fox\x0cjumps").encode(),
    "zero-width characters": TEXT.replace("fox", "f\u200bo\ufeffx\u2060\u00ad").encode(),
    "no end of the last line": TEXT.rstrip().encode(),
}


@pytest.mark.parametrize("case", READ)
def test_read_with_the_ids_of_the_plain_text(tmp_path: Path, case: str) -> None:
    expected = _ids(tmp_path, "plain", TEXT.encode())
    assert expected
    assert _ids(tmp_path, "other", READ[case]) == expected


def _ids(folder: Path, name: str, data: bytes) -> list[int]:
    (folder / name).mkdir()
    (folder / name / "text.txt").write_bytes(data)
    prepare([str(folder / name)], out=folder / f"{name}-out", config=PrepareConfig(tokenizer_type="bpe"))
    shards = TokenShards.open(folder / f"{name}-out", verify=True)
    return [*shards.train.tokens.tolist(), -1, *shards.validation.tokens.tolist()]


def test_line_ends_split_between_two_chunks_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _ids(tmp_path, "plain", TEXT.encode())
    for size in (1, 2, 3, 5):
        monkeypatch.setattr(readers, "CHUNK", size)
        assert _ids(tmp_path, f"crlf-{size}", ("\ufeff" + TEXT).replace("\n", "\r\n").encode()) == expected


@pytest.mark.parametrize(("errors", "text"), [("replace", "b\ufffdd caf\ufffd é"), ("skip", "bd caf é")])
def test_invalid_bytes_are_counted_and_nothing_else_is_lost(tmp_path: Path, errors: str, text: str) -> None:
    data = b"b\xffd caf\xe9 \xc3\xa9"
    for size in (1, 4, 100):
        tally = readers.Tally()
        path = tmp_path / "a.txt"
        path.write_bytes(data)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(readers, "CHUNK", size)
            assert "".join(readers.text_chunks(readers.Source("a", path, "text"), tally, errors=errors)) == text
        assert tally.invalid_bytes == 2
    (tmp_path / "many.txt").write_bytes(TEXT.encode() + data)
    report = run(tmp_path, str(tmp_path / "many.txt"), encoding_errors=errors)
    assert report.text.invalid_bytes == 2
    assert any("UTF-8" in warning for warning in report.warnings)


@pytest.mark.parametrize(("errors", "text"), [("replace", "\ufffd bad \U0001f600"), ("skip", "bad \U0001f600")])
def test_lone_surrogates_follow_encoding_errors_and_pairs_stay(tmp_path: Path, errors: str, text: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "\\ud83d bad \\ud83d\\ude00"}\n' + jsonl(GOOD_ROW))
    tally = readers.Tally()
    rows = tables.row_texts(readers.Source("a", path, "jsonl"), tally, column="text", errors=errors)
    assert next(rows).strip() == text
    assert tally.lone_surrogates == 1
    assert run(tmp_path, str(path), encoding_errors=errors).text.lone_surrogates == 1


def test_counts_of_what_was_removed_are_reported(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text(TEXT + "a\0b\x1bc\u200bd\u200ce\n")
    (tmp_path / "in" / "b.jsonl").write_text('{"text": "x\\u0000y\\u200bz"}\n{"text": "  "}\n')
    report = run(tmp_path)
    assert (report.text.control_characters, report.text.invisible_characters, report.text.blank_rows) == (3, 2, 1)
    assert any("3 control characters" in warning for warning in report.warnings)
    assert any("2 invisible characters" in note for note in report.notes)
    assert any("1 rows had a blank text" in warning for warning in report.warnings)


@pytest.mark.parametrize("options", [{}, {"documents": "line"}, {"documents": "line", "sentences": "line"}, {"documents": "file"}])
@pytest.mark.parametrize("unit", ["some words and then more. ", "without_a_space", "没有空格的中文。"])
def test_a_line_without_end_is_cut_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], unit: str) -> None:
    monkeypatch.setattr(readers, "LONGEST_LINE", 1000)
    monkeypatch.setattr(readers.lines, "__kwdefaults__", {"longest": 1000})
    monkeypatch.setattr(documents, "LONGEST_DOCUMENT", 3000)
    monkeypatch.setattr(readers, "CHUNK", 256)
    path = tmp_path / "a.txt"
    path.write_text(unit * 1000)
    tally = readers.Tally()
    reading = documents.Reading(**{"documents": "file", **options})
    found = list(documents.read_documents(readers.Source("a", path, "text"), reading, tally))
    assert tally.long_texts_cut > 0
    assert max(sum(map(len, document.sentences)) for document in found) <= 5000
    joined = "".join(sentence for document in found for sentence in document.sentences)
    assert joined.replace(" ", "") == (unit * 1000).replace(" ", "")
    assert run(tmp_path, str(path), **options).text.long_texts_cut > 0


def test_a_row_too_long_to_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LONGEST_ROW", 1000)
    monkeypatch.setattr(readers, "CHUNK", 256)
    for name, text in (("a.jsonl", jsonl(GOOD_ROW, {"text": "x" * 5000})), ("a.json", json.dumps([GOOD_ROW, {"text": "x" * 5000}]))):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="longer than 1,000 characters"):
            run(tmp_path, str(tmp_path / name))
    (tmp_path / "a.csv").write_text("text\n" + "x" * 5000 + "\n")
    with pytest.raises(InputError, match="longer than 1,000 characters"):
        run(tmp_path, str(tmp_path / "a.csv"))


ONE = {
    "one document": ("One sentence. And two. And three.\n", {"documents": "file"}, "one document only"),
    "one document of one sentence": ("Only one sentence stands here\n", {}, "one document only"),
    "documents of one sentence": ("First line here\n\nSecond line here\n\nThird line here\n", {}, "every document has one sentence"),
}


@pytest.mark.parametrize("case", ONE)
def test_corpora_without_sentence_pairs_say_that_nsp_is_not_possible(tmp_path: Path, case: str) -> None:
    text, options, message = ONE[case]
    (tmp_path / "a.txt").write_text(text)
    report = run(tmp_path, str(tmp_path / "a.txt"), **options)
    assert not report.nsp_possible
    assert any(message in warning and "--objective mlm" in warning for warning in report.warnings)
    assert report.documents >= 1


def test_the_data_set_extra_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install 'bertwright\[hub\]'"):
        run(tmp_path, "somebody/something")

"""`bertwright predict` on fine-tuned checkpoints: texts, pairs, tables; the same rows out with columns added, in their order."""

import csv
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import bertwright.api as bertwright
from bertwright.architecture import CHOICE, CLASSIFY, MLM, POOLER, SPAN, TAG
from bertwright.inference import reader

Call = Callable[..., tuple[int, str, str]]
Checkpoint = Callable[..., Path]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory, checkpoint: Checkpoint) -> Path:
    return checkpoint(tmp_path_factory.mktemp("classifier"), ["sad", "glad", "angry"], POOLER, CLASSIFY)


@pytest.fixture
def call(call: Call) -> Call:
    return partial(call, "predict")


def table(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


TEXTS = ["paris is a city .", "good", "a very very bad river . is a city", "bad city", "where is paris"] * 3


def test_texts_get_their_labels_in_order(classifier: Path, call: Call, tmp_path: Path) -> None:
    expected = bertwright.load(classifier, device="cpu").classify(TEXTS)
    code, out, _ = call(classifier, *TEXTS)
    assert code == 0
    assert out.splitlines() == [f"{one.label} {one.probabilities[one.label]:.1%}  {text}" for one, text in zip(expected, TEXTS, strict=True)]
    (tmp_path / "texts.txt").write_text("\n\n".join(TEXTS), encoding="utf-8")
    code, out, _ = call(classifier, "--file", tmp_path / "texts.txt", "--json")
    assert [json.loads(line) for line in out.splitlines()] == [{"input": text, **one.to_json()} for one, text in zip(expected, TEXTS, strict=True)]
    assert call(classifier, "-", "--json", stdin="\n".join(TEXTS))[1] == out
    assert {word for word in call(classifier, "good", "--top_k", "3")[1].split() if word.isalpha()} == {"sad", "glad", "angry", "good"}


def test_a_pair_has_a_tab_between(classifier: Path, call: Call) -> None:
    expected = bertwright.load(classifier, device="cpu").classify(("good city", "bad river"))
    code, out, _ = call(classifier, "good city\tbad river", "--json")
    assert (code, json.loads(out)) == (0, {"input": ["good city", "bad river"], **expected.to_json()})
    code, _, err = call(classifier, "-", stdin="good\na\tb\tc\n")
    assert code == 2
    assert "standard input, line 2: 'a\\tb\\tc' has more than one tab: give a text, or two with a tab between" in err


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_a_table_comes_back_with_columns_added(classifier: Path, call: Call, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "CHUNK", 4)  # several chunks
    source = table(tmp_path / "in.csv", [{"id": str(number), "text": text} for number, text in enumerate(TEXTS)])
    out = tmp_path / f"out.{ending}"
    code, printed, err = call(classifier, "--table", source, "--out", out, "--probabilities")
    assert (code, printed) == (0, ""), err
    assert f"15 rows in {out}" in err
    if ending == "parquet":
        found = pq.read_table(out).to_pylist()
    elif ending == "jsonl":
        found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    else:
        found = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8")), delimiter="," if ending == "csv" else "\t"))
    expected = bertwright.load(classifier, device="cpu").classify(TEXTS)
    assert [row["id"] for row in found] == [str(number) for number in range(15)]
    assert [row["prediction"] for row in found] == [one.label for one in expected]
    for row, one in zip(found, expected, strict=True):
        for name, value in one.probabilities.items():
            assert float(row[f"probability_{name}"]) == pytest.approx(value, abs=1e-6)
        assert float(row["probability"]) == pytest.approx(max(one.probabilities.values()), abs=1e-6)


def test_without_a_file_a_table_comes_as_json_lines(classifier: Path, call: Call, tmp_path: Path) -> None:
    source = table(tmp_path / "in.csv", [{"one": "good", "other": "bad", "prediction": "mine"}])
    code, out, err = call(classifier, "--table", source, "--text_column", "one", "--pair_column", "other")
    assert code == 0, err
    row = json.loads(out)
    assert (row["one"], row["prediction"]) == ("good", "mine")
    assert row["prediction_2"] == bertwright.load(classifier, device="cpu").classify(("good", "bad")).label
    assert "has a column 'prediction' already: the new one is 'prediction_2'" in err


def test_a_bad_row_leaves_a_part_that_says_so(classifier: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "CHUNK", 4)
    rows = [{"text": text} for text in TEXTS[:9]]
    source = table(tmp_path / "in.csv", [*rows[:6], {"text": " "}, *rows[6:]])
    code, _, err = call(classifier, "--table", source, "--out", tmp_path / "out.csv")
    assert code == 2
    assert "line 8" in err
    assert not (tmp_path / "out.csv").exists()
    code, _, err = call(classifier, "--table", source, "--out", tmp_path / "out.csv", "--drop_bad_rows")
    assert code == 0, err
    assert len((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()) == 10
    assert "left out: 1 row" in err


def test_what_a_signal_leaves_is_named(classifier: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "CHUNK", 4)
    whole, calls = reader.Reader.read, list[int]()

    def read(self: reader.Reader, examples: Any, **options: Any) -> Any:
        calls.append(len(examples))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(self, examples, **options)

    monkeypatch.setattr(reader.Reader, "read", read)
    source = table(tmp_path / "in.csv", [{"text": text} for text in TEXTS])
    code, _, err = call(classifier, "--table", source, "--out", tmp_path / "out.csv")
    assert code == 130
    assert f"8 rows in {tmp_path / 'out.partial.csv'}, which is a part" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.partial.csv"]
    assert len((tmp_path / "out.partial.csv").read_text(encoding="utf-8").splitlines()) == 9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("good", "--mask", "0.2"), "--mask is for masked language models, and {} classifies texts: leave it out"),
        (("good", "--num_beams", "2"), "--num_beams is for writing text, and {} classifies texts: leave it out"),
        (("good", "--text_column", "x"), "--text_column is for a table: give --table FILE"),
        (("good", "--table", "x.csv"), "--table and texts are both given"),
        (("good", "--out", "x.xlsx"), "x.xlsx: its ending names no kind of table"),
        (("good", "--top_k", "0"), "top_k is 0: give at least 1"),
        (("good", "--max_seq_length", "2"), "max_seq_length is 2: this model reads from 3 to 24 tokens a row"),
        (("--table", "nothing.csv"), "nothing.csv"),
        (("--table", "a.csv", "--out", "a.csv"), "--out a.csv is the file that is read: give another file"),
        (("--file", "b.csv", "--out", "./b.csv"), "--out b.csv is the file that is read: give another file"),
    ],
)
def test_what_makes_no_sense_is_said(classifier: Path, call: Call, words: tuple[str, ...], said: str) -> None:
    code, out, err = call(classifier, *words)
    assert (code, out) == (2, "")
    assert said.format(classifier) in err


def test_texts_that_lose_their_end_are_counted(classifier: Path, call: Call) -> None:
    code, _, err = call(classifier, "good " * 40, "bad")
    assert code == 0
    assert "texts longer than a row, which lost their end: 1 " in err


def test_words_answers_and_choices_are_shown(checkpoint: Checkpoint, call: Call, tmp_path: Path) -> None:
    tagger = checkpoint(tmp_path / "tag", ["O", "B-PLACE", "I-PLACE"], TAG)
    code, out, _ = call(tagger, "Paris is a city.", "--json")
    assert code == 0
    assert json.loads(out) == {"input": "Paris is a city.", **bertwright.load(tagger, device="cpu").tag("Paris is a city.").to_json()}
    assert json.loads(out)["words"] == ["Paris", "is", "a", "city", "."]
    assert call(tagger, "Paris is")[1].startswith("Paris is\n  ")
    answers = checkpoint(tmp_path / "answer", [], SPAN)
    code, out, _ = call(answers, "where is paris\tparis is a city", "--json")
    assert json.loads(out)["input"] == ["where is paris", "paris is a city"]
    assert json.loads(out)["answer"] in "paris is a city"
    assert "is no question with its context: give both with a tab between" in call(answers, "where is paris")[2]
    chooser = checkpoint(tmp_path / "choice", [], POOLER, CHOICE)
    code, out, _ = call(chooser, "paris is\ta city\ta river")
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines()[1:3]] == ["city", "river"]


def test_masks_are_filled_in_a_table_too(checkpoint: Checkpoint, call: Call, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mlm", ["a", "b"], POOLER, MLM)
    source = table(tmp_path / "in.csv", [{"text": "paris is [MASK]"}, {"text": "[MASK] city"}])
    code, _, err = call(folder, "--table", source, "--out", tmp_path / "out.csv")
    assert code == 0, err
    found = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text(encoding="utf-8"))))
    assert [row["prediction"] for row in found] == [one.filled for one in bertwright.load(folder, device="cpu").fill_masks(["paris is [MASK]", "[MASK] city"])]


def test_bf16_gives_nearly_the_same(classifier: Path, call: Call) -> None:
    plain, half = (json.loads(call(classifier, "good city", "--json", *more)[1])["probabilities"] for more in ((), ("--bf16",)))
    assert plain != half
    assert list(half.values()) == pytest.approx(list(plain.values()), abs=0.05)

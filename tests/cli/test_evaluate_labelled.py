"""`bertwright evaluate` on labelled files: metrics with intervals and a baseline, one flat object, every row."""

import csv
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import bertwright.api as bertwright
from bertwright.architecture import CLASSIFY, MLM, POOLER, TAG
from bertwright.errors import InputError

ROWS = [("paris is good", "glad"), ("a very bad city", "sad"), ("good", "sad"), ("bad river", "sad"), ("very very good", "glad"), ("a city", "sad")]

Call = Callable[..., tuple[int, str, str]]
Checkpoint = Callable[..., Path]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory, checkpoint: Checkpoint) -> Path:
    return checkpoint(tmp_path_factory.mktemp("classifier"), ["sad", "glad"], POOLER, CLASSIFY)


@pytest.fixture
def call(call: Call) -> Call:
    return partial(call, "evaluate")


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    path = tmp_path / "test.csv"
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS), encoding="utf-8")
    return path


def test_one_flat_object_has_every_metric(classifier: Path, labelled: Path, call: Call) -> None:
    code, out, err = call(classifier, labelled, "--json")
    assert code == 0, err
    found = json.loads(out)
    predicted = bertwright.load(classifier, device="cpu").classify([text for text, _ in ROWS])
    assert found["accuracy"] == pytest.approx(np.mean([one.label == label for one, (_, label) in zip(predicted, ROWS, strict=True)]))
    assert found["accuracy_low"] <= found["accuracy"] <= found["accuracy_high"]
    assert found["baseline_accuracy"] == pytest.approx(4 / 6)
    assert (found["task"], found["rows"], found["file"], found["checkpoint"]) == ("classify", 6, str(labelled), str(classifier))
    assert "f1_macro" in found
    assert not any(isinstance(value, dict | list) for value in found.values())
    assert bertwright.evaluate(classifier, labelled)["accuracy"] == found["accuracy"]


def test_a_reader_sees_interval_and_baseline(classifier: Path, labelled: Path, call: Call) -> None:
    code, out, _ = call(classifier, labelled)
    assert code == 0
    shown = next(line.split() for line in out.splitlines() if line.startswith("accuracy"))
    assert shown[3] == "to"
    assert shown[-1] == "0.6667"
    assert out.splitlines()[0] == f"classify, 6 rows of {labelled}"


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_every_row_is_written(classifier: Path, labelled: Path, call: Call, tmp_path: Path, ending: str) -> None:
    code, _, err = call(classifier, labelled, "--rows", tmp_path / f"rows.{ending}")
    assert code == 0, err
    written = (tmp_path / f"rows.{ending}").read_text(encoding="utf-8")
    found = list(csv.DictReader(io.StringIO(written))) if ending == "csv" else [json.loads(line) for line in written.splitlines()]
    predicted = bertwright.load(classifier, device="cpu").classify([text for text, _ in ROWS])
    for number, (row, one, (text, label)) in enumerate(zip(found, predicted, ROWS, strict=True)):
        assert (row["text"], row["label"], row["prediction"]) == (text, label, one.label)
        assert row["place"].endswith(f"line {number + 2}")
        assert float(row["probability_sad"]) == pytest.approx(one.probabilities["sad"], abs=1e-6)
        assert float(row["loss"]) == pytest.approx(-np.log(one.probabilities[label]), abs=1e-5)


def test_rows_that_do_not_fit_into_their_table_cost_no_numbers(classifier: Path, call: Call, tmp_path: Path) -> None:
    path = tmp_path / "tabs.jsonl"
    path.write_text('{"text": "bar\\tban", "label": "sad"}\n', encoding="utf-8")
    code, out, err = call(classifier, path, "--rows", tmp_path / "rows.tsv")
    assert code == 2
    assert "has a tab or a line break in it" in err
    assert any(line.startswith("accuracy") for line in out.splitlines())


def test_entities_are_measured(checkpoint: Checkpoint, call: Call, tmp_path: Path) -> None:
    tagger = checkpoint(tmp_path, ["O", "B-PLACE", "I-PLACE"], TAG)
    path = tmp_path / "test.conll"
    path.write_text("paris B-PLACE\nis O\ngood O\n\na O\nvery B-PLACE\nriver I-PLACE\n", encoding="utf-8")
    code, out, err = call(tagger, path, "--json", "--rows", tmp_path / "rows.jsonl")
    assert code == 0, err
    found = json.loads(out)
    assert (found["task"], found["rows"], found["baseline_f1"]) == ("tag", 2, 0.0)
    assert found["f1_low"] <= found["f1"] <= found["f1_high"]
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows[1]["label"] == ["O", "B-PLACE", "I-PLACE"]
    assert len(rows[1]["tags"]) == 3


def test_what_does_not_fit_is_said(classifier: Path, labelled: Path, call: Call, tmp_path: Path) -> None:
    unknown = tmp_path / "unknown.csv"
    unknown.write_text("text,label\ngood,glad\nbad,furious\n", encoding="utf-8")
    for words, said in (
        ((classifier, unknown), "furious"),
        ((classifier, tmp_path / "none.csv"), "none.csv"),
        ((classifier, labelled, "--label_column", "mood"), "mood"),
        ((classifier, labelled, unknown), "2 files are given"),
        ((classifier, labelled, "--mlm_probability", "0.2"), "--mlm_probability is for text"),
        ((classifier, labelled, "--rows", "rows.xls"), "its ending names no kind of table"),
        ((classifier, labelled, "--rows", labelled), "is the labelled file itself: give another file"),
        ((classifier, unknown, "--rows", tmp_path / "rows.csv"), "furious"),
        ((classifier, labelled, "--max_seq_length", "99"), "max_seq_length is 99: this model reads from 3 to 24 tokens a row"),
    ):
        code, out, err = call(*words)
        assert (code, out) == (2, ""), said
        assert said in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test.csv", "unknown.csv"]


def test_a_place_that_cannot_be_written_is_told_before_the_work(
    classifier: Path, labelled: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.csv").mkdir()
    monkeypatch.setattr(bertwright, "evaluate_labelled", lambda *_, **__: pytest.fail("measured first"))
    assert "rows.csv is a folder" in call(classifier, labelled, "--rows", tmp_path / "rows.csv")[2]


def test_a_first_line_that_looks_like_names_can_be_a_row(classifier: Path, call: Call, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("content,glad\ngood,sad\nbad,sad\n", encoding="utf-8")
    columns = ("--text_column", "0", "--label_column", "1", "--json")
    for header, rows in (("--no_header", 3), ("--header", 2)):
        code, out, err = call(classifier, tmp_path / "test.csv", *columns, header)
        assert (code, json.loads(out)["rows"]) == (0, rows), err
    assert "is read as a row" not in call(classifier, tmp_path / "test.csv", *columns, "--no_header")[2]


def test_a_checkpoint_of_pretraining_takes_text_alone(checkpoint: Checkpoint, call: Call, labelled: Path, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, ["a", "b"], POOLER, MLM)
    code, _, err = call(folder, labelled, "--label_column", "label")
    assert code == 2
    assert "--label_column is for labelled rows" in err
    with pytest.raises(InputError, match="label_column is for labelled files"):
        bertwright.evaluate(folder, labelled, label_column="label")


def test_a_file_that_a_model_that_writes_is_measured_on_is_of_one_kind(start: Callable[[str], Path], call: Call, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("source,target\nbar ban,ber\nkar,kan\n", encoding="utf-8")
    code, out, err = call(start("gpt2"), tmp_path / "pairs.csv", "--batch_size", "4")
    assert (code, out) == (2, "")
    assert "--batch_size is for text, and" in err


def test_an_objective_without_a_loss_of_tokens_is_measured_too(start: Callable[[str], Path], call: Call, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("\n".join(f"bar {word} ban." for word in ("ber", "kan", "gan", "lir")), encoding="utf-8")
    code, out, err = call(start("bert"), tmp_path / "notes.txt", "--objective", "contrastive", "--max_seq_length", "16")
    assert code == 0, err
    assert [line.rsplit("   ", 1)[0].strip() for line in out.splitlines()] == ["contrastive loss", "contrastive accuracy", "measured on"]
    assert out.endswith(" 4 rows\n")


def test_a_later_file_is_read_as_the_training_file_was(tmp_path: Path, start: Callable[[str], Path]) -> None:
    rows = "".join(f"bar ban {number},{1 + number % 3}\n" for number in range(24))
    (tmp_path / "train.csv").write_text("text,label\n" + rows, encoding="utf-8")
    keys = {"label_names": "World,Sports,Business", "max_steps": 1, "bf16": False, "report": False}
    run = bertwright.finetune(start("bert"), tmp_path / "train.csv", out=tmp_path / "run", **keys).run
    (tmp_path / "later.csv").write_text("text,label\nbar ber,2\nban ber,1\n", encoding="utf-8")
    found = bertwright.evaluate_labelled(bertwright.load(run), tmp_path / "later.csv")
    assert [example.label for example in found.data.examples] == ["Sports", "World"]

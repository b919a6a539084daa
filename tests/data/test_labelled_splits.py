"""Which rows are trained on, evaluated on and tested on: folders, files named beside, and a share held out by label and seed."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.reading import hold_out, read_labelled, read_splits
from bertwright.errors import InputError

GOOD = "text,label\n" + "".join(f"words {n},{'xyz'[n % 3]}\n" for n in range(60))


def test_each_label_gives_its_share_and_at_least_one_row() -> None:
    labels = ["often"] * 1000 + ["seldom"] * 30 + ["twice"] * 2 + ["once"]
    held = hold_out(range(len(labels)), labels, fraction=0.1, seed=3)
    assert Counter(labels[row] for row in held) == {"often": 100, "seldom": 3, "twice": 1}
    assert held == sorted(held)


def test_the_same_seed_holds_out_the_same_rows_and_another_others() -> None:
    labels = ["a", "b"] * 200
    first, again, other = (hold_out(range(400), labels, fraction=0.2, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    # Written down once, so that a change of the draw, which would change every published split, does not go unseen.
    assert hold_out(range(20), ["a"] * 20, fraction=0.2, seed=0) == sorted(np.random.default_rng(0).permutation(20)[:4].tolist())


def test_rows_of_one_text_stay_on_one_side() -> None:
    groups = [number // 5 for number in range(200)]
    held = set(hold_out(groups, ["a"] * 200, fraction=0.25, seed=0))
    assert len(held) == 50
    assert all(len({row in held for row in range(start, start + 5)}) == 1 for start in range(0, 200, 5))


def test_held_out_rows_are_said_and_disjoint(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD + "only once,w\n")
    splits = read_splits(str(tmp_path / "a.csv"), DataConfig(validation_fraction=0.2, split_seed=7))
    assert (len(splits.train.examples), len(splits.validation.examples)) == (49, 12)
    assert not {example.text for example in splits.train.examples} & {example.text for example in splits.validation.examples}
    assert [example.text for example in splits.train.examples if example.label == "w"] == ["only once"]
    assert splits.validation.labels == splits.train.labels == ("w", "x", "y", "z")
    assert any(
        "validation: 12 rows of" in line and "with seed 7" in line and "1 label of few rows stays in training, unmeasured" in line for line in splits.said
    )


def test_rows_of_several_labels_are_drawn_by_the_rarest(tmp_path: Path) -> None:
    rows = [f"words {n},often{'|seldom' if n % 10 == 0 else ''}|own{n}" for n in range(100)]
    (tmp_path / "a.csv").write_text("text,label\n" + "\n".join(rows) + "\n" + "".join(f"more {n},often|seldom\n" for n in range(10)))
    with pytest.raises(InputError, match="none of which can be held out"):
        read_splits(str(_only_unique(tmp_path)), DataConfig(several_labels="|"))
    splits = read_splits(str(tmp_path / "a.csv"), DataConfig(several_labels="|"))
    assert all("seldom" in example.label for example in splits.validation.examples)


def _only_unique(folder: Path) -> Path:
    (folder / "unique.csv").write_text("text,label\n" + "".join(f"words {n},own{n}\n" for n in range(20)))
    return folder / "unique.csv"


def test_numbers_and_questions_are_held_out_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,score\n" + "".join(f"words {n},{n / 10}\n" for n in range(50)))
    splits = read_splits(str(tmp_path / "a.csv"), DataConfig())
    assert (splits.train.task, len(splits.validation.examples)) == ("regress", 5)


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "dev", "test"), ("training", "validation", "test"), ("a-train-1", "a-val-1", "a-test-1"), ("x.train", "x.valid", None)],
)
def test_a_folder_holds_its_parts(tmp_path: Path, train: str, validation: str, test: str | None) -> None:
    for name in filter(None, (train, validation, test)):
        (tmp_path / f"{name}.csv").write_text(GOOD)
    (tmp_path / "README.md").write_text("What stands here is not data.")
    splits = read_splits(str(tmp_path), DataConfig())
    assert splits.train.name == str(tmp_path / f"{train}.csv")
    assert splits.validation.name == str(tmp_path / f"{validation}.csv")
    assert (splits.test.name if splits.test else None) == (str(tmp_path / f"{test}.csv") if test else None)
    assert sum("found with the training data" in line for line in splits.said) == (2 if test else 1)


def test_what_the_user_names_comes_before_the_folders(tmp_path: Path) -> None:
    for name in ("train", "dev", "other"):
        (tmp_path / f"{name}.csv").write_text(GOOD)
    splits = read_splits(str(tmp_path), DataConfig(validation=str(tmp_path / "other.csv")))
    assert splits.validation.name.endswith("other.csv")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("train.csv", "train.jsonl"), r"train\.csv and train\.jsonl could each be the train file"),
        (("dev.csv",), r"dev\.csv and nothing for training"),
        (("notes.md",), r"no file for training in this folder"),
    ],
)
def test_folders_that_do_not_tell(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    for name in files:
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(InputError, match=message):
        read_splits(str(tmp_path), DataConfig())


def test_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file or folder"):
        read_splits(str(tmp_path / "nowhere.csv"), DataConfig())
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file or folder"):
        read_splits(str(tmp_path / "a.csv"), DataConfig(validation=str(tmp_path / "nowhere.csv")))


def test_the_columns_of_training_are_looked_for_first(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,phrase,label\n" + "".join(f"t {n},p {n},{n % 2}\n" for n in range(8)))
    (tmp_path / "b.csv").write_text("phrase,text,label\nq 1,t 1,0\nq 2,t 2,1\n")
    (tmp_path / "c.csv").write_text("sentence,label\ns 1,0\n")
    options = {"text_column": "phrase", "validation": str(tmp_path / "b.csv")}
    assert read_splits(str(tmp_path / "a.csv"), DataConfig(**options)).validation.examples[0].text == "q 1"
    splits = read_splits(str(tmp_path / "a.csv"), DataConfig(test=str(tmp_path / "c.csv")))
    assert splits.test is not None
    assert splits.test.examples[0].text == "s 1"


def test_a_later_file_without_a_header_is_read_as_the_training_file(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("".join(f"some words {n}\t{n % 2}\n" for n in range(10)))
    (tmp_path / "b.tsv").write_text("other words\t1\n")
    splits = read_splits(str(tmp_path / "a.tsv"), DataConfig(validation=str(tmp_path / "b.tsv")))
    assert [(example.text, example.label) for example in splits.validation.examples] == [("other words", "1")]


KNOWN: dict[str, tuple[str, dict[str, Any], tuple[str, ...], dict[str, Any], list[Any]]] = {
    "names": ("a,happy\nb,sad\n", {}, ("sad", "happy"), {}, ["happy", "sad"]),
    "ids of names": ("a,1\nb,0\n", {}, ("sad", "happy"), {}, ["happy", "sad"]),
    "numbers that are names": ("a,1\nb,2\n", {}, ("1", "2"), {}, ["1", "2"]),
    "numbers that the config names": ("a,1\nb,2\n", {"label_names": "sad,happy"}, ("sad", "happy"), {}, ["sad", "happy"]),
    "one class only": ("a,happy\nb,happy\n", {}, ("sad", "happy"), {}, ["happy", "happy"]),
    "several labels": ("a,happy|sad\nb,\n", {"several_labels": "|"}, ("sad", "happy"), {"several": True}, [("happy", "sad"), ()]),
    "one label where several may be": ("a,happy\nb,sad\n", {}, ("sad", "happy"), {"several": True}, [("happy",), ("sad",)]),
}


@pytest.mark.parametrize("case", KNOWN)
def test_a_further_file_is_read_with_the_labels_of_the_model(tmp_path: Path, case: str) -> None:
    rows, options, labels, more, expected = KNOWN[case]
    (tmp_path / "b.csv").write_text("text,label\n" + rows)
    data = read_labelled(str(tmp_path / "b.csv"), task="classify", config=DataConfig(**options), labels=labels, **more)
    assert (data.labels, [example.label for example in data.examples]) == (labels, expected)


def test_small_labels_do_not_take_half_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"words {n},l{n // 2:02}\n" for n in range(100)))
    splits = read_splits(str(tmp_path / "a.csv"), DataConfig())
    assert (len(splits.train.examples), len(splits.validation.examples)) == (80, 20)
    assert any("30 labels of few rows stay in training, unmeasured (l" in line for line in splits.said)
    labels = ["big"] * 40 + ["a"] * 2 + ["b"] * 3 + ["c"] * 2
    assert Counter(labels[row] for row in hold_out(range(len(labels)), labels, fraction=0.05, seed=0)) == {"big": 2, "b": 1, "a": 1, "c": 1}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("text,label\nwords,-1\nmore,-1\n", "has no labels"),
        ("text,label\nwords,\n", "has no labels"),
        ("text,label\nwords,neither\n", "label 'neither' .* was never seen in training"),
        ("something,else\nwords,more\n", "was never seen in training"),
        ("", "no rows in it"),
    ],
)
def test_a_test_file_that_lies_there_stops_nothing(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "train.csv").write_text(GOOD)
    (tmp_path / "test.csv").write_text(content)
    splits = read_splits(str(tmp_path), DataConfig())
    assert splits.test is None
    assert any(line.startswith("test: ") and re.search(why, line) for line in splits.said), splits.said
    with pytest.raises(InputError):
        read_splits(str(tmp_path), DataConfig(test=str(tmp_path / "test.csv")))


def test_minus_one_may_be_a_label(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"words {n},{(-1, 1)[n % 2]}\n" for n in range(20)))
    (tmp_path / "test.csv").write_text("text,label\nwords,-1\n")
    splits = read_splits(str(tmp_path), DataConfig())
    assert splits.test is not None
    assert splits.test.examples[0].label == "-1"


def test_the_plainest_names_are_taken_and_the_others_told(tmp_path: Path) -> None:
    for name in ("train", "dev", "dev_ids", "eval_notes", "extra", "train_more"):
        (tmp_path / f"{name}.tsv").write_text(GOOD.replace(",", "\t"))
    splits = read_splits(str(tmp_path), DataConfig())
    assert (Path(splits.train.name).name, Path(splits.validation.name).name) == ("train.tsv", "dev.tsv")
    assert any(line.endswith("not read: dev_ids.tsv, eval_notes.tsv, extra.tsv, train_more.tsv") for line in splits.said)


def test_a_file_that_is_named_is_read_however_its_folder_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("train", "extra", "other"):
        (tmp_path / f"{name}.csv").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    splits = read_splits(str(tmp_path), DataConfig(validation="./extra.csv"))
    assert any(line.endswith("not read: other.csv") for line in splits.said), splits.said


def test_eval_is_a_name_for_validation(tmp_path: Path) -> None:
    for name in ("train", "eval"):
        (tmp_path / f"{name}.csv").write_text(GOOD)
    assert Path(read_splits(str(tmp_path), DataConfig()).validation.name).name == "eval.csv"


def test_a_file_that_was_cut_up_is_read_whole(tmp_path: Path) -> None:
    for part in (0, 1):
        rows = [{"text": f"words {part} {n}", "label": n % 2} for n in range(20)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"train-0000{part}-of-00002.parquet")
    (tmp_path / "validation.csv").write_text("text,label\nwords,1\n")
    splits = read_splits(str(tmp_path), DataConfig())
    assert len({example.text for example in splits.train.examples}) == 40
    (tmp_path / "train-00001-of-00002.parquet").unlink()
    (tmp_path / "train-00002-of-00003.parquet").write_bytes((tmp_path / "train-00000-of-00002.parquet").read_bytes())
    with pytest.raises(InputError, match="could each be the train file"):
        read_splits(str(tmp_path), DataConfig())

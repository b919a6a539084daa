"""`bertwright prepare` as it is typed."""

import json
import subprocess
import sys
from pathlib import Path

TEXT = "One document stands here. It has two sentences.\n\nAnother one follows. It has them too.\n\nA third ends it. So it does.\n"


def bertwright(*words: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "bertwright", *map(str, words)], input=text, capture_output=True, text=True, check=False)


def test_a_pipe_becomes_shards_and_the_report_says_what_was_guessed(tmp_path: Path) -> None:
    done = bertwright("prepare", "-", "--out", tmp_path / "shards", "--validation-fraction", "0.1", text=TEXT)
    assert done.returncode == 0, done.stderr
    assert "a blank line ends a document (guessed)" in done.stdout
    assert f"bertwright pretrain {tmp_path / 'shards'}" in done.stdout
    assert (tmp_path / "shards" / "shards.json").exists()


def test_json_prints_one_object_that_is_corpus_json(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    done = bertwright("prepare", tmp_path / "a.txt", "--out", tmp_path / "shards", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "shards" / "corpus.json").read_text())


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    done = bertwright("prepare", tmp_path / "a.txt", "--out", tmp_path / "shards", "--dry_run")
    assert done.returncode == 0, done.stderr
    assert "a blank line ends a document (guessed)" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_every_problem_is_a_line_and_the_exit_code_is_2(tmp_path: Path) -> None:
    done = bertwright("prepare", tmp_path / "no.txt", "--out", tmp_path / "shards", "--validation_fraction", "2")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2
    assert "no.txt: no such file or folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_several_validation_files_follow_one_option(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text(TEXT.replace("One", name[0]))
    words = ("prepare", tmp_path / "a.txt", "--out", tmp_path / "shards", "--validation_files", tmp_path / "b.txt", tmp_path / "c.txt", "--json")
    done = bertwright(*words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["validation_documents"] == 6


def test_the_next_command_fits_the_text(tmp_path: Path) -> None:
    done = bertwright("prepare", "-", "--out", tmp_path / "shards", text="One line\n\nAnother line\n\nA third\n")
    assert f"bertwright pretrain {tmp_path / 'shards'} --out runs/a --objective mlm" in done.stdout

"""What a CHECKPOINT may be, and what is said when it is none."""

from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from bertwright.checkpoints.resolve import find_checkpoint, resolve_checkpoint
from bertwright.checkpoints.run_folder import RunFolder
from bertwright.errors import CheckpointError


def fill(folder: Path) -> None:
    (folder / "config.json").write_text("{}")


def run_with(path: Path, *steps: int, best: int | None = None) -> Path:
    with RunFolder.open(path, write=True) as run:
        for step in steps:
            run.save(step, fill, best=step == best, keep=None)
    return path


def test_a_run_folder_means_its_best_checkpoint_or_else_its_latest(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", 1, 2, 3, best=2)
    assert find_checkpoint(str(run)).folder == run / "checkpoints" / "step-000002"
    assert "(the best of " in find_checkpoint(str(run)).said
    other = run_with(tmp_path / "other", 1, 2)
    assert resolve_checkpoint(str(other)) == other / "checkpoints" / "step-000002"
    assert "(the latest of " in find_checkpoint(str(other)).said
    (other / "checkpoints" / "step-000002" / "config.json").write_text("")
    assert resolve_checkpoint(str(other)) == other / "checkpoints" / "step-000001"


def test_a_checkpoint_folder_means_itself(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", 1, 2)
    first = run / "checkpoints" / "step-000001"
    assert find_checkpoint(str(first)) == (first, f"checkpoint: {first}")


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("")
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    for name, line in {
        "notes": r"neither a run folder nor a checkpoint \(no config\.json in it, but a\.txt\)",
        "notes/a.txt": "is a file: give the folder it lies in",
        "empty": "holds no complete checkpoint",
        "runs/a/b": "does not exist",
    }.items():
        with pytest.raises(CheckpointError, match=line):
            find_checkpoint(str(tmp_path / name))
    with pytest.raises(CheckpointError, match="does not exist"):
        find_checkpoint("./absent")


def test_a_hub_name_is_fetched_without_the_weights_in_two_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(name: str, *, allow_patterns: list[str], ignore_patterns: list[str] | None = None) -> str:
        asked.append(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert "from the Hugging Face hub" in find_checkpoint("someone/bert-x").said
    assert ["pytorch_model*.bin" in patterns for patterns in asked] == [False, True]
    (tmp_path / "model.safetensors").write_text("")
    asked.clear()
    assert resolve_checkpoint("bert-base-uncased") == tmp_path
    assert len(asked) == 1
    (tmp_path / "modules.json").write_text("[]")
    resolve_checkpoint("sentence-transformers/some")
    assert asked[-1] == ["?_Pooling/config.json"]


def test_a_hub_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, **options: object) -> str:
        raise LocalEntryNotFoundError("no connection\nand more")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    with pytest.raises(CheckpointError, match=r"there is no folder someone/x, .*\(no connection\): check the name or the network"):
        find_checkpoint("someone/x")

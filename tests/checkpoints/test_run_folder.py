"""A run folder survives kills, full disks, damage and a second writer."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from itertools import count
from pathlib import Path

import pytest

from bertwright.checkpoints import files
from bertwright.checkpoints.files import MANIFEST, remove_leftovers, verify
from bertwright.checkpoints.run_folder import RunFolder
from bertwright.errors import BertwrightError, CheckpointError, InputError

# Ends a process as SIGKILL would, before its n-th change of the disk: opening to write, flushing, renaming, making, removing.
KILLED = """
import os, sys
from pathlib import Path
from bertwright.checkpoints.run_folder import RunFolder

remaining = int(sys.argv[1])

def change():
    global remaining
    remaining -= 1
    if remaining < 0:
        os._exit(9)

def watch(event, args):
    if event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir") or (event == "open" and (args[2] or 0) & (os.O_WRONLY | os.O_RDWR)):
        change()

fsync = os.fsync
os.fsync = lambda descriptor: (change(), fsync(descriptor))[1]

def write(folder):
    (folder / "model.safetensors").write_text(f"weights of step {step}")
    (folder / "training").mkdir()
    (folder / "training" / "state.json").write_text("{}")

with RunFolder.open(Path(sys.argv[2]), write=True) as run:
    sys.addaudithook(watch)
    step = int(sys.argv[3])
    run.save(step, write, best=sys.argv[4] == "best", keep=int(sys.argv[5]))
"""


def fill(folder: Path, content: str = "weights") -> None:
    (folder / "model.safetensors").write_text(content)
    (folder / "training").mkdir()
    (folder / "training" / "state.json").write_text("{}")


def save(run: RunFolder, step: int, *, best: bool = False, keep: int | None = None) -> Path:
    return run.save(step, lambda folder: fill(folder, f"weights of step {step}"), best=best, keep=keep)


def names(run: RunFolder) -> list[str]:
    return [folder.name for folder in run.checkpoints()]


def leftovers(path: Path) -> list[str]:
    return [entry.name for entry in path.rglob(".*") if entry.name != ".lock"]


@pytest.mark.parametrize(
    ("step", "best", "keep", "before"),
    [
        pytest.param(300, "best", 9, {"step-000100", "step-000200"}, id="a new step"),
        pytest.param(200, "no", 9, {"step-000100", "step-000200"}, id="the same step again"),
        pytest.param(300, "no", 1, {"step-000100", "step-000200"}, id="pruning"),
    ],
)
def test_a_killed_save_leaves_the_previous_checkpoint(tmp_path: Path, step: int, best: str, keep: int, before: set[str]) -> None:
    for kill_at in count():
        path = tmp_path / str(kill_at)
        with RunFolder.open(path, write=True) as run:
            save(run, 100, best=True)
            save(run, 200)
        child = subprocess.run([sys.executable, "-c", KILLED, str(kill_at), str(path), str(step), best, str(keep)], check=False)
        with RunFolder.open(path, write=True) as run:
            assert leftovers(path) == []
            newest, warnings = run.resume_point()
            assert newest is not None
            assert newest == run.read_latest() == run.newest()
            assert warnings == []
            assert (newest / "model.safetensors").read_text() == f"weights of step {int(newest.name.removeprefix('step-'))}"
            assert run.read_best() in run.checkpoints()
            assert before <= set(names(run)) or newest.name == f"step-{step:06d}"
        if child.returncode == 0:
            break
        assert child.returncode == 9
    assert kill_at > 15
    assert newest.name == f"step-{step:06d}"


def test_everything_is_flushed_before_the_rename_and_the_parent_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, rename = os.fsync, os.rename

    def watched_fsync(descriptor: int) -> None:
        fsync(descriptor)
        done.append(f"flushed {Path(f'/proc/self/fd/{descriptor}').resolve().name}")

    def watched_rename(source: Path, target: Path) -> None:
        rename(source, target)
        done.append(f"renamed {Path(target).name}")

    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not say which file a descriptor is of")
    with RunFolder.open(tmp_path, write=True) as run:
        monkeypatch.setattr(os, "fsync", watched_fsync)
        monkeypatch.setattr(os, "rename", watched_rename)
        save(run, 100)
    place = done.index("renamed step-000100")
    assert {"flushed model.safetensors", "flushed state.json", "flushed manifest.json", "flushed training"} <= set(done[:place])
    assert done[place - 1].startswith("flushed .step-000100.")
    assert done[place + 1] == "flushed checkpoints"


def test_a_failed_write_leaves_everything_as_it_was(tmp_path: Path) -> None:
    def broken(folder: Path) -> None:
        fill(folder)
        raise RuntimeError("halfway")

    with RunFolder.open(tmp_path, write=True) as run:
        save(run, 100)
        with pytest.raises(RuntimeError, match="halfway"):
            run.save(200, broken, best=True, keep=1)
        with pytest.raises(RuntimeError, match="halfway"):
            run.save(100, broken, best=True, keep=1)
        assert names(run) == ["step-000100"]
        verify(tmp_path / "checkpoints" / "step-000100", hashes=True)
        assert leftovers(tmp_path) == []


@pytest.mark.parametrize("writer", ["write_tensors(path, tensors)", "save_file(tensors, path)", "path.write_bytes(bytes(400_000))"])
def test_a_full_disk_is_an_error_and_the_previous_checkpoint_stays(tmp_path: Path, writer: str) -> None:
    script = textwrap.dedent(
        """
        import sys, torch
        from pathlib import Path
        from safetensors.torch import save_file
        from bertwright.checkpoints.run_folder import RunFolder
        from bertwright.checkpoints.weights import write_tensors
        from bertwright.errors import BertwrightError
        def write(folder):
            path, tensors = folder / "model.safetensors", {"x": torch.zeros(100_000)}
            WRITER
        with RunFolder.open(Path(sys.argv[1]), write=True) as run:
            try:
                run.save(200, write, best=False, keep=1)
            except BertwrightError as error:
                print(error)
                sys.exit(error.exit_code)
        """
    ).replace("WRITER", writer)
    with RunFolder.open(tmp_path, write=True) as run:
        save(run, 100)

    def small_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    child = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False, preexec_fn=small_disk)
    assert child.returncode == 1, child.stderr
    assert f"cannot write {tmp_path / 'checkpoints'}" in child.stdout
    assert "step-000200" in child.stdout
    assert "large" in child.stdout
    assert names(RunFolder(tmp_path)) == ["step-000100"]
    assert leftovers(tmp_path) == []


def test_a_full_disk_names_the_path_and_the_systems_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    with RunFolder.open(tmp_path, write=True) as run:
        save(run, 100)
        monkeypatch.setattr(files.os, "fsync", full)
        with pytest.raises(BertwrightError, match=r"cannot write .*step-000200: No space left on device") as caught:
            save(run, 200)
        assert caught.value.exit_code != 0
        assert names(run) == ["step-000100"]


def test_pruning_spares_latest_and_best(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, write=True) as run:
        save(run, 100, best=True, keep=2)
        for step in (200, 300, 400):
            save(run, step, keep=2)
        assert names(run) == ["step-000100", "step-000400"]
        save(run, 500, best=True, keep=2)
        assert names(run) == ["step-000400", "step-000500"]
        save(run, 600, keep=1)
        assert names(run) == ["step-000500", "step-000600"]
        with pytest.raises(InputError, match="save_total_limit is 0"):
            save(run, 700, keep=0)


def test_nothing_is_pruned_when_the_disk_gives_back_other_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunFolder.open(tmp_path, write=True) as run:
        save(run, 100)
        put = files._put_in_place

        def flip(temporary: Path, path: Path) -> None:
            put(temporary, path)
            (path / "model.safetensors").write_text("weights of step 2oo")

        monkeypatch.setattr(files, "_put_in_place", flip)
        with pytest.raises(BertwrightError, match="older checkpoints are kept"):
            save(run, 200, keep=1)
        assert names(run) == ["step-000100", "step-000200"]
        folder, warnings = run.resume_point()
        assert folder is not None
        assert folder.name == "step-000100"
        assert "model.safetensors differs" in warnings[0]


@pytest.mark.parametrize("pointer", [None, "step-000999", "", "../../etc", "\x00"], ids=["absent", "dangling", "empty", "outside", "strange"])
def test_the_newest_is_found_without_latest(tmp_path: Path, pointer: str | None) -> None:
    with RunFolder.open(tmp_path, write=True) as run:
        save(run, 100, best=True)
        save(run, 200)
        (tmp_path / "latest").unlink()
        (tmp_path / "best").unlink()
        if pointer is not None:
            (tmp_path / "latest").write_text(pointer)
            (tmp_path / "best").write_text(pointer)
        assert run.read_latest() == tmp_path / "checkpoints" / "step-000200"
        assert run.read_best() == tmp_path / "checkpoints" / "step-000100"
    with RunFolder.open(tmp_path, write=True):
        assert (tmp_path / "latest").read_text() == "step-000200\n"
        assert (tmp_path / "best").read_text() == "step-000100\n"


@pytest.mark.parametrize("damage", ["truncated", "flipped", "file lost", "manifest lost", "manifest damaged"])
def test_a_resume_falls_back_from_a_damaged_checkpoint_and_names_the_file(tmp_path: Path, damage: str) -> None:
    with RunFolder.open(tmp_path, write=True) as run:
        save(run, 100)
        weights = save(run, 200) / "model.safetensors"
        manifest = tmp_path / "checkpoints" / "step-000200" / MANIFEST
        content = weights.read_bytes()
        match damage:
            case "truncated":
                weights.write_bytes(content[:-1])
            case "flipped":
                weights.write_bytes(bytes([content[0] ^ 1]) + content[1:])
            case "file lost":
                weights.unlink()
            case "manifest lost":
                manifest.unlink()
            case _:
                manifest.write_bytes(manifest.read_bytes()[:40])
        folder, warnings = run.resume_point()
        assert folder == tmp_path / "checkpoints" / "step-000100"
        assert len(warnings) == 1
        assert "step-000200 is left aside" in warnings[0]
        assert ("manifest.json" if "manifest" in damage else "model.safetensors") in warnings[0]
        with pytest.raises(CheckpointError):
            verify(tmp_path / "checkpoints" / "step-000200", hashes=True)
        save(run, 200)
        assert run.resume_point() == (tmp_path / "checkpoints" / "step-000200", [])


def test_after_a_resume_from_an_older_checkpoint_the_new_branch_is_the_newest(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, write=True) as run:
        for step in (100, 200, 300):
            save(run, step)
        save(run, 150)
        assert run.resume_point()[0] == run.newest() == tmp_path / "checkpoints" / "step-000150"


def test_an_empty_run_folder_has_nothing_to_resume(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "absent")
    assert run.resume_point() == (None, [])
    assert run.newest() is run.read_latest() is run.read_best() is None


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    script = "import sys, time; from pathlib import Path; from bertwright.checkpoints.run_folder import RunFolder\n"
    script += "with RunFolder.open(Path(sys.argv[1]), write=True): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "held\n"
            with pytest.raises(InputError, match=rf"being written by another process \(pid {writer.pid}\)"), RunFolder.open(tmp_path, write=True):
                pass
            with RunFolder.open(tmp_path, write=False) as reader:
                assert reader.newest() is None
        finally:
            writer.kill()
    with RunFolder.open(tmp_path, write=True) as run:
        save(run, 100)


def test_leftovers_are_cleared_and_a_folder_moved_aside_comes_back(tmp_path: Path) -> None:
    for name in (".step-000100.12.tmp", ".step-000200.12.old", ".step-000300.12.old", ".step-000400.12.removed", "step-000300"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    for name in (".latest.12.tmp", ".mine.tmp", ".lock"):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".lock", ".mine.tmp", "step-000200", "step-000300"]
    assert (tmp_path / "step-000200" / "file").read_text() == ".step-000200.12.old"
    assert (tmp_path / "step-000300" / "file").read_text() == "step-000300"


def test_metrics_are_cut_back_to_the_step_resumed_from(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, write=True) as run:
        run.cut_metrics(0)
        run.append_metrics({"event": "start"})
        for step in (1, 2, 3):
            run.append_metrics({"step": step, "loss": float("nan") if step == 2 else 1.5})
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write('{"step": 2, "lo')
        run.cut_metrics(2)
        run.append_metrics({"step": 3, "loss": 1.0})
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == [{"event": "start"}, {"step": 1, "loss": 1.5}, {"step": 2, "loss": None}, {"step": 3, "loss": 1.0}]


@pytest.mark.parametrize("links", [True, False], ids=["with hard links", "without"])
def test_a_text_of_a_checkpoint_is_replaced_and_the_rest_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    with RunFolder.open(tmp_path, write=True) as run:
        folder = save(run, 100)
        before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        if not links:
            monkeypatch.setattr(os, "link", refused)
        run.rewrite(folder, {"README.md": "a card"})
        verify(folder, hashes=True)
    after = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after.pop(Path("README.md")) == b"a card"
    assert {path: content for path, content in after.items() if path.name != "manifest.json"} == {
        path: content for path, content in before.items() if path.name != "manifest.json"
    }

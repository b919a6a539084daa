"""Shards read back what was written, appear whole or not at all, and say which file is damaged."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bertwright.data.shards import TokenShards, token_dtype, write_shards
from bertwright.errors import BertwrightError, InputError

TRAIN = [[[5, 6, 7], [8]], [[9, 9]], [[5], [6, 7], [8, 9, 10]]]
VALIDATION = [[[7, 7], [6]]]


def write(folder: Path, **options: object) -> TokenShards:
    return write_shards(folder, train=TRAIN, validation=VALIDATION, vocab_size=11, tokenizer_hash="abc", **options)  # type: ignore[arg-type]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_reads_back_what_was_written(tmp_path: Path) -> None:
    table = np.arange(11) % 2 == 0
    shards = write(tmp_path / "shards", word_start_table=table)
    split = shards.train
    assert (split.num_documents, split.num_sentences, split.num_tokens) == (3, 6, 12)
    assert split.tokens.dtype == np.uint16
    found = [
        [split.tokens[split.sentences[s] : split.sentences[s + 1]].tolist() for s in range(split.documents[d], split.documents[d + 1])]
        for d in range(split.num_documents)
    ]
    assert found == TRAIN
    assert split.document_tokens.tolist() == [0, 4, 6, 12]
    assert split.word_starts.tolist() == [int(token % 2 == 0) for token in split.tokens]
    assert split.token_counts.tolist() == np.bincount(split.tokens, minlength=11).tolist()
    assert shards.validation.tokens.tolist() == [7, 7, 6]
    assert (shards.tokenizer_hash, shards.vocab_size, shards.tokenizer_folder) == ("abc", 11, tmp_path / "shards" / "tokenizer")


@pytest.mark.parametrize(("vocab_size", "dtype"), [(1 << 16, np.uint16), ((1 << 16) + 1, np.uint32)])
def test_tokens_take_the_smallest_type_that_holds_them(tmp_path: Path, vocab_size: int, dtype: type) -> None:
    shards = write_shards(tmp_path / "s", train=[[[vocab_size - 1]]], vocab_size=vocab_size)
    assert token_dtype(vocab_size) == dtype
    assert shards.train.tokens.tolist() == [vocab_size - 1]
    assert shards.validation.num_documents == shards.validation.num_tokens == 0


def test_arrays_cannot_be_written_to(tmp_path: Path) -> None:
    shards = write(tmp_path / "shards")
    with pytest.raises(ValueError, match="read-only"):
        shards.train.tokens[0] = 1


@pytest.mark.parametrize("name", ["tokens", "sentences", "documents", "word_starts", "token_counts"])
def test_damage_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path / "shards")
    path = tmp_path / "shards" / "train" / f"{name}.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    TokenShards.open(tmp_path / "shards")
    with pytest.raises(InputError, match=rf"train/{name}.bin: changed"):
        TokenShards.open(tmp_path / "shards", verify=True)
    path.write_bytes(whole[:-1])
    with pytest.raises(InputError, match=rf"train/{name}.bin: {len(whole) - 1} bytes instead of {len(whole)}"):
        TokenShards.open(tmp_path / "shards")
    path.unlink()
    with pytest.raises(InputError, match=rf"train/{name}.bin: missing"):
        TokenShards.open(tmp_path / "shards")


def test_what_are_no_shards_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        TokenShards.open(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no shards\.json"):
        TokenShards.open(tmp_path)
    for text, message in [("{", "damaged"), ("[]", "format is not"), ('{"format": "bertwright-shards", "version": 9}', "version 9")]:
        (tmp_path / "shards.json").write_text(text)
        with pytest.raises(InputError, match=message):
            TokenShards.open(tmp_path)


def test_a_finished_folder_is_replaced_only_when_asked(tmp_path: Path) -> None:
    write(tmp_path / "shards")
    with pytest.raises(InputError, match="--overwrite"):
        write(tmp_path / "shards")
    assert write_shards(tmp_path / "shards", train=[[[1]]], vocab_size=2, overwrite=True).train.num_tokens == 1
    assert names(tmp_path) == ["shards"]


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "only_copy.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds other files"):
        write(tmp_path / "thesis", overwrite=True)
    (tmp_path / "thesis" / "only_copy.txt").unlink()
    write(tmp_path / "thesis")


def test_an_error_leaves_nothing_and_the_old_shards_stay(tmp_path: Path) -> None:
    write(tmp_path / "shards")

    def failing_documents() -> Iterator[list[list[int]]]:
        yield [[1]]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_shards(tmp_path / "shards", train=failing_documents(), vocab_size=3, overwrite=True)
    assert names(tmp_path) == ["shards"]
    assert TokenShards.open(tmp_path / "shards", verify=True).train.num_documents == 3


def test_a_killed_writer_leaves_nothing_that_looks_finished_and_is_cleaned_up(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, numpy as np; from pathlib import Path; from bertwright.data.shards import ShardsWriter\n"
        "writer = ShardsWriter(Path(sys.argv[1])); writer.__enter__(); writer.begin(vocab_size=3, word_start_table=np.ones(3, dtype=bool))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = subprocess.run([sys.executable, "-c", script, tmp_path / "shards"], check=False)
    assert process.returncode == -signal.SIGKILL
    (leftover,) = names(tmp_path)
    assert leftover.startswith(".shards.incomplete-")
    with pytest.raises(InputError):
        TokenShards.open(tmp_path / "shards")
    write(tmp_path / "shards")
    assert names(tmp_path) == ["shards"]


@pytest.mark.parametrize("kill_at", range(1, 13))
def test_killed_while_replacing_leaves_the_old_or_the_new(tmp_path: Path, kill_at: int) -> None:
    """SIGKILL before the n-th fsync, rename or removal of an overwrite: what opens afterwards is one of the two, whole."""
    write(tmp_path / "shards")
    script = (
        "import os, pathlib, shutil, signal, sys\nfrom bertwright.data.shards import write_shards\ncalls = 0\n"
        "def counted(function):\n"
        "    def call(*arguments, **options):\n"
        "        global calls; calls += 1\n"
        f"        if calls == {kill_at}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return function(*arguments, **options)\n"
        "    return call\n"
        "os.fsync, pathlib.Path.rename, shutil.rmtree = map(counted, (os.fsync, pathlib.Path.rename, shutil.rmtree))\n"
        "write_shards(pathlib.Path(sys.argv[1]), train=[[[1]]], vocab_size=2, overwrite=True)"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "shards"], check=False)
    if not (tmp_path / "shards").exists():
        with pytest.raises(InputError, match="finished already"):
            write(tmp_path / "shards")
    documents = TokenShards.open(tmp_path / "shards", verify=True).train.num_documents
    assert documents in (1, 3)


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path; from bertwright.data.shards import write_shards\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "write_shards(Path(sys.argv[1]), train=[[[1] * 100000]], vocab_size=2)"
    )
    process = subprocess.run([sys.executable, "-c", script, tmp_path / "shards"], check=False, capture_output=True, text=True)
    assert process.returncode == 1
    assert BertwrightError.__name__ in process.stderr
    assert "nothing was written there" in process.stderr
    assert names(tmp_path) == []


def test_shards_json_lists_every_other_file(tmp_path: Path) -> None:
    write(tmp_path / "shards")
    info = json.loads((tmp_path / "shards" / "shards.json").read_text())
    files = {path.relative_to(tmp_path / "shards").as_posix() for path in (tmp_path / "shards").rglob("*.bin")}
    assert set(info["files"]) == files
    assert info["splits"]["train"] == {"documents": 3, "sentences": 6, "tokens": 12}

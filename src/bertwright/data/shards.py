"""Token shards: a prepared corpus as memory-mapped arrays, read by `TokenShards.open` and written by `ShardsWriter`.

    shards.json   format, dtype, counts, the tokenizer's hash, size and SHA-256 of every other file, the options of `prepare`
    corpus.json   the corpus report
    tokenizer/    a Hugging Face tokenizer folder
    train/, validation/
        tokens.bin        uint16 or uint32 [tokens], documents one after the other, no special tokens
        sentences.bin     int64 [sentences + 1], where each sentence begins, in tokens
        documents.bin     int64 [documents + 1], where each document begins, in sentences
        word_starts.bin   uint8 [tokens], 1 where a word begins
        token_counts.bin  int64 [vocab_size], how often each entry of the vocabulary occurs

All numbers are little-endian.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from bertwright.data.atomic import AtomicFolder
from bertwright.errors import InputError

FORMAT, VERSION = "bertwright-shards", 1
INFO = "shards.json"
SPLITS = ("train", "validation")

Int64Array = NDArray[np.int64]
TokenArray = NDArray[np.uint16] | NDArray[np.uint32]


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """The smallest of uint16 and uint32 that holds every id below `vocab_size`."""
    return np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")


@dataclass(frozen=True)
class Split:
    """One split, memory-mapped and read-only.

    tokens: uint16 or uint32 [T]; sentences: int64 [S + 1] token offsets; documents: int64 [D + 1] sentence offsets;
    word_starts: uint8 [T]; token_counts: int64 [vocab_size].
    """

    tokens: TokenArray
    sentences: Int64Array
    documents: Int64Array
    word_starts: NDArray[np.uint8]
    token_counts: Int64Array

    @property
    def num_documents(self) -> int:
        return len(self.documents) - 1

    @property
    def num_sentences(self) -> int:
        return len(self.sentences) - 1

    @property
    def num_tokens(self) -> int:
        return len(self.tokens)

    @cached_property
    def document_tokens(self) -> Int64Array:
        """int64 [D + 1]: where each document begins, in tokens."""
        return np.asarray(self.sentences[self.documents])


@dataclass(frozen=True)
class TokenShards:
    """A prepared corpus. `info` is shards.json as read."""

    folder: Path
    info: dict[str, Any]
    train: Split
    validation: Split

    @property
    def tokenizer_hash(self) -> str:
        return str(self.info["tokenizer_hash"])

    @property
    def vocab_size(self) -> int:
        return int(self.info["vocab_size"])

    @property
    def tokenizer_folder(self) -> Path:
        return self.folder / "tokenizer"

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = False) -> Self:
        """Opens the shards that `prepare` wrote. Every file's size is checked; with `verify` every file is read and its SHA-256 compared.

        Raises InputError when the folder is missing, unfinished, of another format, or any file is missing, cut or changed.
        """
        folder = Path(folder)
        info = _read_info(folder)
        _check_files(folder, info["files"], verify=verify)
        splits = [_open_split(folder, name, info) for name in SPLITS]
        return cls(folder, info, *splits)


def _read_info(folder: Path) -> dict[str, Any]:
    again = "prepare the text again"
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: make it with `bertwright prepare TEXT --out {folder}`")
    try:
        info = json.loads((folder / INFO).read_bytes())
    except FileNotFoundError:
        raise InputError(f"{folder}: no {INFO} in it, so these are no finished shards: make them with `bertwright prepare TEXT --out FOLDER`") from None
    except ValueError as error:
        raise InputError(f"{folder / INFO}: damaged ({error}): {again}") from error
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        raise InputError(f"{folder / INFO}: its format is not {FORMAT}: give a folder that `bertwright prepare` wrote")
    if info.get("version") != VERSION:
        raise InputError(f"{folder / INFO}: format version {info.get('version')}, this bertwright reads version {VERSION}: {again}")
    missing = [key for key in ("dtype", "vocab_size", "tokenizer_hash", "splits", "files") if key not in info]
    if missing:
        raise InputError(f"{folder / INFO}: damaged (without {', '.join(missing)}): {again}")
    return info


def _check_files(folder: Path, files: dict[str, dict[str, Any]], *, verify: bool) -> None:
    problems = []
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path}: missing: prepare the text again")
        elif (size := path.stat().st_size) != expected["bytes"]:
            problems.append(f"{path}: {size} bytes instead of {expected['bytes']}: prepare the text again")
        elif verify and sha256(path) != expected["sha256"]:
            problems.append(f"{path}: changed since it was written (SHA-256 differs): prepare the text again")
    if problems:
        raise InputError(*problems)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_split(folder: Path, split: str, info: dict[str, Any]) -> Split:
    counts = info["splits"][split]
    tokens, sentences, documents = counts["tokens"], counts["sentences"], counts["documents"]
    arrays = {
        "tokens": (info["dtype"], tokens),
        "sentences": ("<i8", sentences + 1),
        "documents": ("<i8", documents + 1),
        "word_starts": ("u1", tokens),
        "token_counts": ("<i8", info["vocab_size"]),
    }
    mapped = {}
    for name, (dtype, length) in arrays.items():
        path = folder / split / f"{name}.bin"
        expected = length * np.dtype(dtype).itemsize
        if (size := path.stat().st_size) != expected:
            raise InputError(f"{path}: {size} bytes where {INFO} says {expected}: prepare the text again")
        # An empty file cannot be mapped.
        mapped[name] = np.memmap(path, dtype=dtype, mode="r", shape=(length,)) if length else np.empty(0, dtype=dtype)
    return Split(**mapped)


class SplitWriter:
    """Writes one split, block by block; offsets and counts are kept as it goes."""

    def __init__(self, folder: Path, *, vocab_size: int, word_start_table: NDArray[np.bool_]) -> None:
        folder.mkdir()
        self.dtype = token_dtype(vocab_size)
        self.documents = self.sentences = self.tokens = self.words = 0
        self.token_counts = np.zeros(vocab_size, dtype="<i8")
        self._word_starts = word_start_table.astype(np.uint8)
        self._folder = folder
        self._files: dict[str, BinaryIO] = {name: (folder / f"{name}.bin").open("wb") for name in ("tokens", "sentences", "documents", "word_starts")}
        for name in ("sentences", "documents"):
            self._files[name].write(np.zeros(1, dtype="<i8").tobytes())

    def add(
        self, tokens: NDArray[Any], sentence_lengths: NDArray[Any], document_lengths: NDArray[Any], *, word_starts: NDArray[np.bool_] | None = None
    ) -> None:
        """Appends documents. tokens: [T]; sentence_lengths: [S], in tokens, sum T; document_lengths: [D], in sentences, sum S; word_starts: [T], in place
        of what the table says."""
        if len(tokens) != sentence_lengths.sum() or len(sentence_lengths) != document_lengths.sum():
            raise ValueError(f"lengths do not add up: {len(tokens)} tokens, {len(sentence_lengths)} sentences")
        ids = tokens.astype(self.dtype, copy=False)
        self.token_counts += np.bincount(ids, minlength=len(self.token_counts))
        self._files["tokens"].write(ids.tobytes())
        starts = self._word_starts[ids] if word_starts is None else word_starts.astype(np.uint8)
        self.words += int(starts.sum())
        self._files["word_starts"].write(starts.tobytes())
        self._files["sentences"].write((self.tokens + np.cumsum(sentence_lengths, dtype="<i8")).tobytes())
        self._files["documents"].write((self.sentences + np.cumsum(document_lengths, dtype="<i8")).tobytes())
        self.tokens += len(tokens)
        self.sentences += len(sentence_lengths)
        self.documents += len(document_lengths)

    def close(self) -> None:
        """Ends the split's files; nothing can be added afterwards."""
        for file in self._files.values():
            file.close()
        (self._folder / "token_counts.bin").write_bytes(self.token_counts.tobytes())

    def abandon(self) -> None:
        """Closes the files of a split that will be removed, even if what is buffered no longer fits on the disk."""
        for file in self._files.values():
            with suppress(OSError):
                file.close()


class ShardsWriter:
    """Context that writes a shards folder: `train.add`, `validation.add`, other files under `path`, then `commit`.

    The folder stands in its place only after `commit`; leaving the context without it removes everything.
    Raises InputError when `folder` is taken (finished shards are replaced with `overwrite`, other files never).
    """

    def __init__(self, folder: Path, *, overwrite: bool = False) -> None:
        self._folder = AtomicFolder(folder, marker=INFO, overwrite=overwrite)
        self.path = self._folder.path
        self._splits: tuple[SplitWriter, ...] = ()
        self._vocab_size = 0

    @property
    def train(self) -> SplitWriter:
        return self._splits[0]

    @property
    def validation(self) -> SplitWriter:
        return self._splits[1]

    def __enter__(self) -> Self:
        self._folder.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for split in self._splits:
            split.abandon()
        self._folder.__exit__(kind, error, trace)

    def begin(self, *, vocab_size: int, word_start_table: NDArray[np.bool_]) -> None:
        """Opens the two splits, once the tokenizer is known. word_start_table: bool [vocab_size]."""
        self._splits = tuple(SplitWriter(self.path / name, vocab_size=vocab_size, word_start_table=word_start_table) for name in SPLITS)
        self._vocab_size = vocab_size

    def close(self) -> None:
        """Ends both splits, so that their files can be read under `path`."""
        self.train.close()
        self.validation.close()

    def commit(self, *, tokenizer_hash: str, options: dict[str, Any]) -> None:
        """Ends both splits, writes shards.json over everything that stands under `path` and puts the folder in its place."""
        self.close()
        files = {
            path.relative_to(self.path).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }
        counts = {
            name: {"documents": split.documents, "sentences": split.sentences, "tokens": split.tokens} for name, split in zip(SPLITS, self._splits, strict=True)
        }
        info = {
            "format": FORMAT,
            "version": VERSION,
            "dtype": self.train.dtype.str,
            "vocab_size": self._vocab_size,
            "tokenizer_hash": tokenizer_hash,
            "splits": counts,
            "files": files,
            "options": options,
        }
        (self.path / INFO).write_text(json.dumps(info, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        self._folder.commit()


Documents = Iterable[Sequence[Sequence[int]]]


def write_shards(
    folder: Path,
    *,
    train: Documents,
    validation: Documents = (),
    vocab_size: int,
    word_start_table: NDArray[np.bool_] | None = None,
    tokenizer_hash: str = "",
    overwrite: bool = False,
) -> TokenShards:
    """Writes documents that are already token ids (documents of sentences of ids) and opens the result. Without a table every token begins a word."""
    table = np.ones(vocab_size, dtype=np.bool_) if word_start_table is None else word_start_table
    with ShardsWriter(folder, overwrite=overwrite) as writer:
        writer.begin(vocab_size=vocab_size, word_start_table=table)
        for split, documents in ((writer.train, train), (writer.validation, validation)):
            for document in documents:
                lengths = np.array([len(sentence) for sentence in document], dtype=np.int64)
                tokens = np.array([token for sentence in document for token in sentence], dtype=np.int64)
                split.add(tokens, lengths, np.array([len(document)]))
        writer.close()
        writer.commit(tokenizer_hash=tokenizer_hash, options={})
    return TokenShards.open(folder)

"""Bytes of any compression to clean lines of text, a chunk at a time: no file is ever held whole."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from bertwright.data.cleaning import Tally, clean, decode
from bertwright.data.sources import Source
from bertwright.errors import InputError

CHUNK = 1 << 18  # bytes
LONGEST_LINE = 1 << 20  # characters: a longer line is cut at a sentence's end or a space, so that 1 GB without a line break fits into memory
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, OSError, ValueError)


@contextmanager
def open_bytes(source: Source, tally: Tally) -> Iterator[BinaryIO]:
    """The source's bytes, decompressed. Progress on the disk is added to `tally.bytes_read`. Raises InputError when the file cannot be opened."""
    try:
        raw = source.path.open("rb")
    except OSError as error:
        raise InputError(f"{source.name}: cannot be read ({error.strerror})") from error
    with raw:
        yield _decompressed(cast("BinaryIO", _Counted(raw, tally)), source.compression)


def byte_chunks(source: Source, tally: Tally) -> Iterator[bytes]:
    """The source's bytes in chunks of at most `CHUNK`. Raises InputError for an archive that is cut or damaged."""
    with open_bytes(source, tally) as stream:
        read = 0
        while True:
            try:
                chunk = stream.read(CHUNK)
            except DAMAGE as error:
                kind = f"{source.compression} archive" if source.compression else "file"
                raise InputError(f"{source.name}: the {kind} is damaged or cut off after {read:,} bytes of content ({error}): fetch it again") from error
            if not chunk:
                return
            read += len(chunk)
            yield chunk


def text_chunks(source: Source, tally: Tally, *, errors: str, cleaned: bool = True) -> Iterator[str]:
    """The source as clean text with \\n line ends (from \\r\\n and \\r too), without a byte order mark.

    cleaned: without control and invisible characters; where places in the text are counted, they must stay.
    errors: "strict" raises InputError with the file and the byte offset of invalid UTF-8; "replace" and "skip" count it.
    """
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    offset, rest, first = 0, b"", True
    for chunk in _with_end(byte_chunks(source, tally)):
        data = rest + chunk
        whole = _complete(data) if chunk else len(data)
        text = decode(data[:whole], tally, errors=errors, where=source.name, offset=offset)
        offset, rest = offset + whole, data[whole:]
        if first and text:
            text, first = text.removeprefix("\ufeff"), False
        text = newlines.decode(text, final=not chunk)
        yield clean(text, tally) if cleaned else text


def lines(chunks: Iterable[str], tally: Tally, *, longest: int = LONGEST_LINE) -> Iterator[str]:
    """Lines without their ends. A line of more than `longest` characters is cut and counted."""
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        yield from whole
        while len(rest) > longest:
            cut = _last_end(rest, longest)
            tally.long_texts_cut += 1
            yield rest[:cut]
            rest = rest[cut:]
    if rest:
        yield rest


def _last_end(line: str, longest: int) -> int:
    """Where to cut: after the last sentence of the second half, else after its last space, else at `longest`."""
    end = max(line.rfind(mark, longest // 2, longest) for mark in (". ", "! ", "? ", "。", "！", "？"))
    return (end if end >= 0 else line.rfind(" ", longest // 2, longest)) + 1 or longest


def _with_end(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield from chunks
    yield b""


def _complete(data: bytes) -> int:
    """How many of the bytes end with a whole character: a character of UTF-8 takes at most four bytes."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if back < needed else len(data)
        if byte < 0x80:
            break
    return len(data)


def _decompressed(raw: BinaryIO, compression: str | None) -> BinaryIO:
    if compression == "gzip":
        return cast("BinaryIO", gzip.GzipFile(fileobj=raw))
    if compression == "bzip2":
        return cast("BinaryIO", bz2.BZ2File(raw))
    if compression == "xz":
        return cast("BinaryIO", lzma.LZMAFile(raw))
    if compression == "zstd":
        import pyarrow as pa

        # zstandard's own reader takes a cut archive for a finished one; Arrow's says so.
        return cast("BinaryIO", pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd"))
    return raw


class _Counted(io.RawIOBase):
    """A file that adds what is read of it to the tally."""

    def __init__(self, raw: BinaryIO, tally: Tally) -> None:
        self._raw = raw
        self._tally = tally

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        self._tally.bytes_read += len(data)
        return data

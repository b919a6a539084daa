"""The tokenizer of a corpus: the one that is given, or one trained on a sample of the text."""

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from bertwright.data.cleaning import Tally
from bertwright.data.documents import Reading, read_documents
from bertwright.data.new_words import find_new_words, words_of_file
from bertwright.data.sources import Sources
from bertwright.errors import InputError
from bertwright.text.backends import Kind
from bertwright.text.extension import extended_by_words
from bertwright.text.tokenizer import Tokenizer
from bertwright.text.training import train_tokenizer
from bertwright.text.words import Segment

SAMPLE = 1 << 25  # characters: a vocabulary learnt from 32 million hardly changes with more, and the trainer's memory is bounded
UNIGRAM_SAMPLE = 1 << 23  # characters: Unigram's trainer holds a suffix array of its text
UNPACKED = 4  # bytes of text in a byte of an archive, about

# Entries for a text of fewer bytes than the first number: about one for every 250 bytes at the lower end, BERT's own 30,522 from half a gigabyte.
SIZES = ((100_000, 1024), (300_000, 2048), (1_000_000, 4096), (60_000_000, 8192), (500_000_000, 16384))
LARGEST_GUESS = 30_522
WORDS = 50_000  # a word-level vocabulary is bounded by how often a word occurs
MIN_FREQUENCY = {"word": 5}


def guess_vocab_size(size: int, *, kind: str) -> int:
    """A vocabulary for `size` bytes of text."""
    if kind == "word":
        return WORDS
    return next((entries for limit, entries in SIZES if size < limit), LARGEST_GUESS)


def text_size(sources: Sources) -> int:
    """Bytes of text, estimated for archives."""
    return sum(source.size * (UNPACKED if source.compression else 1) for source in sources.files)


def load_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of a vocab.txt, a tokenizer.json, or a folder that holds one, shards too; raises InputError as `Tokenizer.load` does."""
    return Tokenizer.load(Path(name).expanduser())


class Extended(NamedTuple):
    """A tokenizer with new entries, and the one that it extends."""

    tokenizer: Tokenizer
    base: Tokenizer


def extend(
    base: Tokenizer, asked: int | str, sources: Sources, reading: Reading, *, segment: Segment | None, seed: int, progress: Callable[[int], None]
) -> Extended:
    """A tokenizer with `asked` new entries found in the sources, or with those of a file that has one word a line. segment: finds Chinese words.

    Raises InputError where a word exists already or cannot be held, and where the text gives too few.
    """
    if isinstance(asked, str):
        return Extended(extended_by_words(base, words_of_file(_lines(Path(asked).expanduser()), asked)), base)
    texts, _ = _sample(sources, reading, limit=SAMPLE, size=text_size(sources), seed=seed, progress=progress)
    return Extended(find_new_words(base, texts, count=asked, segment=segment), base)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError) as error:
        raise InputError(f"add_vocabulary {path}: cannot be read ({error}): give a UTF-8 file with one word a line") from None


def train_on(
    sources: Sources,
    reading: Reading,
    *,
    kind: Kind,
    vocab_size: int | None,
    lowercase: bool,
    min_frequency: int | None,
    unknown_marker: re.Pattern[str] | None,
    seed: int,
    progress: Callable[[int], None],
) -> tuple[Tokenizer, str]:
    """A tokenizer trained on the sources, and a sentence that says how. `progress` gets the bytes read so far.

    Raises InputError when the text does not give as many entries as were asked for, or holds no text.
    """
    limit = UNIGRAM_SAMPLE if kind == "unigram" else SAMPLE
    size = text_size(sources)
    texts, whole = _sample(sources, reading, limit=limit, size=size, seed=seed, progress=progress)
    if not texts:
        names = ", ".join(source.name for source in sources.files[:3]) + (", ..." if len(sources.files) > 3 else "")
        raise InputError(f"{names}: no text in it, only blank lines or nothing: give a file with text")
    if unknown_marker is not None:
        texts = [unknown_marker.sub(" ", text) for text in texts]
    asked = vocab_size or guess_vocab_size(size or sum(map(len, texts)), kind=kind)
    frequency = min_frequency or MIN_FREQUENCY.get(kind, 2)
    tokenizer = train_tokenizer(texts, kind=kind, vocab_size=asked, lowercase=lowercase, min_frequency=frequency)
    if vocab_size is not None and tokenizer.vocab_size < vocab_size:
        raise InputError(
            f"vocab_size {vocab_size}: larger than the text allows: it gives {tokenizer.vocab_size} entries that occur {frequency} times or more: "
            f"take at most that, leave --vocab_size out, or lower --min_frequency"
        )
    part = "" if whole else f" on a sample of {sum(map(len, texts)) / 1e6:.0f} million characters"
    guessed = "" if vocab_size else ", a size guessed from that of the text"
    return tokenizer, f"{kind} trained here{part}{guessed}"


def _sample(sources: Sources, reading: Reading, *, limit: int, size: int, seed: int, progress: Callable[[int], None]) -> tuple[list[str], bool]:
    """Texts of about `limit` characters, drawn evenly from all sources; and whether that is everything."""
    share = min(1.0, limit / max(size, 1))
    draw = random.Random(seed)
    tally = Tally()
    texts: list[str] = []
    characters = 0
    whole = share == 1.0
    for text in _texts(sources, reading, tally):
        if share < 1.0 and draw.random() >= share:
            continue
        texts.append(text)
        characters += len(text)
        if characters > limit:
            return texts, False
        if not len(texts) % 1000:
            progress(tally.bytes_read)
    if not texts and not whole:
        texts = [text for text, _ in zip(_texts(sources, reading, tally), range(1000), strict=False)]
    return texts, whole


def _texts(sources: Sources, reading: Reading, tally: Tally) -> Iterator[str]:
    # One line at a time: whole documents would make the draw uneven, and sentences are not needed here.
    lines = Reading(reading.documents, "line", reading.text_column, reading.encoding_errors)
    for source in sources.files:
        for document in read_documents(source, lines, tally):
            yield from document.sentences

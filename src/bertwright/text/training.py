"""Trains a tokenizer on text: the same text gives the same tokenizer, piece for piece and id for id."""

import itertools
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from bertwright.errors import InputError
from bertwright.text.backends import KINDS, Kind, assemble, normalizer, pre_tokenizer
from bertwright.text.special import SpecialTokens
from bertwright.text.surrogates import without_surrogates
from bertwright.text.tokenizer import Tokenizer

SPECIAL = SpecialTokens()
NUM_SPECIAL = len(SPECIAL.in_order())

ALPHABET_SHARE = 0.25
"""Part of the vocabulary that single characters may take before rare ones are left out."""

CHARACTER_COVERAGE = 0.9995
"""Part of a text's characters that always get a piece of their own, where there are many: SentencePiece's default (Kudo and Richardson 2018)."""

LONGEST_TEXT = 20_000
"""Characters handed to a trainer in one piece: a line of a gigabyte would be held several times over."""


def train_tokenizer(texts: Iterable[str], *, kind: Kind, vocab_size: int, lowercase: bool, min_frequency: int) -> Tokenizer:
    """Trains a tokenizer of at most `vocab_size` pieces, [PAD] [UNK] [CLS] [SEP] [MASK] first; a text that has no more pieces to give yields fewer.

    `min_frequency`: how often a word ("word"), a pair to be merged ("wordpiece", "bpe") or a character ("wordpiece", "unigram") must occur.
    WordPiece and Unigram read the texts twice, so an iterator is held in memory; byte-level BPE and word-level stream it.
    Raises InputError for an unknown kind, a vocabulary too small for the kind and texts without any character.
    """
    if kind not in KINDS:
        raise InputError(f"tokenizer kind {kind!r}: not one of {', '.join(KINDS)}")
    smallest = NUM_SPECIAL + (len(pre_tokenizers.ByteLevel.alphabet()) if kind == "bpe" else 3)
    if vocab_size < smallest:
        raise InputError(f"vocab_size {vocab_size}: a {kind} tokenizer needs {smallest} or more, {NUM_SPECIAL} of them special tokens")
    train = {"wordpiece": _train_wordpiece, "bpe": _train_bpe, "unigram": _train_unigram, "word": _train_words}[kind]
    model = train(texts, vocab_size, lowercase, min_frequency)
    return Tokenizer(assemble(model, kind=kind, lowercase=lowercase, special=SPECIAL), SPECIAL)


def _train_wordpiece(texts: Iterable[str], vocab_size: int, lowercase: bool, min_frequency: int) -> Any:
    """The library numbers "##" characters in the order of a hash map that differs from run to run, and breaks ties by number: so they are given as
    special tokens, whose order stands."""
    texts = texts if isinstance(texts, Sequence) else list(texts)
    bare = _bare(models.WordPiece(unk_token=SPECIAL.unk), "wordpiece", lowercase=lowercase)
    ranked = _normalized(_count_characters(texts), bare, min_frequency=min_frequency)
    inside = {letter for letter, _ in ranked if _continues_words(letter, bare)}
    alphabet = sorted(_choose_alphabet(ranked, vocab_size=vocab_size, cost=lambda letter: 1 + (letter in inside)))
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[*SPECIAL.in_order(), *(f"##{letter}" for letter in alphabet if letter in inside)],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    bare.train_from_iterator(_short(texts), trainer)
    vocabulary = _vocabulary(bare)
    left_out = (piece for letter, _ in ranked if letter not in alphabet for piece in (letter, f"##{letter}")[: 1 + (letter in inside)])
    for piece in itertools.islice(left_out, max(0, vocab_size - len(vocabulary))):  # room that no longer piece took
        vocabulary.setdefault(piece, len(vocabulary))
    return models.WordPiece(vocabulary, unk_token=SPECIAL.unk, max_input_chars_per_word=100)


def _train_bpe(texts: Iterable[str], vocab_size: int, lowercase: bool, min_frequency: int) -> Any:
    bare = _bare(models.BPE(), "bpe", lowercase=lowercase)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(SPECIAL.in_order()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bare.train_from_iterator(_some(_short(texts)), trainer)
    return bare.model


def _train_unigram(texts: Iterable[str], vocab_size: int, lowercase: bool, min_frequency: int) -> Any:
    texts = texts if isinstance(texts, Sequence) else list(texts)
    bare = _bare(models.Unigram(), "unigram", lowercase=lowercase)
    counts = _count_characters(unicodedata.normalize("NFKC", text) for text in texts)
    ranked = _normalized(counts, bare, min_frequency=min_frequency)
    alphabet = _choose_alphabet(ranked, vocab_size=vocab_size, cost=lambda _: 1)
    rare = {ord(letter): " " for letter in _letters(counts) if not set(_clean(letter, bare)) <= alphabet}
    trainer = trainers.UnigramTrainer(vocab_size=vocab_size, special_tokens=list(SPECIAL.in_order()), unk_token=SPECIAL.unk, show_progress=False)
    bare.train_from_iterator((unicodedata.normalize("NFKC", text).translate(rare) for text in _short(texts)), trainer)
    scored = _settled(json.loads(bare.to_str())["model"]["vocab"][NUM_SPECIAL:])
    return models.Unigram([(name, 0.0) for name in SPECIAL.in_order()] + scored, unk_id=1, byte_fallback=False)


def _settled(entries: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Pieces and scores without what differs from run to run, the best first.

    The library sums in the order of a hash map, which moves the last digits; and it gives characters that training had dropped the lowest score plus
    0.0001 for each one before it in a hash map: here all of these get the lowest.
    """
    lowest = min(score for _, score in entries)
    singles = sum(len(piece) == 1 for piece, _ in entries)
    band = lowest + 0.0001 * singles
    level = [(piece, round(lowest if len(piece) == 1 and score <= band else score, 6)) for piece, score in entries]
    return sorted(level, key=lambda entry: (-entry[1], entry[0]))


def _train_words(texts: Iterable[str], vocab_size: int, lowercase: bool, min_frequency: int) -> Any:
    bare = _bare(models.WordLevel(unk_token=SPECIAL.unk), "word", lowercase=lowercase)
    trainer = trainers.WordLevelTrainer(vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=list(SPECIAL.in_order()), show_progress=False)
    bare.train_from_iterator(_some(_short(texts)), trainer)
    return models.WordLevel(_vocabulary(bare), unk_token=SPECIAL.unk)


def _bare(model: Any, kind: Kind, *, lowercase: bool) -> tokenizers.Tokenizer:
    """A backend as far as training needs it."""
    backend = tokenizers.Tokenizer(model)
    cleaner = normalizer(kind, lowercase=lowercase)
    if cleaner is not None:
        backend.normalizer = cleaner
    backend.pre_tokenizer = pre_tokenizer(kind)
    return backend


def _vocabulary(backend: tokenizers.Tokenizer) -> dict[str, int]:
    vocabulary: dict[str, int] = json.loads(backend.to_str())["model"]["vocab"]
    return vocabulary


def _short(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for start in range(0, len(text), LONGEST_TEXT):
            yield without_surrogates(text[start : start + LONGEST_TEXT])


def _some(texts: Iterator[str]) -> Iterator[str]:
    """The texts, or an InputError at their end when all of them were blank."""
    blank = True
    for text in texts:
        blank = blank and not text.strip()
        yield text
    if blank:
        raise _no_text()


def _no_text() -> InputError:
    return InputError("no text to train a tokenizer on: every text is empty or blank, give more text or take a tokenizer with --tokenizer")


def _count_characters(texts: Iterable[str]) -> npt.NDArray[np.int64]:
    """[code point] how often each character occurs."""
    counts = np.zeros(0x110000, dtype=np.int64)
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text)
        size += len(text)
        if size > 1_000_000:
            _add_characters(counts, block)
            block, size = [], 0
    _add_characters(counts, block)
    return counts


def _add_characters(counts: npt.NDArray[np.int64], block: list[str]) -> None:
    codes = np.frombuffer("".join(block).encode("utf-32-le", "replace"), dtype=np.uint32)
    found = np.bincount(codes)
    counts[: len(found)] += found


def _letters(counts: npt.NDArray[np.int64]) -> list[str]:
    return [chr(code) for code in np.flatnonzero(counts)]


def _clean(letter: str, backend: tokenizers.Tokenizer) -> str:
    """What the backend's normaliser makes of one character, without spaces."""
    normalized: str = backend.normalizer.normalize_str(letter)
    return "".join(normalized.split())


def _normalized(counts: npt.NDArray[np.int64], backend: tokenizers.Tokenizer, *, min_frequency: int) -> list[tuple[str, int]]:
    """The characters left after normalising, with their counts, the most frequent first. Raises InputError where nothing is left."""
    totals: dict[str, int] = {}
    for letter in _letters(counts):
        for part in _clean(letter, backend):
            totals[part] = totals.get(part, 0) + int(counts[ord(letter)])
    if not totals:
        raise _no_text()
    frequent = {letter: count for letter, count in totals.items() if count >= min_frequency} or totals
    return sorted(frequent.items(), key=lambda entry: (-entry[1], entry[0]))


def _continues_words(letter: str, backend: tokenizers.Tokenizer) -> bool:
    """Whether a character can stand inside a word: punctuation and Chinese characters never do."""
    return len(backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(f"a{letter}a"))) == 1


def _choose_alphabet(ranked: list[tuple[str, int]], *, vocab_size: int, cost: Callable[[str], int]) -> set[str]:
    """The characters that get pieces: the most frequent ones up to `ALPHABET_SHARE` of the vocabulary, more where `CHARACTER_COVERAGE` asks for them, and
    always leaving a tenth of the vocabulary to longer pieces. `cost`: pieces that a character takes."""
    free = vocab_size - NUM_SPECIAL
    total = sum(count for _, count in ranked)
    chosen: set[str] = set()
    used = covered = 0
    for letter, count in ranked:
        used += cost(letter)
        if used > 0.9 * free or (used > ALPHABET_SHARE * free and covered >= CHARACTER_COVERAGE * total):
            break
        chosen.add(letter)
        covered += count
    return chosen

"""Vocabularies in text files: BERT's vocab.txt, and vocab.json with merges.txt of the BPE families."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers

from bertwright.errors import InputError
from bertwright.text.backends import Merges, bert_normalizer, bert_wordpiece, byte_bpe, gpt_bpe, pair_template, roberta_bpe
from bertwright.text.families import BERT, GPT, GPT2, TextFamily, of_merges
from bertwright.text.parsing import Declared, read_text
from bertwright.text.special import NAMES, SpecialTokens, find_special_tokens


def from_vocab_txt(file: Path, declared: Declared, *, split_chinese: bool) -> tuple[tokenizers.Tokenizer, SpecialTokens]:
    """BERT's WordPiece of a vocab.txt, uncased if the files do not say and no entry has an upper-case letter.

    Raises InputError for repeated lines, missing special tokens and what is no vocabulary.
    """
    entries = read_text(file).replace("\r\n", "\n").rstrip("\n").split("\n")
    vocabulary: dict[str, int] = {}
    repeats = []
    for index, piece in enumerate(entries):
        if piece in vocabulary:
            repeats.append(f"{file}: line {index + 1} repeats line {vocabulary[piece] + 1} ({piece!r}): every entry has one line, whose number is its id")
        else:
            vocabulary[piece] = index
    if not any(name in vocabulary for names in NAMES.values() for name in names) and not declared.keys:
        raise InputError(f"{file}: not a vocabulary: no line is [PAD], [UNK], [CLS], [SEP] or [MASK]: give a vocab.txt, a tokenizer.json or a folder")
    if repeats:
        more = [f"{file}: {len(repeats) - 5} more repeated lines"] if len(repeats) > 5 else []
        raise InputError(*repeats[:5], *more)
    added = declared.beyond(vocabulary)
    special = find_special_tokens(_with(vocabulary, added), declared.keys, source=str(file), names=BERT.names, required=BERT.required)
    lowercase = declared.keys.get("do_lower_case")
    cleaner = bert_normalizer(
        lowercase=_is_uncased(vocabulary) if lowercase is None else bool(lowercase),
        split_chinese=split_chinese and declared.keys.get("tokenize_chinese_chars", True) is not False,
        strip_accents=declared.keys.get("strip_accents"),
    )
    return bert_wordpiece(vocabulary, special, cleaner=cleaner, added=added), special


def from_vocab_json(file: Path, vocabulary: dict[str, int], declared: Declared) -> tuple[tokenizers.Tokenizer, SpecialTokens]:
    """The BPE of a vocab.json and the merges.txt beside it: GPT's, GPT-2's or RoBERTa's, as the files or else the entries say.

    Raises InputError for a missing merges.txt, merges of another vocabulary and missing special tokens.
    """
    family = declared.family
    if family is None or family.reads != "vocab.json":
        family = of_merges(vocabulary)
    merges = Merges(vocabulary, _read_merges(file, vocabulary), declared.beyond(vocabulary))
    special = find_special_tokens(_with(vocabulary, merges.added), declared.keys, source=str(file), names=family.names, required=family.required)
    return _bpe(merges, special, family=family, prefix_space=declared.keys.get("add_prefix_space") is True), special


def _with(vocabulary: Mapping[str, int], added: Sequence[tokenizers.AddedToken]) -> set[str]:
    return {*vocabulary, *(token.content for token in added)}


def _bpe(merges: Merges, special: SpecialTokens, *, family: TextFamily, prefix_space: bool) -> tokenizers.Tokenizer:
    if family not in (GPT, GPT2):
        return roberta_bpe(merges, special, prefix_space=prefix_space)
    backend = gpt_bpe(merges, special) if family is GPT else byte_bpe(merges, special, prefix_space=prefix_space)
    backend.post_processor = pair_template(backend, special, family)
    return backend


def _read_merges(file: Path, vocabulary: dict[str, Any]) -> list[tuple[str, str]]:
    merges_file = file.with_name("merges.txt")
    if not merges_file.is_file():
        raise InputError(f"{merges_file}: missing beside {file.name}: BPE needs both, give the merges.txt that belongs to it")
    lines = [line for line in read_text(merges_file).replace("\r\n", "\n").split("\n") if line and not line.startswith("#version")]
    merges = []
    for line in lines:
        left, _, right = line.partition(" ")
        if not right or not {left, right, left + right} <= vocabulary.keys():
            raise InputError(f"{merges_file}: {line!r} does not merge two entries of {file.name}: give the merges.txt that belongs to it")
        merges.append((left, right))
    return merges


def _is_uncased(vocabulary: dict[str, int]) -> bool:
    """Whether no entry has an upper-case letter. Names in brackets are no text, such as [CLS] or the <S> of the Chinese vocabulary, and a full-width
    letter is a symbol of Chinese text, which the uncased vocabularies of UER keep."""
    full_width = range(0xFF21, 0xFF3B)
    texts = (piece for piece in vocabulary if piece[:1] + piece[-1:] not in ("[]", "<>"))
    return not any(piece != piece.lower() and not all(ord(letter) in full_width for letter in piece if letter.isupper()) for piece in texts)

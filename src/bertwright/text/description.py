"""What a backend is, read from its JSON: kind, case, the mark of a word's start, and the hash that shards and checkpoints are compared by."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers

from bertwright.errors import InputError
from bertwright.text.backends import Kind, pair_template
from bertwright.text.special import SpecialTokens

_KINDS: dict[str, Kind] = {"WordPiece": "wordpiece", "BPE": "bpe", "Unigram": "unigram", "WordLevel": "word"}

BYTE_SPACES = tuple("ĠĊĉčċČ")
"""How byte-level BPE writes space, line feed, tab, carriage return, vertical tab and form feed."""


@dataclass(frozen=True)
class Description:
    """`bert_options` are the keys that rebuild the backend as transformers' BertTokenizer, None where that class cannot."""

    kind: Kind
    lowercase: bool
    hash: str
    word_starts: npt.NDArray[np.bool_]
    bert_options: dict[str, bool | None] | None


def describe(backend: tokenizers.Tokenizer, special: SpecialTokens) -> Description:
    """Reads a backend once. Raises InputError for a model of no known kind."""
    parts: dict[str, Any] = json.loads(backend.to_str())
    model_type = parts["model"]["type"]
    if model_type not in _KINDS:
        raise InputError(f"tokenizer.json: model type {model_type} is not one of {', '.join(_KINDS)}: take another tokenizer")
    kind = _KINDS[model_type]
    return Description(
        kind=kind,
        lowercase=_lowers(parts["normalizer"]),
        hash=_hash(parts, special),
        word_starts=_word_starts(backend, special, kind=kind, parts=parts),
        bert_options=_bert_options(backend, special, parts),
    )


def special_ids(backend: tokenizers.Tokenizer, special: SpecialTokens) -> tuple[int, ...]:
    """Ids of the five special tokens and of every other that the backend holds for special, ascending."""
    entries = backend.get_vocab(with_added_tokens=True)
    ids = {entries[name] for name in special.in_order()}
    ids.update(index for index, token in backend.get_added_tokens_decoder().items() if token.special)
    return tuple(sorted(ids))


def pieces(backend: tokenizers.Tokenizer) -> list[str]:
    """id -> piece; an id that no piece has is an empty string."""
    entries = backend.get_vocab(with_added_tokens=True)
    listed = [""] * (max(entries.values()) + 1)
    for piece, index in entries.items():
        listed[index] = piece
    return listed


def _lowers(part: Any) -> bool:
    if not isinstance(part, dict):
        return False
    if part["type"] == "Sequence":
        return any(_lowers(inner) for inner in part["normalizers"])
    return part["type"] == "Lowercase" or (part["type"] == "BertNormalizer" and bool(part["lowercase"]))


def _hash(parts: dict[str, Any], special: SpecialTokens) -> str:
    """SHA-256 of what decides the ids of a text; template, decoder, padding and truncation do not, and differ between vocab.txt and tokenizer.json."""
    deciding = {key: parts[key] for key in ("normalizer", "pre_tokenizer", "model", "added_tokens")}
    deciding["special_tokens"] = special.for_transformers()
    canonical = json.dumps(deciding, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _word_starts(backend: tokenizers.Tokenizer, special: SpecialTokens, *, kind: Kind, parts: dict[str, Any]) -> npt.NDArray[np.bool_]:
    listed = pieces(backend)
    if kind == "word":
        return np.ones(len(listed), dtype=np.bool_)
    if kind == "wordpiece":
        prefix = parts["model"]["continuing_subword_prefix"]
        starts = [not piece.startswith(prefix) for piece in listed]
    else:
        marks = BYTE_SPACES if "ByteLevel" in json.dumps(parts["pre_tokenizer"]) else ("▁",)
        starts = [piece.startswith(marks) for piece in listed]
    table = np.array(starts, dtype=np.bool_)
    table[list(special_ids(backend, special))] = True
    return table


def _bert_options(backend: tokenizers.Tokenizer, special: SpecialTokens, parts: dict[str, Any]) -> dict[str, bool | None] | None:
    model, cleaner = parts["model"], parts["normalizer"] or {}
    added = {token["content"]: token for token in parts["added_tokens"]}
    plain = not any(token[flag] for token in added.values() for flag in ("single_word", "lstrip", "rstrip", "normalized"))
    template = json.loads(pair_template(backend, special).__getstate__())
    own = (
        model["type"] == "WordPiece"
        and (model["continuing_subword_prefix"], model["max_input_chars_per_word"]) == ("##", 100)
        and cleaner.get("type") == "BertNormalizer"
        and cleaner["clean_text"]
        and (parts["pre_tokenizer"] or {}).get("type") == "BertPreTokenizer"
        and parts["post_processor"] == template
        and set(added) == set(special.in_order())
        and plain
    )
    if not own:
        return None
    return {"do_lower_case": cleaner["lowercase"], "tokenize_chinese_chars": cleaner["handle_chinese_chars"], "strip_accents": cleaner["strip_accents"]}

"""What a backend is, read from its JSON: kind, case, the mark of a word's start, and the hash that shards and checkpoints are compared by."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers

from bertwright.errors import InputError
from bertwright.text.backends import WORD_END, Kind, pair_template
from bertwright.text.origin import Segmenter
from bertwright.text.special import ROLES, SpecialTokens

_KINDS: dict[str, Kind] = {"WordPiece": "wordpiece", "BPE": "bpe", "Unigram": "unigram", "WordLevel": "word"}

BYTE_SPACES = tuple("ĠĊĉčċČ")
"""How byte-level BPE writes space, line feed, tab, carriage return, vertical tab and form feed."""


@dataclass(frozen=True)
class Description:
    """`tokenizer_class` and `options` are what tokenizer_config.json must say for transformers to make the same tokenizer: a class that rebuilds it from
    its vocabulary and these keys, or PreTrainedTokenizerFast, which reads tokenizer.json."""

    kind: Kind
    lowercase: bool
    hash: str
    word_starts: npt.NDArray[np.bool_]
    tokenizer_class: str
    options: dict[str, bool | None]


def describe(backend: tokenizers.Tokenizer, special: SpecialTokens, *, segmenter: Segmenter | None = None) -> Description:
    """Reads a backend once. Raises InputError for a model of no known kind."""
    parts: dict[str, Any] = json.loads(backend.to_str())
    model_type = parts["model"]["type"]
    if model_type not in _KINDS:
        raise InputError(f"tokenizer.json: model type {model_type} is not one of {', '.join(_KINDS)}: take another tokenizer")
    kind = _KINDS[model_type]
    tokenizer_class, options = _for_transformers(backend, special, parts, segmenter=segmenter)
    return Description(
        kind=kind,
        lowercase=_lowers(parts["normalizer"]),
        hash=_hash(parts, special, segmenter=segmenter),
        word_starts=_word_starts(backend, special, kind=kind, parts=parts),
        tokenizer_class=tokenizer_class,
        options=options,
    )


def special_ids(backend: tokenizers.Tokenizer, special: SpecialTokens) -> tuple[int, ...]:
    """Ids of the tokens that have a role and of every other that the backend holds for special, ascending."""
    entries = backend.get_vocab(with_added_tokens=True)
    ids = {entries[name] for name in special.in_order()}
    ids.update(index for index, token in backend.get_added_tokens_decoder().items() if token.special)
    return tuple(sorted(ids))


def additional_special_tokens(backend: tokenizers.Tokenizer, special: SpecialTokens) -> list[tokenizers.AddedToken]:
    """The special tokens that have no role, by id."""
    roles = special.in_order()
    return [token for _, token in sorted(backend.get_added_tokens_decoder().items()) if token.special and token.content not in roles]


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


def _hash(parts: dict[str, Any], special: SpecialTokens, *, segmenter: Segmenter | None) -> str:
    """SHA-256 of what decides the ids of a text; template, decoder, padding and truncation do not, and differ between vocab.txt and tokenizer.json.
    Nor does it matter to a text which token begins or ends a generated one."""
    deciding = {key: parts[key] for key in ("normalizer", "pre_tokenizer", "model", "added_tokens")}
    deciding["special_tokens"] = {f"{role}_token": name for role, name in special.by_role().items() if role in ROLES}
    if segmenter is not None:
        deciding["segmenter"] = segmenter
    canonical = json.dumps(deciding, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _word_starts(backend: tokenizers.Tokenizer, special: SpecialTokens, *, kind: Kind, parts: dict[str, Any]) -> npt.NDArray[np.bool_]:
    listed = pieces(backend)
    if kind == "word" or (kind == "bpe" and parts["model"]["end_of_word_suffix"] == WORD_END):
        return np.ones(len(listed), dtype=np.bool_)
    if kind == "wordpiece":
        prefix = parts["model"]["continuing_subword_prefix"]
        starts = [not piece.startswith(prefix) for piece in listed]
    else:
        # A space as such stands only in tokens that were added to a byte-level vocabulary.
        marks = (*BYTE_SPACES, " ", "\t", "\n") if "ByteLevel" in json.dumps(parts["pre_tokenizer"]) else ("▁",)
        starts = [piece.startswith(marks) for piece in listed]
    table = np.array(starts, dtype=np.bool_)
    table[list(special_ids(backend, special))] = True
    return table


def _for_transformers(
    backend: tokenizers.Tokenizer, special: SpecialTokens, parts: dict[str, Any], *, segmenter: Segmenter | None
) -> tuple[str, dict[str, bool | None]]:
    cleaner = parts["normalizer"] or {}
    options = {key: cleaner.get(name) for key, name in (("do_lower_case", "lowercase"), ("strip_accents", "strip_accents"))}
    if segmenter is not None:
        return "RoFormerTokenizer", options
    if _is_berts(backend, special, parts):
        return "BertTokenizer", {**options, "tokenize_chinese_chars": cleaner["handle_chinese_chars"]}
    return "PreTrainedTokenizerFast", {}


def _is_berts(backend: tokenizers.Tokenizer, special: SpecialTokens, parts: dict[str, Any]) -> bool:
    """Whether transformers' BertTokenizer, which looks at the vocabulary and a few options only, is the same tokenizer."""
    model, cleaner = parts["model"], parts["normalizer"] or {}
    added = {token["content"]: token for token in parts["added_tokens"]}
    plain = not any(token[flag] for token in added.values() for flag in ("single_word", "lstrip", "rstrip", "normalized"))
    return bool(
        model["type"] == "WordPiece"
        and (model["continuing_subword_prefix"], model["max_input_chars_per_word"]) == ("##", 100)
        and cleaner.get("type") == "BertNormalizer"
        and cleaner["clean_text"]
        and (parts["pre_tokenizer"] or {}).get("type") == "BertPreTokenizer"
        and set(special.by_role()) >= set(ROLES)
        and parts["post_processor"] == json.loads(pair_template(backend, special).__getstate__())
        and set(added) == set(special.in_order())
        and plain
    )

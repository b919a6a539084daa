"""SentencePiece models as Unigram backends: ALBERT's, T5's, XLM-RoBERTa's and XLNet's."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from bertwright.errors import InputError
from bertwright.text.backends import pair_template
from bertwright.text.families import FAMILIES, TextFamily, of_pieces
from bertwright.text.origin import Loaded, Origin, PieceFile
from bertwright.text.parsing import Declared
from bertwright.text.special import SpecialTokens, find_special_tokens

# sentencepiece_model.proto of google/sentencepiece
_UNIGRAM = 1
_MODEL_TYPES = {2: "BPE", 3: "WORD", 4: "CHAR"}
_CONTROL, _USER_DEFINED = 3, 4

_SPACE = "▁"


@dataclass(frozen=True)
class _Model:
    """`entries`: (piece, score) by id. `control` and `given`: pieces that are no text, and those that a text is cut at before anything else."""

    entries: list[tuple[str, float]]
    control: tuple[str, ...]
    given: tuple[str, ...]
    unk_id: int
    charsmap: bytes


def from_sentencepiece(file: Path, declared: Declared) -> Loaded:
    """The Unigram backend of a .model file: of the family that its neighbours name, else that its pieces look like.

    Raises InputError where the libraries that read it are missing, and for a damaged model, one that is not Unigram and one of no family here.
    """
    content = file.read_bytes()
    model = _parse(file, content)
    family = _family(file, model, declared)
    entries, unk_id = _numbered(file, model, family, declared.keys)
    vocabulary = {piece for piece, _ in entries}
    added = declared.beyond(vocabulary)
    special = find_special_tokens(
        {*vocabulary, *(token.content for token in added)}, declared.keys, source=str(file), names=family.names, required=family.required
    )
    try:
        backend = _unigram(entries, unk_id, cleaner=_normalizer(model.charsmap, family, declared.keys), prefix_space=declared.keys.get("add_prefix_space"))
    except Exception as error:  # the library raises nothing narrower
        raise _damaged(file, error) from error
    backend.add_tokens(added)
    _add_tokens(backend, model, special, sentinels=[piece for piece, _ in entries[len(entries) - _sentinels(family, declared.keys) :]])
    backend.post_processor = pair_template(backend, special, family)
    return Loaded(backend, special, Origin(pieces=PieceFile(file.name, content)))


def _unigram(entries: list[tuple[str, float]], unk_id: int, *, cleaner: Any, prefix_space: bool | None) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(models.Unigram(entries, unk_id=unk_id, byte_fallback=False))
    if cleaner is not None:
        backend.normalizer = cleaner
    scheme = "never" if prefix_space is False else "always"
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme=scheme)])
    backend.decoder = decoders.Metaspace(replacement=_SPACE, prepend_scheme=scheme)
    # Reading a score from JSON moves its last digit in a quarter of the cases, once: so it is read here, and the hash is that of the saved tokenizer.
    return tokenizers.Tokenizer.from_str(backend.to_str())


def _parse(file: Path, content: bytes) -> _Model:
    """sentencepiece checks the whole, the character map included; its parts are read with protobuf, since sentencepiece does not give the map out."""
    try:
        import sentencepiece
        from google.protobuf.message import DecodeError

        messages: Any = importlib.import_module("sentencepiece.sentencepiece_model_pb2")
    except ImportError as error:
        raise InputError(f"{file}: reading a SentencePiece model needs sentencepiece and protobuf ({error}): pip install 'bertwright[spm]'") from error
    except Exception as error:  # protobuf's VersionError, whose module older versions lack
        raise InputError(f"{file}: sentencepiece needs a newer protobuf ({error}): pip install --upgrade 'bertwright[spm]'") from error
    proto = messages.ModelProto()
    try:
        sentencepiece.SentencePieceProcessor(model_proto=content)
        proto.ParseFromString(content)
    except (RuntimeError, ValueError, DecodeError) as error:
        raise _damaged(file, error) from error
    if not proto.pieces:
        raise InputError(f"{file}: an empty SentencePiece model, without a piece: fetch or copy the file again")
    kind = proto.trainer_spec.model_type
    if kind != _UNIGRAM:
        raise InputError(f"{file}: a SentencePiece model of type {_MODEL_TYPES.get(kind, kind)}, only UNIGRAM is read: give the tokenizer.json of its model")
    return _Model(
        entries=[(piece.piece, piece.score) for piece in proto.pieces],
        control=tuple(piece.piece for piece in proto.pieces if piece.type == _CONTROL),
        given=tuple(piece.piece for piece in proto.pieces if piece.type == _USER_DEFINED),
        unk_id=proto.trainer_spec.unk_id,
        charsmap=proto.normalizer_spec.precompiled_charsmap,
    )


def _damaged(file: Path, why: object) -> InputError:
    return InputError(f"{file}: no SentencePiece model, or a damaged one ({' '.join(str(why).split())}): fetch or copy the file again")


def _family(file: Path, model: _Model, declared: Declared) -> TextFamily:
    known = ", ".join(family.name for family in FAMILIES if family.reads == ".model")
    family = declared.family
    if family is not None and family.reads == ".model":
        return family
    if declared.names_class:
        raise InputError(f"{file}: a SentencePiece model of {declared.tokenizer_class}, which is none of {known}: give the tokenizer.json of its model")
    guess = of_pieces([piece for piece, _ in model.entries], file_name=file.name)
    if guess is None:
        raise InputError(f"{file}: its pieces look like none of {known}: put a tokenizer_config.json with its tokenizer_class beside it")
    return guess


def _numbered(file: Path, model: _Model, family: TextFamily, keys: Mapping[str, Any]) -> tuple[list[tuple[str, float]], int]:
    """The pieces as the family numbers them, and the id of the unknown one."""
    entries, unk_id = model.entries, model.unk_id
    if family.head:
        first, expected = {piece for piece, _ in entries[:3]}, {family.names[role][0] for role in ("bos", "eos", "unk")}
        if first != expected:
            raise InputError(f"{file}: not {family.name}'s: begins with {', '.join(sorted(first))}, not with {', '.join(sorted(expected))}: give its own model")
        entries = [(family.names[role][0], 0.0) for role in family.head] + entries[3:] + [(family.names[role][0], 0.0) for role in family.tail]
        unk_id = family.head.index("unk")
    count = _sentinels(family, keys)
    return entries + [(f"<extra_id_{number}>", 0.0) for number in reversed(range(count))], unk_id


def _sentinels(family: TextFamily, keys: Mapping[str, Any]) -> int:
    count = keys.get("extra_ids", family.sentinels) if family.sentinels else 0
    return count if isinstance(count, int) and count >= 0 else family.sentinels


def _normalizer(charsmap: bytes, family: TextFamily, keys: Mapping[str, Any]) -> Any:
    steps: list[Any] = []
    if family.folds:
        steps += [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
        if not keys.get("keep_accents"):
            steps += [normalizers.NFKD(), normalizers.StripAccents()]
        if keys.get("do_lower_case", family.lowercases):
            steps.append(normalizers.Lowercase())
    if charsmap:
        steps.append(normalizers.Precompiled(charsmap))
    if len(steps) < 2:
        return steps[0] if steps else None
    return normalizers.Sequence(steps)


def _add_tokens(backend: tokenizers.Tokenizer, model: _Model, special: SpecialTokens, *, sentinels: list[str]) -> None:
    """What a text is cut at, as in transformers 5: the control pieces, those given to the trainer, the roles and the sentinels."""
    known = backend.get_vocab(with_added_tokens=True)
    marked = dict.fromkeys(name for name in (*special.in_order(), *model.control, *sentinels) if name in known)
    backend.add_special_tokens([tokenizers.AddedToken(name, special=True, normalized=False) for name in marked])
    backend.add_tokens([tokenizers.AddedToken(name, special=False, normalized=False) for name in model.given if name in known and name not in marked])

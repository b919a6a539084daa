"""Tokenizer files: which of a folder's is read, and as what."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import tokenizers

from bertwright.errors import InputError
from bertwright.text.backends import add_special_tokens, pair_template
from bertwright.text.families import BERT, DISTILBERT, ROFORMER, TextFamily, of_merges, of_pieces
from bertwright.text.origin import Loaded, Origin, PieceFile
from bertwright.text.parsing import Declared, added_token, parse_object, read_declared
from bertwright.text.sentence_piece import from_sentencepiece
from bertwright.text.special import NAMES, SpecialTokens, find_special_tokens
from bertwright.text.vocabularies import from_vocab_json, from_vocab_txt

_BERT_OPTIONS = {"do_lower_case": "lowercase", "tokenize_chinese_chars": "handle_chinese_chars", "strip_accents": "strip_accents"}

_KEPT = ("padding_side", "truncation_side", "model_input_names")

_GIVE = "give a vocab.txt, a tokenizer.json, a spiece.model or a folder that holds one"


def read_tokenizer(path: Path) -> Loaded:
    """Reads a tokenizer from a file or folder; a folder's tokenizer.json comes before the classic files, of which its family's is first.

    Raises InputError.
    """
    folder = path if path.is_dir() else path.parent
    declared = read_declared(folder)
    file = _choose_file(path, declared)
    if file.parent != folder:
        declared = read_declared(file.parent)
    loaded = _read(file, declared)
    _add_declared(loaded.backend, declared, source=file)
    kept = {key: declared.keys[key] for key in _KEPT if key in declared.keys}
    family = declared.family
    if family is not None and not family.segments:
        kept.setdefault("model_input_names", ["input_ids", "attention_mask"])
    if family is not None and family.pads_left:
        kept.setdefault("padding_side", "left")
    return loaded._replace(origin=dataclasses.replace(loaded.origin, name=str(path), kept=kept))


def _read(file: Path, declared: Declared) -> Loaded:
    if file.suffix == ".model":
        return from_sentencepiece(file, declared)
    family, segmented = declared.family, _is_segmented(declared)
    if file.suffix != ".json":
        _refuse_other_kind(file, declared, reads="vocab.txt")
        return Loaded(*from_vocab_txt(file, declared, split_chinese=not segmented), Origin(segmenter="jieba" if segmented else None))
    content = parse_object(file)
    if isinstance(content.get("model"), dict):
        backend, special = _from_tokenizer_json(file, content, declared, family=family)
        return Loaded(backend, special, Origin(pieces=_pieces_beside(file, content), segmenter="jieba" if segmented else None))
    if content and all(isinstance(value, int) and not isinstance(value, bool) for value in content.values()):
        _refuse_other_kind(file, declared, reads="vocab.json")
        return Loaded(*from_vocab_json(file, content, declared), Origin())
    raise InputError(f"{file}: not a tokenizer: {_GIVE}")


def _choose_file(path: Path, declared: Declared) -> Path:
    if path.is_dir():
        pieces = sorted(path.glob("*.model"))
        classic = [path / "vocab.txt", path / "vocab.json", *pieces]
        family = declared.family
        if family is not None:
            classic.sort(key=lambda file: not file.name.endswith(family.reads))
        for file in (path / "tokenizer.json", *classic, path / "tokenizer" / "tokenizer.json"):
            if file.is_file():
                return file
        if (path / "merges.txt").is_file():
            raise InputError(f"{path / 'vocab.json'}: missing beside merges.txt: BPE needs both, give the vocab.json that belongs to it")
        raise InputError(f"{path}: holds no tokenizer.json, vocab.txt, vocab.json or spiece.model: give the folder or file of a tokenizer")
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder: {_GIVE}")
    if path.name == "merges.txt":
        path = path.with_name("vocab.json")
    whole = path.with_name("tokenizer.json")
    # The vocabulary alone does not say how text is cut: the file beside it does.
    return whole if path.name in ("vocab.txt", "vocab.json", "tokenizer_config.json", "special_tokens_map.json") and whole.is_file() else path


def _refuse_other_kind(file: Path, declared: Declared, *, reads: str) -> None:
    family = declared.family
    if declared.names_class and family is not None and family.reads != reads:
        kind = "a SentencePiece .model" if family.reads == ".model" else family.reads
        raise InputError(f"{file}: tokenizer_config.json names {declared.tokenizer_class}, which reads {kind}: give that, or correct tokenizer_class")


def _is_segmented(declared: Declared) -> bool:
    """Whether jieba cuts the text first; a tokenizer of another class beside a RoFormer's config.json is its own."""
    return declared.family is ROFORMER and (declared.names_class or not declared.tokenizer_class)


def _from_tokenizer_json(file: Path, content: dict[str, Any], declared: Declared, *, family: TextFamily | None) -> tuple[tokenizers.Tokenizer, SpecialTokens]:
    cleaner = content.get("normalizer")
    if declared.names_class and family in (BERT, DISTILBERT, ROFORMER) and isinstance(cleaner, dict) and cleaner.get("type") == "BertNormalizer":
        # transformers, version 4 and 5, lets these keys of tokenizer_config.json overrule tokenizer.json.
        content["normalizer"] = cleaner | {name: declared.keys[key] for key, name in _BERT_OPTIONS.items() if key in declared.keys}
        if family is ROFORMER:
            content["normalizer"]["handle_chinese_chars"] = False
    try:
        backend = tokenizers.Tokenizer.from_str(json.dumps(content))
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"{file}: not a tokenizer ({error}): give the tokenizer.json of a Hugging Face tokenizer") from error
    vocabulary = backend.get_vocab()
    if not declared.names_class:
        family = _guessed(content["model"], vocabulary) or family
    special = find_special_tokens(vocabulary, declared.keys, source=str(file), names=NAMES if family is None else family.names)
    backend.no_padding()
    backend.no_truncation()
    marked = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
    if not marked.issuperset(special.in_order()):
        add_special_tokens(backend, special, take_space_before=False)
    if special.cls is not None and special.sep is not None and not backend.num_special_tokens_to_add(False):
        backend.post_processor = pair_template(backend, special)
    return backend, special


def _guessed(model: dict[str, Any], vocabulary: dict[str, int]) -> TextFamily | None:
    """What the content of a tokenizer.json says of its family, which may be another than the model's."""
    if model.get("type") == "WordPiece":
        return BERT
    if model.get("type") == "BPE":
        return of_merges(vocabulary)
    if model.get("type") == "Unigram":
        return of_pieces([piece for piece, _ in model["vocab"]])
    return None


def _pieces_beside(file: Path, content: dict[str, Any]) -> PieceFile | None:
    """The SentencePiece model that a Unigram tokenizer.json was made of, where it stands beside it."""
    found = sorted(file.parent.glob("*.model")) if content["model"].get("type") == "Unigram" else []
    return PieceFile(found[0].name, found[0].read_bytes()) if found else None


def _add_declared(backend: tokenizers.Tokenizer, declared: Declared, *, source: Path) -> None:
    """Tokens that the files beside a vocabulary add to it, by id, and entries that they call special.

    Raises InputError where an added token's id is not the one it gets.
    """
    present = {token.content for token in backend.get_added_tokens_decoder().values()}
    for index, token in sorted(declared.added.items()):
        text = token["content"]
        if text not in present:
            backend.add_tokens([added_token(token)])
            present.add(text)
        if backend.token_to_id(text) != index:
            found = backend.token_to_id(text)
            raise InputError(f"{source}: the added token {text!r} has id {index} in the files beside it, but {found} here: give the files that belong together")
    more = [name for name in declared.more_special() if name not in present and backend.token_to_id(name) is not None]
    backend.add_special_tokens([tokenizers.AddedToken(name, special=True, normalized=False) for name in dict.fromkeys(more)])

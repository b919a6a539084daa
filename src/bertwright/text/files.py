"""Tokenizer files: what is read as a tokenizer, and the files that transformers reads back to the same ids."""

import json
from pathlib import Path
from typing import Any

import tokenizers

from bertwright.errors import InputError
from bertwright.text.backends import add_special_tokens, bert_normalizer, bert_wordpiece, pair_template, roberta_bpe
from bertwright.text.special import NAMES, SpecialTokens, find_special_tokens

_BERT_CLASSES = ("BertTokenizer", "BertTokenizerFast")
_BERT_OPTIONS = {"do_lower_case": "lowercase", "tokenize_chinese_chars": "handle_chinese_chars", "strip_accents": "strip_accents"}


def read_tokenizer(path: Path) -> tuple[tokenizers.Tokenizer, SpecialTokens]:
    """Reads a tokenizer from a file or folder; a folder's tokenizer.json comes before its vocab.txt, its vocab.json with merges.txt is last.

    Raises InputError.
    """
    file = _choose_file(path)
    declared = {**_read_object(file.parent / "special_tokens_map.json"), **_read_object(file.parent / "tokenizer_config.json")}
    if file.suffix != ".json":
        return _from_vocab_txt(file, declared)
    content = _parse_object(file)
    if isinstance(content.get("model"), dict):
        return _from_tokenizer_json(file, content, declared)
    if content and all(isinstance(value, int) and not isinstance(value, bool) for value in content.values()):
        return _from_vocab_json(file, content, declared)
    raise InputError(f"{file}: not a tokenizer: give a vocab.txt, a tokenizer.json or a folder that holds one")


def write_tokenizer(
    folder: Path, backend: tokenizers.Tokenizer, special: SpecialTokens, *, bert_options: dict[str, bool | None] | None, max_length: int | None
) -> None:
    """Writes a tokenizer's Hugging Face files into a folder, which is made where it is missing.

    transformers 5 rebuilds a WordPiece from its vocabulary and these options when the class is BertTokenizer or, for a model of type bert, when
    none is given; PreTrainedTokenizerFast makes it read tokenizer.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast" if bert_options is None else "BertTokenizer", **special.for_transformers()}
    config.update(bert_options or {})
    two_types = 1 in backend.encode("a", "b").type_ids
    config["model_input_names"] = ["input_ids", *(["token_type_ids"] if two_types else []), "attention_mask"]
    config["clean_up_tokenization_spaces"] = False
    if max_length is not None:
        config["model_max_length"] = max_length
    serialized = backend.to_str(pretty=True)
    _write(folder / "tokenizer.json", serialized)
    _write_json(folder / "tokenizer_config.json", config)
    _write_json(folder / "special_tokens_map.json", special.for_transformers())
    model = json.loads(serialized)["model"]
    if model["type"] == "BPE":
        _write_json(folder / "vocab.json", dict(sorted(model["vocab"].items(), key=lambda entry: entry[1])))
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
        _write(folder / "merges.txt", "\n".join(["#version: 0.2", *merges, ""]))
    else:
        _write(folder / "vocab.txt", "".join(f"{piece}\n" for piece in _listed(model)))


def _choose_file(path: Path) -> Path:
    if path.is_dir():
        for name in ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer/tokenizer.json"):
            if (path / name).is_file():
                return path / name
        sentencepiece = sorted(path.glob("*.model"))
        if sentencepiece:
            raise InputError(_is_sentencepiece(sentencepiece[0]))
        raise InputError(f"{path}: holds no tokenizer.json, vocab.txt or vocab.json: give the folder or file of a tokenizer")
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder: give a vocab.txt, a tokenizer.json or a folder that holds one")
    if path.suffix == ".model":
        raise InputError(_is_sentencepiece(path))
    if path.name == "merges.txt":
        path = path.with_name("vocab.json")
    whole = path.with_name("tokenizer.json")
    # The vocabulary alone does not say how text is cut: the file beside it does.
    return whole if path.name in ("vocab.txt", "vocab.json", "tokenizer_config.json", "special_tokens_map.json") and whole.is_file() else path


def _is_sentencepiece(path: Path) -> str:
    return f"{path}: a SentencePiece model: convert it with transformers' AutoTokenizer.from_pretrained(...).save_pretrained(FOLDER) and give the FOLDER"


def _from_tokenizer_json(file: Path, content: dict[str, Any], declared: dict[str, Any]) -> tuple[tokenizers.Tokenizer, SpecialTokens]:
    cleaner = content.get("normalizer")
    if declared.get("tokenizer_class") in _BERT_CLASSES and isinstance(cleaner, dict) and cleaner.get("type") == "BertNormalizer":
        # transformers, version 4 and 5, lets these keys of tokenizer_config.json overrule tokenizer.json.
        content["normalizer"] = cleaner | {name: declared[key] for key, name in _BERT_OPTIONS.items() if key in declared}
    try:
        backend = tokenizers.Tokenizer.from_str(json.dumps(content))
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"{file}: not a tokenizer ({error}): give the tokenizer.json of a Hugging Face tokenizer") from error
    special = find_special_tokens(backend.get_vocab(), declared, source=str(file))
    backend.no_padding()
    backend.no_truncation()
    marked = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
    if not marked.issuperset(special.in_order()):
        add_special_tokens(backend, special, take_space_before=False)
    if not backend.num_special_tokens_to_add(False):
        backend.post_processor = pair_template(backend, special)
    return backend, special


def _from_vocab_txt(file: Path, declared: dict[str, Any]) -> tuple[tokenizers.Tokenizer, SpecialTokens]:
    entries = _read_text(file).replace("\r\n", "\n").rstrip("\n").split("\n")
    vocabulary: dict[str, int] = {}
    repeats = []
    for index, piece in enumerate(entries):
        if piece in vocabulary:
            repeats.append(f"{file}: line {index + 1} repeats line {vocabulary[piece] + 1} ({piece!r}): every entry has one line, whose number is its id")
        else:
            vocabulary[piece] = index
    if not any(name in vocabulary for names in NAMES.values() for name in names) and not declared:
        raise InputError(f"{file}: not a vocabulary: no line is [PAD], [UNK], [CLS], [SEP] or [MASK]: give a vocab.txt, a tokenizer.json or a folder")
    if repeats:
        more = [f"{file}: {len(repeats) - 5} more repeated lines"] if len(repeats) > 5 else []
        raise InputError(*repeats[:5], *more)
    special = find_special_tokens(vocabulary, declared, source=str(file))
    lowercase = declared.get("do_lower_case")
    cleaner = bert_normalizer(
        lowercase=_is_uncased(vocabulary) if lowercase is None else bool(lowercase),
        split_chinese=declared.get("tokenize_chinese_chars", True) is not False,
        strip_accents=declared.get("strip_accents"),
    )
    return bert_wordpiece(vocabulary, special, cleaner=cleaner), special


def _is_uncased(vocabulary: dict[str, int]) -> bool:
    """Whether no entry has an upper-case letter. Names in brackets are no text, such as [CLS] or the <S> of the Chinese vocabulary, and a full-width
    letter is a symbol of Chinese text, which the uncased vocabularies of UER keep."""
    full_width = range(0xFF21, 0xFF3B)
    texts = (piece for piece in vocabulary if piece[:1] + piece[-1:] not in ("[]", "<>"))
    return not any(piece != piece.lower() and not all(ord(letter) in full_width for letter in piece if letter.isupper()) for piece in texts)


def _from_vocab_json(file: Path, vocabulary: dict[str, int], declared: dict[str, Any]) -> tuple[tokenizers.Tokenizer, SpecialTokens]:
    merges_file = file.with_name("merges.txt")
    if not merges_file.is_file():
        raise InputError(f"{merges_file}: missing beside {file.name}: byte-level BPE needs both")
    special = find_special_tokens(vocabulary, declared, source=str(file))
    lines = [line for line in _read_text(merges_file).split("\n") if line and not line.startswith("#version")]
    merges = []
    for line in lines:
        left, _, right = line.partition(" ")
        if not right or not {left, right, left + right} <= vocabulary.keys():
            raise InputError(f"{merges_file}: {line!r} does not merge two entries of {file.name}: give the merges.txt that belongs to it")
        merges.append((left, right))
    return roberta_bpe(vocabulary, merges, special), special


def _listed(model: dict[str, Any]) -> list[str]:
    if model["type"] == "Unigram":
        return [piece for piece, _ in model["vocab"]]
    return sorted(model["vocab"], key=model["vocab"].__getitem__)


def _read_object(file: Path) -> dict[str, Any]:
    return _parse_object(file) if file.is_file() else {}


def _parse_object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read_text(file))
    except json.JSONDecodeError as error:
        raise InputError(f"{file}: not JSON ({error}): the file is damaged, fetch or write it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: holds no JSON object: give the file of a Hugging Face tokenizer")
    return content


def _read_text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not a tokenizer: byte {error.start} is not UTF-8") from error


def _write_json(file: Path, content: dict[str, Any]) -> None:
    _write(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", newline="\n")

"""Text and JSON files, and what is said of a tokenizer in the files beside it."""

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers

from bertwright.errors import InputError
from bertwright.text.families import GENERIC_CLASSES, TextFamily, of_class, of_model_type
from bertwright.text.special import token_text


@dataclass(frozen=True)
class Declared:
    """`keys`: tokenizer_config.json over special_tokens_map.json. `tokenizer_class` and `model_type` are "" where no file gives one, the class without
    its "Fast". `added`: id -> an added token as transformers writes it.
    """

    keys: Mapping[str, Any]
    tokenizer_class: str
    model_type: str
    added: Mapping[int, Mapping[str, Any]]

    @property
    def names_class(self) -> bool:
        """Whether the class says more than that there is a tokenizer.json."""
        return self.tokenizer_class not in GENERIC_CLASSES

    @property
    def family(self) -> TextFamily | None:
        """The family of the class, where that names one, else of the model type."""
        return of_class(self.tokenizer_class) if self.names_class else of_model_type(self.model_type)

    def beyond(self, vocabulary: Container[str]) -> list[tokenizers.AddedToken]:
        """The added tokens that a vocabulary has no entry for, by id."""
        return [added_token(token) for _, token in sorted(self.added.items()) if token["content"] not in vocabulary]

    def more_special(self) -> list[str]:
        """Special tokens beyond the roles: `additional_special_tokens`, which transformers 5 calls `extra_special_tokens`."""
        return _more_special(self.keys)


def added_token(token: Mapping[str, Any]) -> tokenizers.AddedToken:
    """An added token as the tokenizers library takes it."""
    flags = {key: bool(token[key]) for key in ("single_word", "lstrip", "rstrip", "normalized", "special") if key in token}
    return tokenizers.AddedToken(token["content"], **flags)


def read_declared(folder: Path) -> Declared:
    """Reads what the files of a folder say about its tokenizer. Raises InputError for one that is no JSON object."""
    keys = {**read_object(folder / "special_tokens_map.json"), **read_object(folder / "tokenizer_config.json")}
    config = read_object(folder / "config.json")
    name = keys.get("tokenizer_class") or config.get("tokenizer_class") or ""
    return Declared(
        keys=keys,
        tokenizer_class=str(name).removesuffix("Fast"),
        model_type=str(config.get("model_type") or ""),
        added=_added(keys, folder),
    )


def _added(keys: Mapping[str, Any], folder: Path) -> dict[int, Mapping[str, Any]]:
    listed = keys.get("added_tokens_decoder")
    if isinstance(listed, dict):
        return {int(index): token for index, token in listed.items() if index.isdecimal() and isinstance(token, dict) and token_text(token) is not None}
    special = {*_more_special(keys), *(token_text(value) for key, value in keys.items() if key.endswith("_token"))}
    numbered = read_object(folder / "added_tokens.json").items()
    return {index: {"content": text, "special": text in special, "normalized": text not in special} for text, index in numbered if isinstance(index, int)}


def _more_special(keys: Mapping[str, Any]) -> list[str]:
    listed = keys.get("extra_special_tokens") or keys.get("additional_special_tokens") or ()
    values = listed.values() if isinstance(listed, Mapping) else listed if isinstance(listed, list) else ()
    return [name for name in map(token_text, values) if name is not None]


def read_object(file: Path) -> dict[str, Any]:
    """The object of a JSON file, empty where there is no such file. Raises InputError."""
    return parse_object(file) if file.is_file() else {}


def parse_object(file: Path) -> dict[str, Any]:
    """The object of a JSON file. Raises InputError for what is no JSON object."""
    try:
        content = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise InputError(f"{file}: not JSON ({error}): the file is damaged, fetch or write it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: holds no JSON object: give the file of a Hugging Face tokenizer")
    return content


def read_text(file: Path) -> str:
    """A UTF-8 file, with or without a byte order mark. Raises InputError."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not a tokenizer: byte {error.start} is not UTF-8") from error

"""The files of a tokenizer that transformers reads back to the same ids."""

import json
from pathlib import Path
from typing import Any

from bertwright.text.description import Description, additional_special_tokens
from bertwright.text.origin import Loaded


def write_tokenizer(folder: Path, tokenizer: Loaded, description: Description, *, max_length: int | None) -> None:
    """Writes a tokenizer's Hugging Face files into a folder, which is made where it is missing.

    transformers 5 rebuilds a WordPiece from its vocabulary and these options when the class is BertTokenizer or, for a model of type bert, when
    none is given; PreTrainedTokenizerFast makes it read tokenizer.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    backend, special, origin = tokenizer
    serialized = backend.to_str(pretty=True)
    config: dict[str, Any] = {"tokenizer_class": description.tokenizer_class, **special.for_transformers(), **description.options}
    more = [token.content for token in additional_special_tokens(backend, special)]
    if more:
        config["additional_special_tokens"] = more
    segments = backend.num_special_tokens_to_add(True) > 0 and 1 in backend.encode("a", "b").type_ids
    config["model_input_names"] = ["input_ids", *(["token_type_ids"] if segments else []), "attention_mask"]
    config["clean_up_tokenization_spaces"] = False
    config.update(origin.kept)
    if max_length is not None:
        config["model_max_length"] = max_length
    _write(folder / "tokenizer.json", serialized)
    _write_json(folder / "tokenizer_config.json", config)
    _write_json(folder / "special_tokens_map.json", special.for_transformers())
    _write_classic(folder, tokenizer, json.loads(serialized))


def _write_classic(folder: Path, tokenizer: Loaded, parts: dict[str, Any]) -> None:
    model, pieces = parts["model"], tokenizer.origin.pieces
    if pieces is not None:
        (folder / pieces.name).write_bytes(pieces.content)
        listed = {piece for piece, _ in model["vocab"]}
    elif model["type"] == "BPE":
        listed = set(model["vocab"])
        _write_json(folder / "vocab.json", dict(sorted(model["vocab"].items(), key=lambda entry: entry[1])))
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
        _write(folder / "merges.txt", "\n".join(["#version: 0.2", *merges, ""]))
    else:
        entries = _listed(model)
        listed = set(entries)
        _write(folder / "vocab.txt", "".join(f"{piece}\n" for piece in entries))
    added = {token["content"]: token["id"] for token in parts["added_tokens"] if token["content"] not in listed}
    if added:
        _write_json(folder / "added_tokens.json", added)


def _listed(model: dict[str, Any]) -> list[str]:
    if model["type"] == "Unigram":
        return [piece for piece, _ in model["vocab"]]
    return sorted(model["vocab"], key=model["vocab"].__getitem__)


def _write_json(file: Path, content: dict[str, Any]) -> None:
    _write(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", newline="\n")

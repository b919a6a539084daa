"""What sentence-transformers keeps beside a Hugging Face folder: how tokens become a vector, how long a text may be."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bertwright.checkpoints.files import writing
from bertwright.errors import CheckpointError

Pooling = Literal["cls", "mean", "max"]
POOLINGS: tuple[Pooling, ...] = ("cls", "mean", "max")
# The modules by the names that all versions since 2 read.
_MODULES = "sentence_transformers.models"
_FLAGS: Mapping[Pooling, str] = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens", "max": "pooling_mode_max_tokens"}
_MEND = "take a model of a transformer, one pooling of cls, mean or max and perhaps a Normalize"


@dataclass(frozen=True, kw_only=True)
class SentenceFolder:
    """pooling: of a text's tokens to one vector; normalised: to length 1; max_length: tokens a text, the special ones included, None where nobody says."""

    pooling: Pooling
    normalised: bool
    max_length: int | None = None


def write_sentence_folder(folder: Path, how: SentenceFolder, *, size: int) -> None:
    """Writes modules.json and its modules' files beside a checkpoint, so that SentenceTransformer(folder) gives the same vectors.

    size: of a vector. Raises BertwrightError when the system refuses.
    """
    names = ["Transformer", "Pooling", *(["Normalize"] if how.normalised else [])]
    paths = ["", *(f"{number}_{name}" for number, name in enumerate(names[1:], start=1))]
    entries = enumerate(zip(names, paths, strict=True))
    files: dict[str, Any] = {
        "modules.json": [{"idx": number, "name": str(number), "path": path, "type": f"{_MODULES}.{name}"} for number, (name, path) in entries],
        "sentence_bert_config.json": {"max_seq_length": how.max_length, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
        f"{paths[1]}/config.json": {"word_embedding_dimension": size, **{flag: how.pooling == name for name, flag in _FLAGS.items()}},
    }
    with writing(folder):
        for path in paths:
            (folder / path).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_sentence_folder(folder: Path) -> SentenceFolder | None:
    """How a folder of sentence-transformers makes a vector; None where it is none of theirs.

    Raises CheckpointError with one line for each thing in it that would give other vectors here.
    """
    if not (folder / "modules.json").is_file():
        return None
    modules = _read(folder / "modules.json", list)
    kinds = [str(module.get("type", "")).rpartition(".")[2] if isinstance(module, dict) else "" for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise CheckpointError(f"{folder / 'modules.json'} names {', '.join(kind or 'a nameless module' for kind in kinds) or 'no modules'}: {_MEND}")
    pooling, problems = _pooling(folder / str(modules[1].get("path", "1_Pooling")) / "config.json")
    path = folder / "sentence_bert_config.json"
    said = _read(path, dict) if path.is_file() else {}
    if said.get("do_lower_case"):
        problems.append(f"{path}: do_lower_case is not supported: put it into tokenizer_config.json")
    limit = said.get("max_seq_length")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        problems.append(f"{path}: max_seq_length is {limit!r}: it must be a number of tokens, or null")
    problems += _prompt_problems(folder / "config_sentence_transformers.json")
    if problems or pooling is None:
        raise CheckpointError(*problems)
    return SentenceFolder(pooling=pooling, normalised=kinds[-1] == "Normalize", max_length=limit)


def _pooling(path: Path) -> tuple[Pooling | None, list[str]]:
    said = _read(path, dict)
    given = said.get("pooling_mode")
    if given is None:
        flags = {flag: name for name, flag in _FLAGS.items()}
        modes = [flags.get(key, key) for key, value in said.items() if key.startswith("pooling_mode_") and value] or ["mean"]
    else:
        modes = list(given) if isinstance(given, list) else [str(given)]
    problems = [] if said.get("include_prompt", True) else [f"{path}: include_prompt false is not supported: {_MEND}"]
    found = next((name for name in POOLINGS if modes == [name]), None)
    if found is None:
        problems.append(f"{path}: pooling by {' and '.join(map(str, modes))} is not supported: {_MEND}")
    return found, problems


def _prompt_problems(path: Path) -> list[str]:
    name = _read(path, dict).get("default_prompt_name") if path.is_file() else None
    return [] if name is None else [f"{path}: default_prompt_name {name!r} is not supported: set it to null, and put the prompt before each text"]


def _read(path: Path, kind: type[Any]) -> Any:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise CheckpointError(f"{path} is no JSON ({error}): download it again") from None
    if not isinstance(content, kind):
        raise CheckpointError(f"{path} holds no JSON {'object' if kind is dict else 'list'}: download it again")
    return content

"""The texts that a run reads beside its own shards: those that are mixed in, and those that are measured too."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bertwright.data.shards import TokenShards
from bertwright.errors import InputError
from bertwright.objectives.companion_config import DISTILLED
from bertwright.objectives.registry import OBJECTIVES
from bertwright.text.tokenizer import Tokenizer

LOSSES = frozenset(DISTILLED).union(*(name.split("+") for name in OBJECTIVES))


@dataclass(frozen=True)
class Text:
    """Shards under the name that their numbers are told with."""

    name: str
    shards: TokenShards


def texts_beside(key: str, folders: Sequence[str], shards: TokenShards, *, extended: bool, verify: bool) -> list[Text]:
    """Opens shards that a key of the config names, to be read by a model of `shards`. A text's name is its folder's.

    extended: also takes a text whose tokenizer has the first entries of that of `shards` and no others: the same ids mean the same there.
    Raises InputError with one line for each folder that is missing, twice there, or of another tokenizer.
    """
    problems, found = list[str](), list[Text]()
    for folder in folders:
        try:
            opened = TokenShards.open(folder, verify=verify)
            if not _same_ids(opened, shards, extended=extended):
                raise InputError(
                    f"{key} {folder} was made with another tokenizer ({opened.vocab_size} entries) than {shards.folder} ({shards.vocab_size} entries): "
                    f"prepare its text again with --tokenizer {shards.folder / 'tokenizer'}"
                )
            found.append(Text(name_of(folder), opened))
        except InputError as error:
            problems += error.problems
    names = [text.name for text in found]
    problems += [
        f"{key} has two texts named {name}: their numbers could not be told apart, rename a folder" for name in dict.fromkeys(names) if names.count(name) > 1
    ]
    if problems:
        raise InputError(*problems)
    return found


def name_of(folder: str) -> str:
    """What a text is called: its folder's name, in characters that the name of a number may have, and not that of a loss, whose numbers it would overwrite."""
    name = re.sub(r"\W+", "_", Path(folder).resolve().name)
    return f"{name}_text" if name in LOSSES else name


def _same_ids(opened: TokenShards, shards: TokenShards, *, extended: bool) -> bool:
    if opened.tokenizer_hash == shards.tokenizer_hash or not extended:
        return opened.tokenizer_hash == shards.tokenizer_hash
    own, wanted = Tokenizer.load(opened.tokenizer_folder).vocab, Tokenizer.load(shards.tokenizer_folder).vocab
    return len(own) < len(wanted) and list(wanted[: len(own)]) == list(own)

"""What a user calls a tokenizer: a file, a folder that holds one, or any CHECKPOINT."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bertwright.checkpoints.resolve import Resolved, find_checkpoint
from bertwright.data.prepare import plan
from bertwright.data.prepare_config import PrepareConfig
from bertwright.errors import InputError

HOLDS_TOKENIZER = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer/tokenizer.json", "*.model")


def find_tokenizer(name: str) -> Resolved:
    """The file or folder that `Tokenizer.load` takes for a name, and a line about it: empty where the name itself says it all.

    Raises CheckpointError where there is none, as `find_checkpoint` does.
    """
    path = Path(name).expanduser()
    if path.is_file() or any(any(path.glob(pattern)) for pattern in HOLDS_TOKENIZER):
        return Resolved(path, "")
    return find_checkpoint(name)


class Settled(NamedTuple):
    """A preparation's config whose tokenizer is a file or folder, and a line about which one, empty where there is nothing to say."""

    config: PrepareConfig
    said: str


def with_tokenizer(inputs: Sequence[str], config: PrepareConfig) -> Settled:
    """`config` with its tokenizer found. Raises InputError where there is none, with whatever else is wrong with the config and the inputs."""
    if config.tokenizer is None:
        return Settled(config, "")
    try:
        found = find_tokenizer(str(config.tokenizer))
    except InputError as error:
        raise InputError(*error.problems, *_other_problems(inputs, config)) from error
    return Settled(dataclasses.replace(config, tokenizer=str(found.folder)), found.said)


def _other_problems(inputs: Sequence[str], config: PrepareConfig) -> tuple[str, ...]:
    try:
        with tempfile.TemporaryDirectory() as spool:
            plan(inputs, config, spool=Path(spool))
    except InputError as error:
        return error.problems
    return ()

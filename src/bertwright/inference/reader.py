"""A checkpoint at the task it was trained for: examples in, predictions out."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bertwright.architecture import Architecture
from bertwright.checkpoints.sentence_transformers import read_sentence_folder
from bertwright.models import Model
from bertwright.tasks.running import run
from bertwright.tasks.task import Reading, Task
from bertwright.text.tokenizer import Tokenizer

# Examples encoded and sorted by length together: enough for passes of like length, few enough that a million rows need no more memory than these.
CHUNK = 8192
# Tokens a row where neither positions nor files set a limit: what BERT was trained with.
UNLIMITED = 512

Passed = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Read:
    """The predictions of some examples, in their order; truncated: how many examples lost their end."""

    predictions: list[Any]
    truncated: int


class Reader:
    """Reads examples with a task's model, in the precision that the model is in. max_length: tokens a row, longer texts are cut or read in windows."""

    def __init__(self, *, task: Task, model: Model, tokenizer: Tokenizer, max_length: int) -> None:
        self.task, self.model, self.tokenizer, self.max_length = task, model, tokenizer, max_length

    def read(self, examples: Sequence[Any], *, passed: Passed | None = None) -> Read:
        """Batched by length inside. passed: told how many of the examples a pass has answered. Raises InputError for one that cannot be encoded."""
        items = self.task.items(examples, self.tokenizer, max_length=self.max_length)
        outputs = run(self.task, self.model, items.items, Reading.of(self.model.architecture), passed=passed)
        return Read(predictions=self.task.predictions(examples, items.items, outputs), truncated=items.truncated)

    def stream(self, examples: Iterable[Any], *, first: int = CHUNK, passed: Passed | None = None) -> Iterator[Read]:
        """As many examples at a time as are worth sorting, read as they are asked for.

        first: fewer for the beginning, which then double, so that a slow source is answered soon.
        """
        source, size = iter(examples), min(first, CHUNK)
        while chunk := list(islice(source, size)):
            yield self.read(chunk, passed=passed)
            size = min(2 * size, CHUNK)


def row_length(folder: Path, architecture: Architecture) -> int:
    """Tokens a row that a saved folder is meant for: what its tokenizer or its sentence-transformers settings say, and at most the model's positions."""
    said = [architecture.max_length, _model_max_length(folder / "tokenizer_config.json")]
    sentences = read_sentence_folder(folder)
    if sentences is not None:
        said.append(sentences.max_length)
    return min((length for length in said if length is not None), default=UNLIMITED)


def _model_max_length(path: Path) -> int | None:
    """transformers writes a number beyond all texts where there is no limit."""
    try:
        said = json.loads(path.read_bytes()).get("model_max_length")
    except (OSError, ValueError, AttributeError):  # the tokenizer itself says what is wrong with its files
        return None
    return said if isinstance(said, int) and 0 < said < 10**6 else None

"""Texts and pairs as items, for the tasks that read one row an example."""

from collections.abc import Callable, Sequence
from typing import Any

from bertwright.data.labelled.examples import TextExample
from bertwright.tasks.task import Item, Items, Row
from bertwright.text.tokenizer import Tokenizer


def text_items(examples: Sequence[TextExample], tokenizer: Tokenizer, *, max_length: int, target: Callable[[TextExample], Any]) -> Items:
    """One item an example, its text or pair framed and cut to `max_length` tokens, the longer side first."""
    framed = tokenizer.frame([example.text if example.pair is None else (example.text, example.pair) for example in examples], max_length=max_length)
    items = [
        Item(rows=(Row(row.ids, row.type_ids),), target=target(example), example=number)
        for number, (example, row) in enumerate(zip(examples, framed, strict=True))
    ]
    return Items(items=items, truncated=sum(row.truncated for row in framed))

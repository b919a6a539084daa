"""`bertwright tokenize`: how a tokenizer cuts a text, piece by piece."""

import json as json_format
import sys
from typing import TYPE_CHECKING

from bertwright.cli.options import Flag

if TYPE_CHECKING:
    from bertwright.text.tokenizer import Encoding, Tokenizer


def tokenize(checkpoint: str, text: str, text_b: str | None = None, /, *, max_seq_length: int | None = None, json: Flag = False) -> None:
    """Show how a tokenizer cuts a text: pieces, ids, type ids, special tokens and the decoded text.

    Args:
        checkpoint: run folder, checkpoint folder, Hugging Face folder or hub name; also prepared shards, a vocab.txt or a tokenizer.json.
        text: the text; a literal [MASK] in it is the mask.
        text_b: a second text, to see the pair as the model gets it.
        max_seq_length: cut the text, or the longer of the two, to so many tokens.
        json: one JSON object on standard output.
    """
    tokenizer = _load(checkpoint)
    encoding = tokenizer.encode(text, text_b, max_length=max_seq_length)
    if json:
        print(json_format.dumps(as_json(tokenizer, encoding), ensure_ascii=False))
    else:
        _show(tokenizer, encoding)


def as_json(tokenizer: "Tokenizer", encoding: "Encoding") -> dict[str, object]:
    """What --json prints. `special`: the tokens that are special, whether added or written in the text."""
    return {
        "tokens": encoding.tokens,
        "ids": encoding.ids,
        "type_ids": encoding.type_ids,
        "special": [index in tokenizer.special_ids for index in encoding.ids],
        "decoded": tokenizer.decode(encoding.ids),
        "num_tokens": len(encoding.ids),
        "num_unknown": encoding.ids.count(tokenizer.unk_id),
        "tokenizer": {"kind": tokenizer.kind, "vocab_size": tokenizer.vocab_size, "lowercase": tokenizer.lowercase, "hash": tokenizer.hash},
    }


def _load(checkpoint: str) -> "Tokenizer":
    from bertwright.inference.tokenizers import find_tokenizer
    from bertwright.text.tokenizer import Tokenizer

    found = find_tokenizer(checkpoint)
    if found.said:
        print(found.said, file=sys.stderr)
    return Tokenizer.load(found.folder)


def _show(tokenizer: "Tokenizer", encoding: "Encoding") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("place", "id", "type"):
        table.add_column(heading, justify="right")
    table.add_column("piece")
    table.add_column("")
    for place, (index, kind, token) in enumerate(zip(encoding.ids, encoding.type_ids, encoding.tokens, strict=True)):
        note = "unknown" if index == tokenizer.unk_id else "special" if index in tokenizer.special_ids else ""
        table.add_row(str(place), str(index), str(kind), token, note)
    console = Console(markup=False, highlight=False, soft_wrap=True)  # a piece such as [MASK] is no markup
    console.print(table)
    unknown = encoding.ids.count(tokenizer.unk_id)
    case = "lower case" if tokenizer.lowercase else "case kept"
    console.print(f"\n{len(encoding.ids)} tokens, {unknown} unknown   ({tokenizer.kind}, {tokenizer.vocab_size} entries, {case})")
    console.print(f"decoded: {tokenizer.decode(encoding.ids)}")

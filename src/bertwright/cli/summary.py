"""`bertwright summary`: a model in numbers, before anything is trained or run."""

import dataclasses
import json as json_format
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from bertwright.cli.options import Flag
from bertwright.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from bertwright.analysis import Subject, Summary
    from bertwright.analysis.shapes import Module, Shape

# Columns where nobody reads them in a window: the widest rows of the tree stay whole.
PIPED_WIDTH = 200
# Below this width the tree goes without the modules' classes, and with letters for the words of its shapes.
NARROW = 110
LETTERS = {"batch": "B", "length": "L", "target": "T"}
OPERATIONS_NOTE = (
    "matrix products: 2 for each weight and token, and in each layer 4 x length x (heads x head size) for attention; "
    "backward twice as many; language-modelling heads score every token"
)


def summary(
    checkpoint: str | None = None,
    /,
    *,
    model: str | None = None,
    vocab_size: int | None = None,
    heads: str | None = None,
    max_seq_length: int | None = None,
    json: Flag = False,
) -> None:
    """Show a model in numbers: parameters by part, size, operations per token, and its modules with their shapes.

    Nothing is trained, run or loaded: it takes seconds and no memory for any size.

    Args:
        checkpoint: run folder, checkpoint folder, Hugging Face folder or hub name.
        model: in its place a preset, such as bert-base, or a config.json: a model still to be made.
        vocab_size: entries of its vocabulary; by default those of the family's released models, or the config's.
        heads: its heads, separated by commas, such as mlm,nsp; by default those that the family's base model has.
        max_seq_length: tokens a row, for the operations; by default the model's positions, or 512 where they know no limit.
        json: one JSON object on standard output.
    """
    if (checkpoint is None) == (model is None):
        raise InputError("bertwright summary takes a CHECKPOINT or --model PRESET, one of them: see bertwright summary --help")
    for name, value in (("vocab_size", vocab_size), ("heads", heads)):
        if model is None and value is not None:
            raise InputError(f"--{name} {value} is for --model: a checkpoint has its own, leave it out")
    from bertwright.analysis import summarise

    found = summarise(_subject(checkpoint, model=model, vocab_size=vocab_size, heads=heads), length=max_seq_length)
    if json:
        print(json_format.dumps(as_json(found)))
    else:
        _show(found)


def _subject(checkpoint: str | None, *, model: str | None, vocab_size: int | None, heads: str | None) -> "Subject":
    from bertwright.analysis import of_checkpoint, of_preset_or_config
    from bertwright.checkpoints.resolve import find_checkpoint

    if model is not None:
        kinds = None if heads is None else tuple(kind.strip() for kind in heads.split(",") if kind.strip())
        subject = of_preset_or_config(model, vocab_size=vocab_size, heads=kinds)
        if vocab_size is None:
            print(f"model: {model} with a vocabulary of {subject.architecture.vocab_size:,} (--vocab_size gives another)", file=sys.stderr)
        return subject
    resolved = find_checkpoint(str(checkpoint))
    print(resolved.said, file=sys.stderr)
    return of_checkpoint(resolved.folder)


def as_json(found: "Summary") -> dict[str, object]:
    """What --json prints. Shares lie in [0, 1]; operations are per token; shapes are lists of numbers and of the words batch, length, target."""
    subject, total = found.subject, found.operations_per_token
    return {
        "model": subject.name,
        "family": subject.family,
        "heads": list(subject.heads),
        "vocab_size": subject.architecture.vocab_size,
        "parameters": {
            "total": found.total,
            "trainable": found.trainable,
            "frozen": found.frozen,
            "buffers": found.buffers,
            "parts": {part: {"parameters": count, "share": found.share(part)} for part, count in found.parameters.items()},
        },
        "bytes": found.bytes(),
        "operations_per_token": {
            "max_seq_length": found.length,
            "tokens_per_row": found.row_tokens,
            "forward": total.forward,
            "backward": total.backward,
            "parts": {part: dataclasses.asdict(count) for part, count in found.operations.items()},
        },
        "modules": _module_as_json(found.modules),
        "architecture": dataclasses.asdict(subject.architecture),
    }


def _module_as_json(module: "Module") -> dict[str, object]:
    return {
        "name": module.name,
        "kind": module.kind,
        "times": module.times,
        "parameters": module.parameters,
        "inputs": [list(shape) for shape in module.inputs],
        "outputs": {name or "output": list(shape) for name, shape in module.outputs.items()},
        "children": [_module_as_json(child) for child in module.children],
    }


def title(subject: "Subject") -> str:
    """The model in one line."""
    architecture = subject.architecture
    stacks = []
    for name, stack in architecture.stacks.items():
        block, shared = stack.block, f" ({stack.groups} of their own)" if stack.groups else ""
        sizes = f"{block.num_heads} heads of {block.head_size}, feed-forward {block.intermediate_size}"
        stacks.append(f"{name} of {stack.depth} layers{shared} x {block.hidden_size}, {sizes}")
    limit = "any length" if architecture.max_length is None else f"{architecture.max_length:,} positions"
    return f"{subject.name}: {subject.family}, {'; '.join(stacks)}; vocabulary {architecture.vocab_size:,}, {limit}"


def _show(found: "Summary") -> None:
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=PIPED_WIDTH)
    console.print(title(found.subject))
    narrow = console.width < NARROW
    for table, note in ((_parts(found), _sizes(found)), (_operations(found), OPERATIONS_NOTE), (_modules(found, narrow=narrow), _legend(found, narrow=narrow))):
        console.print()
        console.print(table)
        if note:
            console.print(note, style="dim")


def _table(*headings: str, numbers: int) -> "Table":
    """A table without lines whose last `numbers` columns are numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, heading in enumerate(headings):
        number = place >= len(headings) - numbers
        table.add_column(heading, justify="right" if number else "left", no_wrap=number)
    return table


def _parts(found: "Summary") -> "Table":
    table = _table("part", "parameters", "share", numbers=2)
    for part, count in found.parameters.items():
        table.add_row(_part_name(found, part), f"{count:,}", f"{found.share(part):.2%}")
    table.add_row("all", f"{found.total:,}", f"{1:.2%}", style="bold")
    return table


def _sizes(found: "Summary") -> str:
    buffers = f", {found.buffers:,} values of buffers" if found.buffers else ""
    widths: dict[int, list[str]] = {}
    for name, size in found.bytes().items():
        widths.setdefault(size, []).append(name)
    sizes = ", ".join(f"{_bytes(size)} in {' and '.join(names)}" for size, names in widths.items())
    return f"trainable {found.trainable:,}, frozen {found.frozen:,}{buffers}; {sizes}"


def _operations(found: "Summary") -> "Table":
    each = "" if len(found.subject.architecture.stacks) == 1 else f" of source and {found.length:,} of target"
    table = _table(f"operations per token, rows of {found.length:,} tokens{each}", "forward", "backward", numbers=2)
    for part, count in found.operations.items():
        if count.forward:
            table.add_row(_part_name(found, part), _count(count.forward), _count(count.backward))
    total = found.operations_per_token
    table.add_row("all", _count(total.forward), _count(total.backward), style="bold")
    return table


def _modules(found: "Summary", *, narrow: bool) -> "Table":
    table = _table("module", *(() if narrow else ("kind",)), "in", "out", "parameters", numbers=1)
    table.columns[0].no_wrap = True
    for column in table.columns[1:-1]:
        column.overflow = "fold"
    words, between = (LETTERS, "\n") if narrow else ({}, ", ")
    for depth, module in _flat(found.modules, 0):
        name = "  " * depth + module.name + (f" ({module.times} times)" if module.times > 1 else "")
        inputs = between.join(_shape(shape, words) for shape in module.inputs)
        # `logits` of the root repeats the head's own field.
        outputs = {key: shape for key, shape in module.outputs.items() if key != "logits" or len(module.outputs) == 1}
        shown = between.join(f"{key} {_shape(shape, words)}".strip() for key, shape in outputs.items())
        table.add_row(name, *(() if narrow else (module.kind,)), inputs, shown, f"{module.parameters:,}" if module.parameters else "")
    return table


def _flat(module: "Module", depth: int) -> Iterator[tuple[int, "Module"]]:
    yield depth, module
    for child in module.children:
        yield from _flat(child, depth + 1)


def _legend(found: "Summary", *, narrow: bool) -> str:
    several = len(found.subject.architecture.stacks) > 1
    if narrow:
        return "B: batch, L: length" + (" of the source, T: of the target" if several else "")
    return "length: tokens of the source; target: tokens of the target" if several else ""


def _part_name(found: "Summary", part: str) -> str:
    return f"{part} head" if part in found.subject.heads and part != "pooler" else part


def _shape(shape: "Shape", words: Mapping[str, str]) -> str:
    return " x ".join(words.get(str(size), str(size)) for size in shape)


def _count(number: float) -> str:
    """162,000,000 as 162 M."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.4g} {unit}"
    return f"{number:.4g}"


def _bytes(number: float) -> str:
    return f"{_count(number)}B"

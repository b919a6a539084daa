"""What a training, or a prediction, will hold in memory, before anything is trained: `bertwright memory`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bertwright.errors import InputError
from bertwright.training.cards import card_of
from bertwright.training.made_up import MadeUpRun, made_up_run
from bertwright.training.rehearsal import Memory, Setting


@dataclass(frozen=True)
class Overhead:
    """What a process holds besides tensors. context: libraries and kernels, in bytes; share, share_of_small: of what comes and goes, and of its small blocks,
    what the allocator keeps in pieces."""

    context: int
    share: float = 0.0
    share_of_small: float = 0.0


# On a CPU fitted to what benchmarks/memory.py measures; of a GPU CUDA's usual context, not measured.
CPU_CONTEXT, GPU = 110 * 2**20, Overhead(600 * 2**20, share=0.1)
# Kinds of attention, and whether they keep their probabilities.
ATTENTION = {"fused attention": False, "attention that keeps its probabilities": True}
EXACT_SHARE, HALF_SHARE, RECOMPUTED_SHARE = 0.1, 0.4, 1.0


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What one pass holds, and how that grows.

    title: what it is of; rows: the columns of `growth`, bytes by name; lengths: those of `by_length`, bytes of a pass with as many rows, by the kind of
    attention; card: name and bytes of a GPU.
    """

    title: str
    memory: Memory
    overhead: Overhead
    rows: tuple[int, ...]
    growth: Mapping[str, tuple[int, ...]]
    lengths: tuple[int, ...]
    by_length: Mapping[str, tuple[int, ...]]
    card: tuple[str, int] | None
    largest: int | None

    @property
    def total(self) -> int:
        return with_overhead(self.memory, self.overhead)

    def parts(self) -> dict[str, int]:
        """Bytes by name, those that are nothing left out; their sum is the total."""
        held = self.memory
        parts = {"parameters": held.parameters, "parameters in half precision": held.copies, "gradients": held.gradients, "optimizer": held.optimizer}
        parts |= {f"activations: {name}": size for name, size in held.activations.items()}
        parts |= {"workspace": held.workspace, "pieces between tensors": self.total - held.total - self.overhead.context, "context": self.overhead.context}
        return {name: size for name, size in parts.items() if size}

    def kinds(self) -> dict[str, int]:
        """Bytes that tensors hold, that the allocator has taken for them, and that the process holds besides."""
        return {"allocated": self.memory.total, "reserved": self.total - self.overhead.context, "context": self.overhead.context}

    @property
    def fits(self) -> str:
        """One line for what fits on the card."""
        if self.card is None:
            return ""
        name, room = self.card
        return f"{name} has {room / 10**9:,.0f} GB: " + (f"passes of up to {self.largest:,} rows fit" if self.largest else "not one row fits")

    def as_json(self) -> dict[str, object]:
        """Sizes in bytes."""
        growth = {name: dict(zip(map(str, self.rows), sizes, strict=True)) for name, sizes in self.growth.items()}
        by_length = {name: dict(zip(map(str, self.lengths), sizes, strict=True)) for name, sizes in self.by_length.items()}
        told = {"parts": self.parts(), "growth": growth, "by_length": by_length, "card": self.card, "largest_micro_batch_size": self.largest}
        return {"title": self.title, **self.kinds(), "total": self.total, **told}


def with_overhead(memory: Memory, overhead: Overhead) -> int:
    """Bytes of the whole process above its own."""
    moving = sum(memory.activations.values()) + memory.workspace
    return int(memory.total + overhead.share * moving + overhead.share_of_small * memory.small) + overhead.context


@dataclass(frozen=True)
class Line:
    """Bytes of the whole process by rows of a pass: a straight line, all but a few megabytes."""

    begin: float
    each: float

    @classmethod
    def through(cls, memories: Sequence[Memory], overhead: Overhead, *, rows: int) -> "Line":
        """memories: of a pass of `rows` and of one of twice as many."""
        once, twice = (with_overhead(memory, overhead) for memory in memories)
        return cls(2 * once - twice, (twice - once) / rows)

    @classmethod
    def of(cls, run: MadeUpRun, *, rows: int, length: int, gpu: bool) -> "Line":
        """Of passes of a run, rehearsed with `rows` and twice as many of `length` tokens."""
        return cls.through(run.memories([(rows, length), (2 * rows, length)]), overhead_of(run.setting, gpu=gpu), rows=rows)

    def at(self, rows: int) -> int:
        return int(self.begin + self.each * rows)

    def most(self, room: float) -> int:
        """The most rows that fit into so many bytes; 0 for none."""
        return max(0, int((room - self.begin) // self.each))


def overhead_of(setting: Setting, *, gpu: bool) -> Overhead:
    """Of a pass on a GPU or a CPU."""
    if gpu:
        return GPU
    usual = EXACT_SHARE if setting.dtype == torch.float32 else HALF_SHARE
    return Overhead(CPU_CONTEXT, share_of_small=RECOMPUTED_SHARE if setting.recompute else usual)


def forecast(model: str, *, rows: int, length: int, bf16: bool, card: str | None = None, **keys: Any) -> Forecast:
    """What a pass will hold, with rows and lengths around it, attention of both kinds and both precisions. keys: as `made_up_run` takes them.

    Raises InputError with one line for each thing wrong.
    """
    room = None if card is None else int(card_of(card).gigabytes * 10**9)
    if rows < 1:
        raise InputError(f"micro_batch_size is {rows}: it must be at least 1")
    run = made_up_run(model, length=length, bf16=bf16, kept=None if room is None else False, **keys)
    overhead = overhead_of(run.setting, gpu=room is not None)
    limit = run.subject.architecture.max_length or 4 * length
    lengths = sorted({max(8, length // 2), length, *(longer for longer in (2 * length, 4 * length) if longer <= limit)})
    found = run.memories([(count, each) for each in lengths for count in (rows, 2 * rows)])
    pairs = {each: found[2 * place : 2 * place + 2] for place, each in enumerate(lengths)}
    lines = {f"{each:,} tokens": Line.through(pair, overhead, rows=rows) for each, pair in pairs.items()}
    wider = sorted({max(8, length // 4), *lengths})
    other = run.with_(dtype=torch.float32 if bf16 else torch.bfloat16)
    lines[f"{length:,} tokens, {_named(other)}"] = Line.of(other, rows=rows, length=length, gpu=room is not None)
    counts = tuple(sorted({max(1, rows // 4), max(1, rows // 2), rows, 2 * rows}))
    return Forecast(
        title=_title(run, model, rows=rows, length=length),
        memory=pairs[length][0],
        overhead=overhead,
        rows=counts,
        growth={name: tuple(line.at(count) for count in counts) for name, line in lines.items()},
        lengths=tuple(wider),
        by_length={name: _by_length(run.with_(kept=kept), overhead, rows=rows, lengths=wider) for name, kept in ATTENTION.items()},
        card=None if room is None else (str(card), room),
        largest=None if room is None else lines[f"{length:,} tokens"].most(room),
    )


def _by_length(run: MadeUpRun, overhead: Overhead, *, rows: int, lengths: Sequence[int]) -> tuple[int, ...]:
    return tuple(with_overhead(memory, overhead) for memory in run.memories([(rows, length) for length in lengths]))


def _title(run: MadeUpRun, model: str, *, rows: int, length: int) -> str:
    how = ["predict" if run.objective is None else run.name, f"{rows} rows of {length} tokens", _named(run)]
    if run.objective is not None:
        how.append(run.setting.optimizer + (", activations computed again" if run.setting.recompute else ""))
    return f"{model} with a vocabulary of {run.subject.architecture.vocab_size:,}: {', '.join(how)}"


def _named(run: MadeUpRun) -> str:
    return str(run.setting.dtype).removeprefix("torch.")

"""Where the time of an update goes: `--profile`."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

from bertwright.blocks.attention import Attention
from bertwright.blocks.feed_forward import FeedForward
from bertwright.blocks.transformer_block import TransformerBlock
from bertwright.checkpoints.files import write_text_atomic
from bertwright.checkpoints.run_folder import RunFolder
from bertwright.models.stack import TransformerStack
from bertwright.training.events import Event, Observer
from bertwright.training.optimizers import OPTIMIZER
from bertwright.training.step import BACKWARD, FORWARD, GRADIENTS

# Updates before the profile, in which allocators and kernels find their shapes, and updates that it is taken of.
BEFORE, TAKEN = 10, 5
ATTENTION, FEED_FORWARD, OTHER_FORWARD = "forward: attention", "forward: feed-forward", "forward: embeddings, norms, heads and loss"
UPDATE = "update"
# Operations that are told one by one.
TOLD = 15


class Profile:
    """An observer that takes a profile of a few updates: `profile.json`, a trace for chrome://tracing or Perfetto, and `profile.md`, milliseconds by part."""

    kinds = ("batch_begin", "batch_end", "train_end")

    def __init__(self, run: RunFolder, model: nn.Module, tell: Observer) -> None:
        self.run, self.model, self.tell = run, model, tell
        self.seen = 0
        self.taking: profile | None = None
        self.hooks: list[Any] = []
        self.open: list[AbstractContextManager[Any]] = []

    def __call__(self, event: Event) -> None:
        if event.kind == "batch_begin":
            if self.seen == BEFORE:
                self._begin()
            if self.taking is not None:
                self._enter(UPDATE)
        elif event.kind == "batch_end":
            self.seen += 1
            if self.taking is not None:
                self._leave()
                if self.seen == BEFORE + TAKEN:
                    self._end(event.step)
        elif self.taking is not None or self.seen < BEFORE:
            self._end(event.step)

    def _begin(self) -> None:
        for module in () if any(map(_hides_parts, self.model.modules())) else self.model.modules():
            name = ATTENTION if isinstance(module, Attention) else FEED_FORWARD if isinstance(module, FeedForward) else ""
            if name:
                self.hooks.append(module.register_forward_pre_hook(lambda *given, name=name: self._enter_within(name)))
                self.hooks.append(module.register_forward_hook(lambda *given: self._leave_within(), always_call=True))  # out of memory, too
        gpu = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
        self.taking = profile(activities=[ProfilerActivity.CPU, *gpu])
        self.taking.start()

    def _enter(self, name: str) -> None:
        self.open.append(record_function(name))
        self.open[-1].__enter__()

    def _enter_within(self, name: str) -> None:
        if self.open:  # an evaluation between two updates is none of theirs
            self._enter(name)

    def _leave_within(self) -> None:
        if len(self.open) > 1:
            self._leave()

    def _leave(self) -> None:
        self.open.pop().__exit__(None, None, None)

    def _end(self, step: int) -> None:
        for hook in self.hooks:
            hook.remove()
        taken, self.taking, updates = self.taking, None, self.seen - BEFORE
        if taken is None or updates < 1:
            self.tell(Event("note", step, {"text": f"no profile: it is taken of the updates after the first {BEFORE}, and there were {self.seen}"}))
            self.seen = BEFORE + TAKEN
            return
        taken.stop()
        taken.export_chrome_trace(str(self.run.path / "profile.json"))
        write_text_atomic(self.run.path / "profile.md", breakdown(_spent(taken), updates=updates))
        self.tell(Event("note", step, {"text": f"profile of {updates} updates: {self.run.path / 'profile.md'}"}))


def _hides_parts(module: nn.Module) -> bool:
    """Whether parts cannot be told of a pass: what is computed again runs within the backward pass, too, and compiled code has none."""
    return (isinstance(module, TransformerStack) and module.recomputes) or (isinstance(module, TransformerBlock) and module.compiled is not None)


def _spent(taken: profile) -> dict[str, tuple[float, float]]:
    """By name, microseconds in all and of its own, on a GPU of its kernels, of what ran within an update: an evaluation between two is no part of either."""
    on_gpu = torch.cuda.is_available()
    found: Any = taken.events()  # type: ignore[no-untyped-call]  # torch's own
    events = [each for each in found if each.device_type.name == "CPU"]
    updates = [each.time_range for each in events if each.name == UPDATE]
    spent: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for each in events:
        if any(update.start <= each.time_range.start <= update.end for update in updates):
            whole, own = spent[each.name]
            spent[each.name] = whole + each.cpu_time_total, own + (each.self_device_time_total if on_gpu else each.self_cpu_time_total)
    return spent


def breakdown(found: Mapping[str, tuple[float, float]], *, updates: int) -> str:
    """Markdown: milliseconds of an update by part, then by operation. found: microseconds in all and of its own, by name."""
    whole = found[UPDATE][0]
    inside = {name: _whole(found, name) for name in (ATTENTION, FEED_FORWARD) if name in found}
    parts = {**inside, OTHER_FORWARD if inside else FORWARD: _whole(found, FORWARD) - sum(inside.values())}
    parts |= {name: _whole(found, name) for name in (BACKWARD, GRADIENTS, *OPTIMIZER)}
    parts["waiting for batches, and the rest"] = whole - sum(parts.values())
    own = sorted(((name, alone) for name, (_, alone) in found.items() if name not in (UPDATE, FORWARD, *parts)), key=lambda item: -item[1])[:TOLD]
    lines = ["| part | ms an update | share |", "| --- | ---: | ---: |"]
    lines += [_line(name, spent, whole, updates) for name, spent in parts.items()]
    lines += ["", "| operation | ms an update | share |", "| --- | ---: | ---: |"]
    return "\n".join([*lines, *(_line(f"`{name}`", spent, whole, updates) for name, spent in own)]) + "\n"


def _whole(found: Mapping[str, tuple[float, float]], name: str) -> float:
    return found.get(name, (0.0, 0.0))[0]


def _line(name: str, spent: float, whole: float, updates: int) -> str:
    return f"| {name} | {spent / updates / 1000:.1f} | {spent / whole:.1%} |"

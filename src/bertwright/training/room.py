"""How many sequences a pass may have in the memory that is there."""

import torch

from bertwright.analysis.subject import Subject
from bertwright.architecture import Architecture
from bertwright.checkpoints.meta import without_values
from bertwright.data.samples import Vocabulary
from bertwright.models import Model
from bertwright.objectives.objective import Objective
from bertwright.training.devices import Device
from bertwright.training.estimate import bytes_needed
from bertwright.training.made_up import MadeUpRun
from bertwright.training.memory import overhead_of, with_overhead
from bertwright.training.rehearsal import Setting
from bertwright.training.settings import TrainingConfig

# Share of the free memory that a pass may take: other programs and evaluations want some.
SHARE = 0.9
# So many times the rough estimate of `estimate.bytes_needed` surely suffice, and the seconds of a rehearsal are saved.
SURELY = 3


def rows_that_fit(
    architecture: Architecture, objective: Objective, vocabulary: Vocabulary, config: TrainingConfig, device: Device, *, rows: int, length: int
) -> int:
    """The most sequences of `length` tokens, up to `rows`, whose pass is foretold to fit into the device's free memory; at least 1.

    objective: one whose second model, where it has one, is trained along.
    """
    free, heads = SHARE * device.free_bytes(), objective.heads
    half, muon = device.dtype != torch.float32, config.optimizer == "muon"
    with without_values():
        parameters = sum(parameter.numel() for parameter in Model(architecture, heads).parameters())
    if SURELY * bytes_needed(architecture, parameters=parameters, muon=muon, half=half, rows=rows, length=length, scored=1.0) < free:
        return rows
    setting = Setting(
        dtype=device.dtype,
        optimizer="muon" if muon else "adamw",
        recompute=config.gradient_checkpointing,
        kept=False if device.device.type == "cuda" else None,
    )
    subject = Subject(name="", family="", architecture=architecture, heads=heads)
    run = MadeUpRun(subject=subject, setting=setting, objective=objective, vocabulary=vocabulary)
    overhead = overhead_of(setting, gpu=device.device.type == "cuda")
    # Memory grows with rows in a straight line, all but a few megabytes.
    once, twice = (with_overhead(memory, overhead) for memory in run.memories([(rows, length), (2 * rows, length)]))
    each = (twice - once) / rows
    return max(1, min(rows, int((free - (once - each * rows)) // each)))

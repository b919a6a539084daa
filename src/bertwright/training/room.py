"""How many sequences a pass may have in the memory that is there."""

import torch

from bertwright.analysis.parameters import count_parameters
from bertwright.analysis.subject import Subject
from bertwright.architecture import Architecture
from bertwright.checkpoints.huggingface import empty_model
from bertwright.data.samples import Vocabulary
from bertwright.objectives.objective import Objective
from bertwright.training.devices import Device
from bertwright.training.estimate import bytes_needed
from bertwright.training.made_up import MadeUpRun
from bertwright.training.memory import Line
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
    half, muon, on_gpu = device.dtype != torch.float32, config.optimizer == "muon", device.device.type == "cuda"
    parameters = count_parameters(empty_model(architecture, heads))
    if SURELY * bytes_needed(architecture, parameters=parameters, muon=muon, half=half, rows=rows, length=length, scored=1.0) < free:
        return rows
    setting = Setting(
        dtype=device.dtype,
        optimizer="muon" if muon else "adamw",
        recompute=config.gradient_checkpointing,
        kept=False if on_gpu else None,
    )
    subject = Subject(name="", family="", architecture=architecture, heads=heads)
    run = MadeUpRun(subject=subject, setting=setting, objective=objective, vocabulary=vocabulary)
    return max(1, min(rows, Line.of(run, rows=rows, length=length, gpu=on_gpu).most(free)))

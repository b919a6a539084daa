"""bertwright as a contender: trains as `bertwright pretrain` does."""

import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bertwright.bench.contest import Outcome, Point, Setting
from bertwright.bench.machine import peak_bytes
from bertwright.checkpoints.run_folder import RunFolder
from bertwright.data.shards import TokenShards
from bertwright.training.config import PretrainConfig
from bertwright.training.devices import device_of_this_process
from bertwright.training.estimate import matrix_rate, operations_per_token
from bertwright.training.events import Event
from bertwright.training.plan import make_plan
from bertwright.training.pretrain import pretrain
from bertwright.training.state import read_progress

KEPT = 1000  # checkpoints: all of them
STEADY = 0.9


def run(setting: Setting) -> Outcome:
    """Trains by the clock; then measures the rate of matrix products, so that they take no memory before."""
    before = peak_bytes(0)
    given: dict[str, Any] = {"objective": "mlm", **setting.options}
    sizes = {"model": setting.model, "seed": setting.seed, "batch_size": setting.batch_size, "max_seq_length": setting.max_seq_length}
    config = PretrainConfig(**{**sizes, "max_minutes": setting.seconds / 60, "save_total_limit": KEPT, **given})
    device = device_of_this_process(bf16=config.bf16, fp16=config.fp16)
    plan = make_plan(TokenShards.open(setting.shards), config, device)
    tokens = (plan.config.micro_batch_size or 1) * config.max_seq_length
    counted: dict[str, Any] = {"tokens": tokens, "scored": int(tokens * config.mlm_probability), "seconds": 0.5}
    logged: list[Mapping[str, Any]] = []

    def watch(event: Event) -> None:
        if event.kind == "train":
            logged.append(event.values)

    shutil.rmtree(setting.folder, ignore_errors=True)
    pretrain(setting.shards, out=setting.folder, config=config, observers=(watch,))
    peak = peak_bytes(before)
    with RunFolder.open(Path(setting.folder), write=False) as folder:
        points = tuple(_point(checkpoint) for checkpoint in folder.checkpoints())
    usual = statistics.median(_after_first(logged, "tokens_per_second"))
    return Outcome(
        points=points,
        tokens_per_second=usual,
        peak_bytes=peak,
        operations_per_token=operations_per_token(plan.architecture, length=config.max_seq_length, scored=config.mlm_probability),
        matrix_rate=matrix_rate(plan.architecture, device, **counted),
        data_wait=statistics.median(_after_first(logged, "data_wait")),
        steady_after=next(float(each["seconds"]) for each in logged if each["tokens_per_second"] >= STEADY * usual),
    )


def _after_first(logged: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """A value of every logged step but the first, in which kernels find their shapes; of that one where there is no other."""
    values = [float(each[name]) for each in logged]
    return values[1:] or values


def _point(checkpoint: Path) -> Point:
    progress = read_progress(checkpoint)
    return Point(seconds=progress.seconds, tokens=float(progress.tokens), folder=str(checkpoint))

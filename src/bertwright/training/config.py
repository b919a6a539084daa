"""What a pre-training run is told, as one flat set of keys; imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from bertwright.training.settings import TrainingConfig

STARTS = ("neighbours", "random")
OBJECTIVES = ("mlm+nsp", "mlm")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(TrainingConfig):
    """Settings of a pre-training run. None means: chosen from the hardware, the model's size and the budget.

    Parameters
    ----------
    model
        A preset, such as bert-small or roberta-base, or a config.json: new weights.
    init_from
        A checkpoint whose weights to begin with, in place of new ones.
    extend_positions
        Places to stretch the learned absolute positions to, by interpolation, for longer rows.
    objective
        mlm+nsp or mlm.
    max_seq_length
        Tokens a row, [CLS] and [SEP] included.
    mlm_probability
        Share of the tokens that are masked.
    start
        neighbours (heads that begin by looking at the tokens beside them) or random.
    eval_samples
        Held-out samples per evaluation.
    verify
        Read every shard and compare its hash before training.
    """

    model: str = "bert-mini"
    init_from: str | None = None
    extend_positions: int | None = None
    objective: str = "mlm+nsp"
    max_seq_length: int = 128
    mlm_probability: float = 0.15
    start: str | None = None
    eval_samples: int | None = None
    verify: bool = False

    def problems(self) -> list[str]:
        found = super().problems() + self.among({"objective": OBJECTIVES, "start": (None, *STARTS)}) + self.above_zero("extend_positions", "eval_samples")
        if self.init_from and self.start:
            found.append(f"start is {self.start!r} and init_from is {self.init_from!r}: new weights or a checkpoint's, take one away")
        if not 0 < self.mlm_probability < 1:
            found.append(f"mlm_probability is {self.mlm_probability}: it must lie between 0 and 1, for example 0.15")
        if self.max_seq_length < 8:
            found.append(f"max_seq_length is {self.max_seq_length}: it must be at least 8")
        return found


@dataclass(frozen=True)
class PretrainResult:
    """Where a run lies, its best checkpoint (the latest where nothing could be measured), and the last evaluation's values by name."""

    run: Path
    checkpoint: Path
    metrics: dict[str, float]

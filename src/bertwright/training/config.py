"""What a pre-training run is told, as one flat set of keys; imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from bertwright.objectives.config import ObjectiveConfig
from bertwright.training.settings import TrainingConfig

STARTS = ("neighbours", "random", "teacher")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(ObjectiveConfig, TrainingConfig):
    """Settings of a pre-training run. None means: chosen from the hardware, the model's size and the budget.

    Parameters
    ----------
    model
        A preset, such as bert-small or roberta-base, or a config.json: new weights.
    init_from
        A checkpoint whose weights to begin with, in place of new ones.
    cooldown_from
        A checkpoint of a run to go on from, as that run did, while the learning rate falls to 0 over the budget.
    extend_positions
        Places to stretch the learned absolute positions to, by interpolation, for longer rows.
    max_seq_length
        Tokens a row, [CLS] and [SEP] included.
    stages
        Rows that get longer, in place of max_seq_length: tokens a row and their share of the budget, such as 128:90% 512:10%.
    mix
        Texts read together, each a shards folder and its share of the samples, such as wiki=0.7 books=0.3; SHARDS takes the rest.
    batch_size_ramp
        Sequences that the first update has and the share of the budget over which they grow to batch_size, such as 32:10%.
    start
        neighbours (heads that begin by looking at the tokens beside them, words that begin beside those with like neighbours), random, or teacher (layers
        taken from it).
    eval_samples
        Held-out samples per evaluation.
    also_evaluate
        Other shards whose held-out part is measured too, such as a general text: what is forgotten.
    ema_decay
        Evaluate and save a moving average of the weights with this decay.
    average_last
        Evaluate and save the mean of the weights at so many last evaluations.
    torch_compile
        Compile what blocks do for each place alone, at the start. On a CPU it gained nothing; not measured on a GPU.
    freeze_layers
        Leave the embeddings and so many of the lowest layers as they are.
    freeze_embeddings
        Leave the embeddings as they are.
    verify
        Read every shard and compare its hash before training.
    """

    model: str = "bert-mini"
    init_from: str | None = None
    cooldown_from: str | None = None
    extend_positions: int | None = None
    max_seq_length: int = 128
    stages: tuple[str, ...] = ()
    mix: tuple[str, ...] = ()
    batch_size_ramp: str | None = None
    start: str | None = None
    eval_samples: int | None = None
    also_evaluate: tuple[str, ...] = ()
    ema_decay: float = 0.0
    average_last: int = 0
    torch_compile: bool = False
    freeze_layers: int = 0
    freeze_embeddings: bool = False
    verify: bool = False

    def problems(self) -> list[str]:
        found = super().problems() + self.objective_problems() + self.among({"start": (None, *STARTS)}) + self.above_zero("extend_positions", "eval_samples")
        found += self.shares("ema_decay") + self.not_below_zero("average_last", "freeze_layers")
        if self.ema_decay and self.average_last:
            found.append(f"ema_decay is {self.ema_decay} and average_last is {self.average_last}: one average is saved, take one away")
        if (self.freeze_layers or self.freeze_embeddings) and not self.init_from:
            key = "freeze_layers" if self.freeze_layers else "freeze_embeddings"
            found.append(f"{key} is {getattr(self, key)} and the weights are new: nothing would ever learn them, give --init_from or leave it out")
        if self.init_from and self.start:
            found.append(f"start is {self.start!r} and init_from is {self.init_from!r}: new weights or a checkpoint's, take one away")
        if self.max_seq_length < 8:
            found.append(f"max_seq_length is {self.max_seq_length}: it must be at least 8")
        return found


@dataclass(frozen=True)
class PretrainResult:
    """Where a run lies, its best checkpoint (the latest where nothing could be measured), and the last evaluation's values by name."""

    run: Path
    checkpoint: Path
    metrics: dict[str, float]

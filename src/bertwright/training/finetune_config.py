"""What a fine-tuning is told, as one flat set of keys; imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bertwright.checkpoints.sentence_transformers import POOLINGS
from bertwright.data.labelled.config import DataConfig
from bertwright.training.settings import TrainingConfig

ADVERSARIES = ("fgm", "pgd")
CLASS_WEIGHTS = ("balanced",)


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(DataConfig, TrainingConfig):
    """Settings of a fine-tuning. None means: chosen by the task, the data's size and the hardware.

    Parameters
    ----------
    metric
        The metric that the best checkpoint is chosen by.
    early_stopping_patience
        Evaluations without a better metric, or the same and a lower loss, after which the training ends.
    label_smoothing
        Share of the target spread over all labels.
    class_weights
        balanced: rare labels weigh more, as the inverse of their counts; of several labels each by the rows without it over those with it.
    freeze_layers
        Layers from below that are not trained; the embeddings with them.
    layer_learning_rate_decay
        Factor of the learning rate from each layer to the one below.
    ema_decay
        Evaluate and save a moving average of the weights with this decay.
    r_drop
        Weight of the difference between two passes with other dropout (R-Drop).
    adversarial
        fgm or pgd: train on embeddings moved against the model too.
    adversarial_epsilon
        How far they are moved, as the norm of the move.
    adversarial_alpha
        How far pgd moves in one of its steps.
    adversarial_steps
        Steps of pgd.
    pooling
        embed: how tokens become a vector, cls, mean or max.
    doc_stride
        answer, tag: tokens that neighbouring windows of a long text share.
    teacher
        classify: a fine-tuned checkpoint of the same labels and vocabulary to learn from too.
    distill_weight
        classify: share of the loss that is learnt from the teacher, the rest from the labels.
    distill_temperature
        classify: of the teacher's and the student's distributions.
    """

    metric: str | None = None
    early_stopping_patience: int | None = None
    label_smoothing: float = 0.0
    class_weights: str | None = None
    freeze_layers: int = 0
    layer_learning_rate_decay: float = 1.0
    ema_decay: float = 0.0
    r_drop: float = 0.0
    adversarial: str | None = None
    adversarial_epsilon: float = 1.0
    adversarial_alpha: float = 0.3
    adversarial_steps: int = 3
    pooling: str | None = None
    doc_stride: int | None = None
    teacher: str | None = None
    distill_weight: float = 0.5
    distill_temperature: float = 2.0
    optimizer: str = "adamw"
    warmup_steps: float = 0.1
    adam_beta2: float = 0.999
    eval_steps: int | str | None = "epoch"
    save_total_limit: int = 1

    def problems(self) -> list[str]:
        found = TrainingConfig.problems(self) + DataConfig.problems(self)
        found += self.among({"adversarial": (None, *ADVERSARIES), "class_weights": (None, *CLASS_WEIGHTS), "pooling": (None, *POOLINGS)})
        found += self.above_zero("early_stopping_patience", "layer_learning_rate_decay", "adversarial_epsilon", "adversarial_alpha", "adversarial_steps")
        found += self.above_zero("distill_temperature")
        if not 0 < self.distill_weight <= 1:
            found.append(f"distill_weight is {self.distill_weight}: it must lie in (0, 1], for example 0.5")
        found += self.not_below_zero("freeze_layers", "r_drop", "doc_stride")
        return found + self.shares("label_smoothing", "ema_decay")


@dataclass(frozen=True)
class FinetuneResult:
    """Where a run lies, its best checkpoint, and its metrics by split ("validation", "test") and name."""

    run: Path
    checkpoint: Path
    metrics: Mapping[str, Mapping[str, float]]
    details: Mapping[str, Any] = field(default_factory=dict)

"""How far a run is, and what that makes of its learning rate."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bertwright.training.settings import TrainingConfig

Unit = Literal["steps", "samples", "tokens", "seconds"]


@dataclass(frozen=True)
class Budget:
    """How long to train: an amount of steps, samples, tokens or seconds. `start`: how much was used up before this training began, in seconds_before."""

    unit: Unit
    amount: float
    start: float = 0.0
    seconds_before: float = 0.0


def budget_of(config: TrainingConfig, sample_at: Callable[[float], float]) -> Budget:
    """How long a config trains; one epoch where it names no budget. sample_at: passes over the data -> the number of samples that they are."""
    if config.max_steps is not None:
        return Budget("steps", config.max_steps)
    if config.max_tokens is not None:
        return Budget("tokens", config.max_tokens)
    if config.max_minutes is not None:
        return Budget("seconds", config.max_minutes * 60)
    return Budget("samples", max(1.0, sample_at(config.num_train_epochs or 1.0)))


@dataclass(frozen=True)
class Progress:
    """What a run has used up so far; all that a resume needs beside the tensors."""

    step: int = 0
    samples: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def used(self, unit: Unit) -> float:
        """How much that is in a budget's unit."""
        return {"steps": self.step, "samples": self.samples, "tokens": self.tokens, "seconds": self.seconds}[unit]

    def fraction(self, budget: Budget) -> float:
        """Share of the budget that is used up, 0 to 1."""
        return min(1.0, (self.used(budget.unit) - budget.start) / budget.amount)


@dataclass(frozen=True)
class Schedule:
    """What the learning rate does over a budget, as a factor of its peak.

    kind: one of `SCHEDULERS` in training/settings.py, or cooldown; warmup: steps, or a share of the budget where below 1; decay: the same of the fall of wsd;
    peak: where a cool-down begins.
    """

    kind: str = "linear"
    warmup: float = 0.0
    decay: float = 0.2
    peak: float = 1.0

    def factor(self, progress: Progress, budget: Budget) -> float:
        """For the next step. linear: up over the warm-up and down to 0 at the end (Devlin et al. 2018, appendix A.2); the others: `_after`."""
        fraction = progress.fraction(budget)
        if self.kind == "cooldown":
            return self.peak * _one_minus_root(fraction)
        if self.warmup >= 1:
            rise = (progress.step + 1) / self.warmup
            return min(rise, 1 - fraction if self.kind == "linear" else self._after(progress, budget, self._share(self.warmup, budget)))
        # The first step must move: under most budgets nothing is used up before it.
        rise = max(fraction / self.warmup, 1e-3) if self.warmup else 1.0
        return min(rise, self._after(progress, budget, self.warmup))

    def _after(self, progress: Progress, budget: Budget, warmup: float) -> float:
        """What the rate follows once the warm-up, a share of the budget, is over.

        cosine: half a wave (Loshchilov & Hutter 2017, equation 5, without restarts); wsd: stays up and falls at the end (Hu et al. 2024, MiniCPM, section 4.2),
        as 1 - sqrt (Hägele et al. 2024, section 3); inverse_sqrt: sqrt(warm-up / time) (Vaswani et al. 2017, section 5.3).
        """
        fraction = progress.fraction(budget)
        left = min((1 - fraction) / (1 - warmup), 1.0) if warmup < 1 else 1.0
        if self.kind == "linear":
            return left
        if self.kind == "cosine":
            return 0.5 * (1 - math.cos(math.pi * left))
        if self.kind == "wsd":
            decay = self._share(self.decay, budget)
            return 1.0 if not decay else _one_minus_root(max(0.0, 1 - (1 - fraction) / decay))
        if self.kind == "inverse_sqrt":
            steps = self.warmup >= 1
            passed = (progress.step + 1) / self.warmup if steps else fraction / self.warmup
            return 1 / math.sqrt(max(passed, 1.0))
        return 1.0

    @staticmethod
    def _share(value: float, budget: Budget) -> float:
        """A share of the budget, where steps can be told as one; 0 else."""
        return value if value < 1 else value / budget.amount if budget.unit == "steps" else 0.0


def _one_minus_root(fraction: float) -> float:
    return 1 - math.sqrt(fraction)

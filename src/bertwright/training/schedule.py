"""How far a run is, and what that makes of its learning rate."""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["steps", "samples", "tokens", "seconds"]


@dataclass(frozen=True)
class Budget:
    """How long to train: an amount of steps, samples, tokens or seconds."""

    unit: Unit
    amount: float


@dataclass(frozen=True)
class Progress:
    """What a run has used up so far; all that a resume needs beside the tensors."""

    step: int = 0
    samples: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def fraction(self, budget: Budget) -> float:
        """Share of the budget that is used up, 0 to 1."""
        used = {"steps": self.step, "samples": self.samples, "tokens": self.tokens, "seconds": self.seconds}[budget.unit]
        return min(1.0, used / budget.amount)


def learning_rate_factor(progress: Progress, budget: Budget, *, warmup: float, kind: str = "linear") -> float:
    """Factor of the peak rate for the next step: linearly up over the warm-up and down to 0 at the end of the budget (Devlin et al. 2018, appendix A.2).

    `warmup`: steps, or a share of the budget where below 1. `kind`: linear, or constant, which stays up.
    """
    fraction = progress.fraction(budget)
    if warmup >= 1:
        return min((progress.step + 1) / warmup, 1.0 if kind == "constant" else 1 - fraction)
    # The first step must move: under most budgets nothing is used up before it.
    rise = max(fraction / warmup, 1e-3) if warmup else 1.0
    return min(rise, 1.0 if kind == "constant" else (1 - fraction) / (1 - warmup))

"""What an objective is told, as keys of the run's flat set; imports no torch."""

from dataclasses import dataclass

from bertwright.objectives.companion_config import CompanionConfig

OBJECTIVES = ("mlm+nsp", "mlm", "rtd", "distill")


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig(CompanionConfig):
    """What is learnt from the text.

    Parameters
    ----------
    objective
        mlm+nsp, mlm, rtd or distill.
    mlm_probability
        Share of the tokens that are masked.
    """

    objective: str = "mlm+nsp"
    mlm_probability: float = 0.15

    def objective_problems(self) -> list[str]:
        """One line for each value that cannot stand; empty when all can."""
        found = self.companion_problems()
        if self.objective not in OBJECTIVES:
            found.append(f"objective is {self.objective!r}: take one of {', '.join(OBJECTIVES)}")
        if not 0 < self.mlm_probability < 1:
            found.append(f"mlm_probability is {self.mlm_probability}: it must lie between 0 and 1, for example 0.15")
        return found

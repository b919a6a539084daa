"""What an objective is told, as keys of the run's flat set; imports no torch."""

from dataclasses import dataclass

from bertwright.objectives.companion_config import CompanionConfig
from bertwright.objectives.masking_config import MaskingConfig
from bertwright.objectives.noise_config import NoiseConfig

OBJECTIVES = ("mlm+nsp", "mlm", "mlm+sop", "rtd", "distill", "contrastive", "clm", "span_corruption", "prefix_lm", "denoising")


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig(MaskingConfig, CompanionConfig, NoiseConfig):
    """What is learnt from the text.

    Parameters
    ----------
    objective
        mlm+nsp, mlm, mlm+sop, rtd, distill, contrastive, clm, span_corruption, prefix_lm or denoising.
    """

    objective: str = "mlm+nsp"

    def objective_problems(self) -> list[str]:
        """One line for each value that cannot stand; empty when all can."""
        found = self.masking_problems() + self.companion_problems() + self.noise_problems()
        if self.objective not in OBJECTIVES:
            found.append(f"objective is {self.objective!r}: take one of {', '.join(OBJECTIVES)}")
        return found

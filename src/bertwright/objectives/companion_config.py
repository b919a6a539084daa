"""What objectives with a second model are told, as keys of the run's flat set; imports no torch."""

from dataclasses import dataclass

GENERATOR_EMBEDDINGS = ("shared", "disentangled", "own")


@dataclass(frozen=True, kw_only=True)
class CompanionConfig:
    """The second model of rtd.

    Parameters
    ----------
    generator_size
        rtd: width of the generator, as a share of the model's.
    generator_layers
        rtd: depth of the generator, as a share of the model's.
    generator_embeddings
        rtd: shared, disentangled (as DeBERTa-v3) or own.
    rtd_weight
        rtd: how much finding the replaced tokens counts beside the generator's loss.
    """

    generator_size: float = 0.25
    generator_layers: float = 1.0
    generator_embeddings: str = "shared"
    rtd_weight: float = 50.0

    def companion_problems(self) -> list[str]:
        """One line for each value that cannot stand; empty when all can."""
        shares = ("generator_size", "generator_layers")
        found = [f"{name} is {getattr(self, name)}: it must lie in (0, 1], for example 0.25" for name in shares if not 0 < getattr(self, name) <= 1]
        if self.generator_embeddings not in GENERATOR_EMBEDDINGS:
            found.append(f"generator_embeddings is {self.generator_embeddings!r}: take one of {', '.join(GENERATOR_EMBEDDINGS)}")
        if not self.rtd_weight > 0:
            found.append(f"rtd_weight is {self.rtd_weight}: it must be above 0, in the paper it is 50")
        return found

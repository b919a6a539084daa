"""What objectives that put something beside the model are told, as keys of the run's flat set; imports no torch."""

from dataclasses import dataclass

SENTENCE_POOLINGS = ("cls", "mean")
GENERATOR_EMBEDDINGS = ("shared", "disentangled", "own")
# The terms of distillation, and the weights that the papers give them (DistilBERT's released recipe; MiniLMv2 has one term).
DISTILLED = {"mlm": 2.0, "soft": 5.0, "cosine": 1.0, "relations": 1.0}


@dataclass(frozen=True, kw_only=True)
class CompanionConfig:
    """The generator of rtd, the teacher of distill, the vectors of contrastive.

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
    teacher
        distill: the checkpoint that is learnt from; it stays as it is.
    distill_from
        distill: what is learnt from, of mlm, soft, cosine and relations, each with its weight: soft=5,mlm=2,cosine=1 (DistilBERT) or relations (MiniLM).
    distill_temperature
        distill: of the teacher's and the student's distributions in soft.
    relation_heads
        distill: parts that queries, keys and values are cut into for relations.
    contrastive_temperature
        contrastive: what the cosines of two vectors are divided by.
    contrastive_pooling
        contrastive: how a sentence becomes a vector, cls or mean.
    """

    generator_size: float = 0.25
    generator_layers: float = 1.0
    generator_embeddings: str = "shared"
    rtd_weight: float = 50.0
    teacher: str | None = None
    distill_from: str = "soft=5,mlm=2,cosine=1"
    distill_temperature: float = 2.0
    relation_heads: int | None = None
    contrastive_temperature: float = 0.05
    contrastive_pooling: str = "cls"

    @property
    def distilled(self) -> tuple[tuple[str, float], ...]:
        """The terms of `distill_from` with their weights. Raises ValueError where it cannot be read."""
        pairs = [part.partition("=")[::2] for part in self.distill_from.split(",")]
        return tuple((name.strip(), float(weight) if weight else DISTILLED[name.strip()]) for name, weight in pairs)

    def companion_problems(self) -> list[str]:
        """One line for each value that cannot stand; empty when all can."""
        shares = ("generator_size", "generator_layers")
        found = [f"{name} is {getattr(self, name)}: it must lie in (0, 1], for example 0.25" for name in shares if not 0 < getattr(self, name) <= 1]
        if self.generator_embeddings not in GENERATOR_EMBEDDINGS:
            found.append(f"generator_embeddings is {self.generator_embeddings!r}: take one of {', '.join(GENERATOR_EMBEDDINGS)}")
        if not self.rtd_weight > 0:
            found.append(f"rtd_weight is {self.rtd_weight}: it must be above 0, in the paper it is 50")
        if not self.contrastive_temperature > 0:
            found.append(f"contrastive_temperature is {self.contrastive_temperature}: it must be above 0, in the paper it is 0.05")
        if self.contrastive_pooling not in SENTENCE_POOLINGS:
            found.append(f"contrastive_pooling is {self.contrastive_pooling!r}: take one of {', '.join(SENTENCE_POOLINGS)}")
        return found + self._distill_problems()

    def _distill_problems(self) -> list[str]:
        found = []
        try:
            weights = dict(self.distilled)
        except (ValueError, KeyError):
            weights = {}
        if weights and len(weights) < len(self.distilled):
            found.append(f"distill_from is {self.distill_from!r}: name each term once")
        if not weights or not weights.keys() <= DISTILLED.keys() or not all(weight > 0 for weight in weights.values()):
            found.append(f"distill_from is {self.distill_from!r}: give terms of {', '.join(DISTILLED)} with weights above 0, for example soft=5,mlm=2,cosine=1")
        if not self.distill_temperature > 0:
            found.append(f"distill_temperature is {self.distill_temperature}: it must be above 0, for example 2")
        if self.relation_heads is not None and self.relation_heads < 1:
            found.append(f"relation_heads is {self.relation_heads}: it must be at least 1")
        return found

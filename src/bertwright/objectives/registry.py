"""Objectives by name."""

from collections.abc import Callable, Mapping

from bertwright.data.samples import Vocabulary
from bertwright.errors import InputError
from bertwright.objectives.config import OBJECTIVES, ObjectiveConfig
from bertwright.objectives.distill import Distillation
from bertwright.objectives.mlm import MaskedLanguageModel
from bertwright.objectives.objective import Objective
from bertwright.objectives.rtd import ReplacedTokenDetection
from bertwright.objectives.sentence_pair import NextSentence


def _mlm(vocabulary: Vocabulary, config: ObjectiveConfig) -> MaskedLanguageModel:
    return MaskedLanguageModel(vocabulary, config.mlm_probability)


def _rtd(vocabulary: Vocabulary, config: ObjectiveConfig) -> ReplacedTokenDetection:
    return ReplacedTokenDetection(
        _mlm(vocabulary, config),
        size=config.generator_size,
        layers=config.generator_layers,
        weight=config.rtd_weight,
        embeddings=config.generator_embeddings,
    )


def _distill(vocabulary: Vocabulary, config: ObjectiveConfig) -> Distillation:
    if not config.teacher:
        raise InputError("objective distill needs a teacher: give its checkpoint with --teacher")
    heads, temperature = config.relation_heads, config.distill_temperature
    return Distillation(_mlm(vocabulary, config), config.teacher, config.distilled, temperature=temperature, relation_heads=heads)


BUILDERS: Mapping[str, Callable[[Vocabulary, ObjectiveConfig], Objective]] = {
    "mlm": _mlm,
    "mlm+nsp": lambda vocabulary, config: NextSentence(_mlm(vocabulary, config)),
    "rtd": _rtd,
    "distill": _distill,
}


def objective(config: ObjectiveConfig, vocabulary: Vocabulary) -> Objective:
    """The objective of a config. Raises InputError with one line for each thing wrong."""
    if problems := config.objective_problems():
        raise InputError(*problems)
    return BUILDERS[config.objective](vocabulary, config)


__all__ = ["OBJECTIVES", "objective"]

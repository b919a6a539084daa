"""Objectives by name."""

from collections.abc import Callable, Mapping
from typing import cast

from bertwright.data.samples import Vocabulary
from bertwright.errors import InputError
from bertwright.objectives.causal import CausalLanguageModel
from bertwright.objectives.config import OBJECTIVES, ObjectiveConfig
from bertwright.objectives.contrastive import Contrastive
from bertwright.objectives.denoising import Denoising
from bertwright.objectives.distill import Distillation
from bertwright.objectives.masking import Masking, Unit
from bertwright.objectives.mlm import MaskedLanguageModel
from bertwright.objectives.noise_config import CORRUPTION_DENSITY, DENOISING_DENSITY
from bertwright.objectives.objective import Objective, Vectors
from bertwright.objectives.rtd import ReplacedTokenDetection
from bertwright.objectives.sentence_pair import NextSentence, SentenceOrder
from bertwright.objectives.span_corruption import PrefixLanguageModel, SpanCorruption


def _mlm(vocabulary: Vocabulary, config: ObjectiveConfig) -> MaskedLanguageModel:
    masked, replaced = config.split or (0.0, 0.0)
    how = Masking(
        rate=config.mlm_probability,
        rate_end=config.mlm_probability_end,
        unit=cast(Unit, config.mask_unit),
        masked=masked,
        replaced=replaced,
        span_longest=config.max_span_length,
    )
    return MaskedLanguageModel(vocabulary, how)


def _rtd(vocabulary: Vocabulary, config: ObjectiveConfig) -> ReplacedTokenDetection:
    return ReplacedTokenDetection(
        _mlm(vocabulary, config),
        size=config.generator_size,
        layers=config.generator_layers,
        weight=config.rtd_weight,
        embeddings=config.generator_embeddings,
    )


def _span_corruption(vocabulary: Vocabulary, config: ObjectiveConfig) -> SpanCorruption:
    return SpanCorruption(vocabulary, density=config.noise_density or CORRUPTION_DENSITY, mean_length=config.mean_span_length)


def _denoising(vocabulary: Vocabulary, config: ObjectiveConfig) -> Denoising:
    return Denoising(vocabulary, noises=config.noise_rates(config.noise_density or DENOISING_DENSITY), mean_length=config.mean_span_length)


def _distill(vocabulary: Vocabulary, config: ObjectiveConfig) -> Distillation:
    if not config.teacher:
        raise InputError("objective distill needs a teacher: give its checkpoint with --teacher")
    heads, temperature = config.relation_heads, config.distill_temperature
    return Distillation(_mlm(vocabulary, config), config.teacher, config.distilled, temperature=temperature, relation_heads=heads)


BUILDERS: Mapping[str, Callable[[Vocabulary, ObjectiveConfig], Objective]] = {
    "mlm": _mlm,
    "mlm+nsp": lambda vocabulary, config: NextSentence(_mlm(vocabulary, config)),
    "mlm+sop": lambda vocabulary, config: SentenceOrder(_mlm(vocabulary, config)),
    "rtd": _rtd,
    "distill": _distill,
    "contrastive": lambda vocabulary, config: Contrastive(vocabulary, config.contrastive_temperature, cast(Vectors, config.contrastive_pooling)),
    "clm": lambda vocabulary, config: CausalLanguageModel(vocabulary),
    "span_corruption": _span_corruption,
    "prefix_lm": lambda vocabulary, config: PrefixLanguageModel(vocabulary),
    "denoising": _denoising,
}


def objective(config: ObjectiveConfig, vocabulary: Vocabulary) -> Objective:
    """The objective of a config. Raises InputError with one line for each thing wrong."""
    if problems := config.objective_problems():
        raise InputError(*problems)
    built = BUILDERS[config.objective](vocabulary, config)
    vocabulary.check(config.objective, *built.tokens)
    return built


__all__ = ["OBJECTIVES", "objective"]

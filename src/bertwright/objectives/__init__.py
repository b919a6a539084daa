"""What a model is pre-trained for, by name."""

from bertwright.data.samples import Vocabulary
from bertwright.errors import InputError
from bertwright.objectives.mlm import MaskedLanguageModel
from bertwright.objectives.objective import Losses, Objective, Term
from bertwright.objectives.sentence_pair import NextSentence

OBJECTIVES = ("mlm+nsp", "mlm")


def objective(name: str, vocabulary: Vocabulary, *, mlm_probability: float) -> Objective:
    """The objective of a name in OBJECTIVES. Raises InputError on another."""
    mlm = MaskedLanguageModel(vocabulary, mlm_probability)
    if name == "mlm":
        return mlm
    if name == "mlm+nsp":
        return NextSentence(mlm)
    raise InputError(f"objective is {name!r}: take one of {', '.join(OBJECTIVES)}")


__all__ = ["OBJECTIVES", "Losses", "MaskedLanguageModel", "NextSentence", "Objective", "Term", "objective"]

"""Which models an objective can train."""

from bertwright.architecture import Architecture
from bertwright.data.samples import Vocabulary
from bertwright.errors import InputError
from bertwright.families import FAMILIES, preset_architecture
from bertwright.objectives.config import OBJECTIVES, ObjectiveConfig
from bertwright.objectives.objective import Objective
from bertwright.objectives.registry import objective as built_of

# Only the shape counts here.
_SMALL = 1000


def misfit(objective: Objective, architecture: Architecture, vocabulary: Vocabulary, *, name: str) -> str | None:
    """One line for why an objective called `name` cannot train such a model, with families that it can train and objectives for this one; None where it can."""
    known = {head.kind for head in architecture.heads}
    if lacking := [head for head in objective.heads if head not in known]:
        why = f"needs heads that this model family lacks ({', '.join(lacking)})"
    elif objective.stacks != tuple(architecture.stacks):
        why = f"trains models of {_stacks(objective.stacks)}, and this one has {_stacks(tuple(architecture.stacks))}"
    else:
        return None
    mends = []
    if able := [family.name for family in FAMILIES if set(objective.heads) <= family.heads.keys() and _same_stacks(objective, family.name)]:
        mends.append(f"a model of {', '.join(able)}")
    if others := [other for other in OBJECTIVES if other != name and _trains(other, architecture, vocabulary)]:
        mends.append(f"--objective {', '.join(others)}")
    return f"objective {name} {why}: take {', or '.join(mends) or 'another model'}"


def _stacks(names: tuple[str, ...]) -> str:
    return " and ".join(f"{'an' if name == 'encoder' else 'a'} {name}" for name in names) + (" alone" if len(names) == 1 else "")


def _same_stacks(objective: Objective, family: str) -> bool:
    return objective.stacks == tuple(preset_architecture(f"{family}-tiny", vocab_size=_SMALL).stacks)


def _trains(name: str, architecture: Architecture, vocabulary: Vocabulary) -> bool:
    try:
        built = built_of(ObjectiveConfig(objective=name), vocabulary)
    except InputError:  # which asks for more than a name, or for tokens that the vocabulary lacks
        return False
    known = {head.kind for head in architecture.heads}
    return set(built.heads) <= known and built.stacks == tuple(architecture.stacks) and architecture.last.segments >= built.segments

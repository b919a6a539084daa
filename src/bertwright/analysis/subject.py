"""What a summary is of: a checkpoint, or a model that is still to be made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertwright.architecture import Architecture, HeadKind
from bertwright.checkpoints.huggingface import empty_model, read_architecture, read_config
from bertwright.checkpoints.matching import match
from bertwright.checkpoints.weights import open_weights
from bertwright.families import family_of, preset

# More entries than any family's usual vocabulary and special ids, for the moment in which that vocabulary is looked up.
ENOUGH = 2**31


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model as data. name: as the user gave it; family: its name; heads: those it has or gets."""

    name: str
    family: str
    architecture: Architecture
    heads: tuple[HeadKind, ...]


def usual_config(name: str, *, vocab_size: int | None = None, **keys: Any) -> dict[str, Any]:
    """The config.json of a preset; without a vocab_size it takes the one of its family's released models. Raises InputError as `families.preset` does."""
    if vocab_size is None:
        config = preset(name, vocab_size=ENOUGH)
        del config["vocab_size"]
        family = family_of(config)
        vocab_size = family.released_vocabulary or family.architecture(config).vocab_size
    return preset(name, vocab_size=vocab_size, **keys)


def of_preset_or_config(model: str, *, vocab_size: int | None = None, heads: tuple[str, ...] | None = None) -> Subject:
    """A model with new weights, by a preset's name or the path of a config.json.

    vocab_size: in place of the config's; ids of special tokens beyond it move to 0, since only sizes are looked at. heads: None for those that Hugging Face
    counts to the family's base model. Raises InputError for what cannot be a model.
    """
    stored = model.endswith(".json") or Path(model).is_dir()
    config = read_config(Path(model)) if stored else usual_config(model)
    if vocab_size is not None:
        outside = [key for key, value in config.items() if key.endswith("_token_id") and isinstance(value, int) and value >= vocab_size]
        config |= {"vocab_size": vocab_size, **dict.fromkeys(outside, 0)}
    architecture = read_architecture(Path(model), config=config) if stored else family_of(config).architecture(config)
    family = family_of(config)
    wanted = [architecture.head(kind).kind for kind in (family.base_heads if heads is None else heads)]
    return Subject(name=model, family=family.name, architecture=architecture, heads=family.complete_heads(wanted))


def of_checkpoint(folder: Path) -> Subject:
    """The model of a Hugging Face folder, from its config.json and the names and shapes of its tensors.

    Values are read only where a file holds one tensor under two names, to see that they are equal. Raises CheckpointError with one line for each thing wrong.
    """
    config = read_config(folder)
    architecture, family = read_architecture(folder, config=config), family_of(config)
    matched = match(open_weights(folder), family, config, heads=None)
    architecture = matched.settled(architecture)
    model = empty_model(architecture, matched.heads)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    matched.check(shapes, optional=frozenset(name for name, _ in model.named_buffers()))
    return Subject(name=str(folder), family=family.name, architecture=architecture, heads=matched.heads)

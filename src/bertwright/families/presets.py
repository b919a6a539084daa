"""Models by name: `<family>-<size>`."""

import difflib
from typing import Any

from bertwright.architecture import Architecture
from bertwright.errors import InputError
from bertwright.families.registry import FAMILIES, family_of

# Layers and hidden size: base and large are the paper's (Devlin et al. 2018, section 3), the smaller ones those of Turc et al. 2019 (arXiv 1908.08962).
SIZES = {"tiny": (2, 128), "mini": (4, 256), "small": (4, 512), "medium": (8, 512), "base": (12, 768), "large": (24, 1024)}
PRESETS = tuple(f"{family.name}-{size}" for family in FAMILIES for size in SIZES)


def preset_architecture(name: str, *, vocab_size: int, **keys: Any) -> Architecture:
    """The architecture of a preset, as `preset` describes it."""
    config = preset(name, vocab_size=vocab_size, **keys)
    return family_of(config).architecture(config)


def preset(name: str, *, vocab_size: int, **keys: Any) -> dict[str, Any]:
    """The config.json of a preset, with no dropout: the first training on much text needs none.

    vocab_size: entries of the tokenizer; keys: others of the config, ids of special tokens among them. Raises InputError for an unknown name, naming the
    nearest, and for impossible values.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        families, sizes = ", ".join(family.name for family in FAMILIES), ", ".join(SIZES)
        raise InputError(f"model {name!r} is no preset: {hint}take FAMILY-SIZE of the families {families} and the sizes {sizes}, or a config.json")
    family_name, size = name.rsplit("-", 1)
    family = next(family for family in FAMILIES if family.name == family_name)
    asked = {"model_type": family.model_types[0], **family.sizes(*SIZES[size]), "vocab_size": vocab_size, **keys}
    return {**asked, **family.config(family.architecture(asked).check())}

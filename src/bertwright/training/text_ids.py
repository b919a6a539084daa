"""Where the texts of a model that writes begin and end: in its config.json, and in the generation_config.json of its checkpoints."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertwright.architecture import Architecture
from bertwright.checkpoints.generation import said_about_generation
from bertwright.data.samples import ABSENT, Vocabulary
from bertwright.families import FAMILIES, Config


def text_ids(config: Config, vocabulary: Vocabulary) -> dict[str, Any]:
    """What the config.json of a new model is to say of the tokens that texts begin and end with, in place of the released models' ids; nothing of a model that
    only reads.

    A decoder beside an encoder begins with padding where the family's does, as T5's, else with the end token, as BART's.
    """
    family = next((family for family in FAMILIES if config.get("model_type") in family.model_types), None)
    released = None if family is None else family.architecture({"model_type": config["model_type"]})
    if released is None or released.decoder is None:
        return {}
    begin, end, pad = (None if token == ABSENT else token for token in (vocabulary.begin_id, vocabulary.end_id, vocabulary.pad_id))
    found = {"bos_token_id": begin, "eos_token_id": end}
    if released.encoder is not None:
        found["decoder_start_token_id"] = pad if released.decoder_start_id == released.pad_id else end
    return found


def said_of_generation(architecture: Architecture, config: Config, begun: Path | None) -> Mapping[str, Any]:
    """The generation_config.json of a run's checkpoints: what the one it begins with said, else the special tokens that its config.json names; empty where the
    model does not write."""
    if architecture.decoder is None:
        return {}
    if begun is not None and (said := said_about_generation(begun)):
        return said
    ids = {
        "bos_token_id": config.get("bos_token_id"),
        "eos_token_id": architecture.eos_id,
        "pad_token_id": architecture.pad_id,
        "decoder_start_token_id": architecture.decoder_start_id if architecture.encoder is not None else None,
    }
    return {key: value for key, value in ids.items() if value is not None}

"""The model families, as data: configs both ways, two-way name rules, heads of each Hugging Face class. Nothing here builds a module or imports torch."""

from bertwright.errors import InputError
from bertwright.families.bert import BERT
from bertwright.families.family import Config, Family, ModelClass
from bertwright.families.presets import PRESETS, preset

FAMILIES = (BERT,)

__all__ = ["BERT", "FAMILIES", "PRESETS", "Config", "Family", "ModelClass", "family_of", "preset"]


def family_of(config: Config) -> Family:
    """The family whose model type a config.json names.

    Raises InputError for an unknown one, and for what no family can take: a checkpoint's own code, quantised weights.
    """
    if "auto_map" in config:
        raise InputError("auto_map asks for code of the checkpoint's own to be run: that is never done; take a checkpoint without it")
    for key in ("quantization_config", "compression_config"):
        if config.get(key) is not None:
            raise InputError(f"{key} says that the weights are quantised: take the checkpoint from before it was quantised")
    known = {model_type: family for family in FAMILIES for model_type in family.model_types}
    model_type = config.get("model_type")
    # Google's own bert_config.json, from before there were model types, has only keys of BERT.
    if model_type is None and {"hidden_size", "num_hidden_layers", "num_attention_heads", "type_vocab_size"} <= config.keys():
        return BERT
    if not isinstance(model_type, str) or model_type not in known:
        raise InputError(f"model_type {model_type!r} is not supported: take a checkpoint of one of {', '.join(known)}")
    return known[model_type]

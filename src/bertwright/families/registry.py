"""All families, and which one a config.json is of."""

from bertwright.errors import InputError
from bertwright.families.albert import ALBERT
from bertwright.families.bart import BART
from bertwright.families.bert import BERT
from bertwright.families.distilbert import DISTILBERT
from bertwright.families.electra import ELECTRA
from bertwright.families.family import Config, Family
from bertwright.families.gpt import GPT, GPT2
from bertwright.families.modernbert import MODERNBERT
from bertwright.families.nezha import NEZHA
from bertwright.families.roberta import ROBERTA, XLM_ROBERTA
from bertwright.families.roformer import ROFORMER
from bertwright.families.t5 import MT5, T5

FAMILIES = (BERT, ROBERTA, XLM_ROBERTA, DISTILBERT, ALBERT, ELECTRA, NEZHA, ROFORMER, GPT, GPT2, BART, T5, MT5, MODERNBERT)


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

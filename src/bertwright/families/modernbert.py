"""ModernBERT: rotary positions with windows in two of three layers, gated feed-forward, pre-norm without the first norm (Warner et al. 2024, arXiv
2412.13663, section 2).
"""

from typing import Any, Literal

from bertwright.architecture import Architecture, Block, Dropout, Head, Reads, Rotary, Stack, Transform
from bertwright.families.family import Config, Family, Rows
from bertwright.families.names import Fused
from bertwright.families.reading import ConfigReader, activation_word, is_number, written

NAMES: Rows = {
    "model.embeddings.{tok_embeddings,norm}": "{tokens,encoder.embedding_norm}",
    "model.layers.*.{attn_norm,mlp_norm}": "encoder.blocks.*.{attention_norm,feed_forward_norm}",
    "model.layers.*.attn.Wqkv": Fused("encoder.blocks.*.attention.{query,key,value}"),
    "model.layers.*.attn.Wo": "encoder.blocks.*.attention.output",
    "model.layers.*.mlp.Wi": Fused("encoder.blocks.*.feed_forward.{gate,value}"),
    "model.layers.*.mlp.Wo": "encoder.blocks.*.feed_forward.down",
    "model.final_norm": "encoder.norm",
}
KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "encoder.block.hidden_size",
    "num_hidden_layers": "encoder.num_layers",
    "num_attention_heads": "encoder.block.num_heads",
    "intermediate_size": "encoder.block.intermediate_size",
    "max_position_embeddings": "encoder.positions.max_length",
    "norm_eps": "encoder.block.norm_eps",
    "norm_bias": "encoder.block.norm_bias",
    "attention_bias": "encoder.block.attention_bias",
    "mlp_bias": "encoder.block.feed_forward_bias",
    "embedding_dropout": "encoder.block.dropout.embeddings",
    "attention_dropout": "encoder.block.dropout.attention",
    "mlp_dropout": "encoder.block.dropout.activation",
    "initializer_range": "initializer_range",
    "pad_token_id": "pad_id",
    "tie_word_embeddings": "tied",
}
THETA = {"full_attention": ("global_rope_theta", 160_000.0), "sliding_attention": ("local_rope_theta", 10_000.0)}
POOLING: dict[str, Reads] = {"cls": "first", "mean": "mean"}


def _base(read: ConfigReader, config: Config, layer_type: str) -> float:
    """The rotary base of a kind of layer: `rope_parameters` of transformers 5, or the older keys."""
    key, default = THETA[layer_type]
    by_type = config.get("rope_parameters") or {}
    if not isinstance(by_type, dict):
        read.wrong("rope_parameters", f"rope_parameters is {by_type!r}: it must be an object with {' and '.join(THETA)}")
        return default
    place, rope = f"rope_parameters.{layer_type}", by_type.get(layer_type) or {}
    if not isinstance(rope, dict):
        read.wrong(place, f"{place} is {rope!r}: it must be an object with rope_type and rope_theta")
        return default
    if rope.get("rope_type", "default") != "default":
        read.wrong(f"{place}.rope_type", f"{place}.rope_type {rope['rope_type']!r} is not supported: take a checkpoint whose positions are not rescaled")
    if (base := rope.get("rope_theta")) is None:
        return read.positive(key, default)
    if not is_number(base) or base <= 0:
        read.wrong(f"{place}.rope_theta", f"{place}.rope_theta is {base!r}: it must be a number above 0")
        return default
    return float(base)


def _windows(read: ConfigReader, config: Config, layers: int) -> tuple[int | None, ...]:
    every = read.integer("global_attn_every_n_layers", 3, least=1)
    usual = ["sliding_attention" if number % every else "full_attention" for number in range(layers)]
    types = config.get("layer_types") or usual
    if not isinstance(types, list):
        read.wrong("layer_types", f"layer_types is {types!r}: it must be a list of {' and '.join(THETA)}, one for each layer")
        types = usual
    if strange := sorted({str(kind) for kind in types} - THETA.keys()):
        read.wrong("layer_types", f"layer_types {', '.join(strange)} is not supported: take {' and '.join(THETA)}")
    window = read.integer("local_attention", 128, least=0) // 2
    return tuple(window if kind == "sliding_attention" else None for kind in types)


def _heads(read: ConfigReader) -> tuple[Head, ...]:
    transform = Transform(activation=read.activation("classifier_activation", "gelu"), bias=read.flag("classifier_bias", False), norm=True)
    pooled, dropout = read.choice("classifier_pooling", "cls", choices=POOLING), read.rate("classifier_dropout", 0.0)
    return (
        Head(kind="mlm", transform=transform, bias=read.flag("decoder_bias", True)),
        Head(kind="classify", reads=pooled, transform=transform, dropout=dropout),
        Head(kind="tag", transform=transform, dropout=dropout),
        Head(kind="span", transform=transform, labels=2, dropout=dropout),
        Head(kind="choice", reads=pooled, transform=transform, labels=1, dropout=dropout),
    )


def _written_heads(architecture: Architecture) -> dict[str, Any]:
    """The keys that `_heads` reads."""
    classify, transform = architecture.head("classify"), architecture.head("classify").transform or Transform(activation="gelu")
    return {
        "classifier_activation": activation_word(transform.activation),
        "classifier_bias": transform.bias,
        "classifier_pooling": next(theirs for theirs, ours in POOLING.items() if ours == classify.reads),
        "classifier_dropout": classify.dropout,
        "decoder_bias": bool(architecture.head("mlm").bias),
    }


def architecture(config: Config) -> Architecture:
    """The architecture that a config.json describes. Raises InputError with one line for each thing wrong."""
    read = ConfigReader(config)
    layers, of_attention = read.integer("num_hidden_layers", 22), read.rate("attention_dropout", 0.0)
    block = Block(
        hidden_size=read.integer("hidden_size", 768),
        num_heads=read.integer("num_attention_heads", 12),
        intermediate_size=read.integer("intermediate_size", 1152),
        activation=read.activation("hidden_activation", "gelu"),
        gated=True,
        norm_bias=read.flag("norm_bias", False),
        norm_eps=read.number("norm_eps", 1e-5),
        norm_first=True,
        attention_bias=read.flag("attention_bias", False),
        feed_forward_bias=read.flag("mlp_bias", False),
        dropout=Dropout(
            embeddings=read.rate("embedding_dropout", 0.0),
            attention=of_attention,
            attention_output=of_attention,
            activation=read.rate("mlp_dropout", 0.0),
        ),
    )
    positions = Rotary(
        base=_base(read, config, "full_attention"),
        local_base=_base(read, config, "sliding_attention"),
        max_length=read.integer("max_position_embeddings", 8192),
    )
    windows = _windows(read, config, layers)
    return read.finish(
        Architecture(
            vocab_size=read.integer("vocab_size", 50368),
            pad_id=read.token("pad_token_id", 50283),
            embedding_size=block.hidden_size,
            encoder=Stack(block=block, num_layers=layers, positions=positions, first_norm=False, final_norm=True, windows=windows),
            heads=_heads(read),
            num_labels=read.labels(),
            tied=read.flag("tie_word_embeddings", True),
            initializer_range=read.number("initializer_range", 0.02),
            scaled_residuals=True,
        )
    )


def config(architecture: Architecture) -> dict[str, Any]:
    """The keys of config.json that describe the architecture to Hugging Face's ModernBertConfig."""
    encoder = architecture.stacks["encoder"]
    positions, windows = encoder.positions, [window for window in encoder.windows if window is not None]
    if not isinstance(positions, Rotary):
        raise ValueError("this family has rotary positions")
    bases = {"full_attention": positions.base, "sliding_attention": positions.local_base}
    return {
        "model_type": "modernbert",
        **written(architecture, KEYS),
        **_written_heads(architecture),
        "hidden_activation": activation_word(encoder.block.activation),
        "layer_types": ["full_attention" if window is None else "sliding_attention" for window in encoder.windows],
        **({"local_attention": 2 * windows[0]} if windows else {}),
        "rope_parameters": {kind: {"rope_type": "default", "rope_theta": base} for kind, base in bases.items()},
    }


def sizes(num_layers: int, hidden_size: int) -> dict[str, Any]:
    """Config keys of a preset: the gated feed-forward is one and a half times as wide as the model, as the released ones; ids are those of tokenizers trained
    here.
    """
    ids = {"pad_token_id": 0, "cls_token_id": 2, "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3}
    widths = {"hidden_size": hidden_size, "num_attention_heads": hidden_size // 64, "intermediate_size": 3 * hidden_size // 2}
    return {"num_hidden_layers": num_layers, **widths, **ids}


def _head_names(kind: Literal["classify", "tag", "span", "choice"]) -> Rows:
    return {"{head.dense,head.norm,classifier}": f"heads.{kind}.{{dense,norm,output}}"}


MODERNBERT = Family(
    name="modernbert",
    model_types=("modernbert",),
    prefix="model.",
    base_class="ModernBertModel",
    rows=NAMES,
    heads={
        "mlm": {"{head.dense,head.norm,decoder.weight,decoder.bias}": "heads.mlm.{dense,norm,decoder.weight,bias}"},
        "classify": _head_names("classify"),
        "tag": _head_names("tag"),
        "span": _head_names("span"),
        "choice": _head_names("choice"),
    },
    classes={
        "ModernBertForMaskedLM": ("mlm",),
        "ModernBertForSequenceClassification": ("classify",),
        "ModernBertForTokenClassification": ("tag",),
        "ModernBertForQuestionAnswering": ("span",),
        "ModernBertForMultipleChoice": ("choice",),
        "ModernBertModel": (),
    },
    architecture=architecture,
    config=config,
    sizes=sizes,
)

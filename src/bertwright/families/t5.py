"""T5, T5 v1.1 and mT5: RMSNorm before each sublayer, no biases, a free head size, unscaled scores, bucketed relative positions (Raffel et al. 2019, arXiv
1910.10683; version 1.1: Shazeer 2020; mT5: Xue et al. 2020).
"""

from dataclasses import replace
from typing import Any, Literal

from bertwright.architecture import Architecture, Block, Bucketed, Dropout, Head, Stack
from bertwright.families.family import Config, Family
from bertwright.families.reading import ACTIVATIONS, ConfigReader, activation_word, with_defaults, written

NAMES = {
    "shared": "tokens",
    "{encoder,decoder}.embed_tokens": "{encoder,decoder}.tokens",
    "{encoder,decoder}.block.0.layer.0.SelfAttention.relative_attention_bias": "{encoder,decoder}.positions",
    "{encoder,decoder}.block.*.layer.0.SelfAttention.{q,k,v,o}": "{encoder,decoder}.blocks.*.attention.{query,key,value,output}",
    "{encoder,decoder}.block.*.layer.0.layer_norm": "{encoder,decoder}.blocks.*.attention_norm",
    "decoder.block.*.layer.1.EncDecAttention.{q,k,v,o}": "decoder.blocks.*.cross_attention.{query,key,value,output}",
    "decoder.block.*.layer.1.layer_norm": "decoder.blocks.*.cross_attention_norm",
    "encoder.block.*.layer.1.DenseReluDense.{wi,wi_0,wi_1,wo}": "encoder.blocks.*.feed_forward.{up,gate,value,down}",
    "decoder.block.*.layer.2.DenseReluDense.{wi,wi_0,wi_1,wo}": "decoder.blocks.*.feed_forward.{up,gate,value,down}",
    "encoder.block.*.layer.1.layer_norm": "encoder.blocks.*.feed_forward_norm",
    "decoder.block.*.layer.2.layer_norm": "decoder.blocks.*.feed_forward_norm",
    "{encoder,decoder}.final_layer_norm": "{encoder,decoder}.norm",
}
KEYS = {
    "vocab_size": "vocab_size",
    "d_model": "encoder.block.hidden_size",
    "d_kv": "encoder.block.head_size",
    "d_ff": "encoder.block.intermediate_size",
    "num_layers": "encoder.num_layers",
    "num_heads": "encoder.block.num_heads",
    "relative_attention_num_buckets": "encoder.positions.num_buckets",
    "relative_attention_max_distance": "encoder.positions.max_distance",
    "dropout_rate": "encoder.block.dropout.embeddings",
    "layer_norm_epsilon": "encoder.block.norm_eps",
    "pad_token_id": "pad_id",
    "eos_token_id": "eos_id",
    "decoder_start_token_id": "decoder_start_id",
}
# The one feed-forward whose name is not its activation: version 1.1's gate is the tanh approximation (released code).
FEED_FORWARDS = {**{name: (ours, False) for name, ours in ACTIVATIONS.items()}, **{f"gated-{name}": (ours, True) for name, ours in ACTIVATIONS.items()}}
FEED_FORWARDS["gated-gelu"] = ("gelu_tanh", True)


def _stack(read: ConfigReader, side: Literal["encoder", "decoder"], *, feed_forward: str) -> Stack:
    rate = read.rate("dropout_rate", 0.1)
    activation, gated = read.choice("feed_forward_proj", feed_forward, choices=FEED_FORWARDS)
    layers = read.integer("num_layers", 6)
    block = Block(
        hidden_size=read.integer("d_model", 512),
        num_heads=read.integer("num_heads", 8),
        free_head_size=read.integer("d_kv", 64),
        intermediate_size=read.integer("d_ff", 2048),
        activation=activation,
        gated=gated,
        norm="rms",
        norm_eps=read.number("layer_norm_epsilon", 1e-6),
        norm_first=True,
        attention_bias=False,
        feed_forward_bias=False,
        scaled=False,
        dropout=Dropout(embeddings=rate, attention=rate, attention_output=rate, activation=rate, feed_forward=rate, final=rate),
    )
    return Stack(
        block=block,
        num_layers=read.integer("num_decoder_layers", layers) if side == "decoder" else layers,
        positions=Bucketed(num_buckets=read.integer("relative_attention_num_buckets", 32), max_distance=read.integer("relative_attention_max_distance", 128)),
        embedding_norm=False,
        final_norm=True,
        causal=side == "decoder",
        cross_attention=side == "decoder",
    )


def _architecture(config: Config, *, feed_forward: str, scaled: bool) -> Architecture:
    """`scaled`: the output is divided by the root of the width, unless the config says that it is not, as version 1.1 does."""
    read = ConfigReader(config)
    encoder = _stack(read, "encoder", feed_forward=feed_forward)
    # Version 1.1 tells by its decoder that is not tied that it does not scale; transformers 5 has a key for it.
    scaled = scaled and read.flag("scale_decoder_outputs", read.flag("tie_word_embeddings", True))
    alone = "T5EncoderModel" in str(config.get("architectures")) or config.get("is_encoder_decoder") is False
    pad_id = read.token("pad_token_id", 0)
    return read.finish(
        Architecture(
            vocab_size=read.integer("vocab_size", 32128),
            pad_id=pad_id,
            eos_id=read.token("eos_token_id", 1),
            decoder_start_id=read.token("decoder_start_token_id", pad_id),
            embedding_size=encoder.block.hidden_size,
            encoder=encoder,
            decoder=None if alone else _stack(read, "decoder", feed_forward=feed_forward),
            heads=() if alone else (Head(kind="lm", bias=False, scale=encoder.block.hidden_size**-0.5 if scaled else 1.0),),
            # Version 1.1 has a decoder of its own, whatever transformers writes about tying: the file decides.
            tied=None,
            fan_in=True,
        )
    )


def architecture(config: Config) -> Architecture:
    """The architecture that a config.json of T5 describes. Raises InputError with one line for each thing wrong."""
    return _architecture(config, feed_forward="relu", scaled=True)


def mt5_architecture(config: Config) -> Architecture:
    """The architecture that a config.json of mT5 describes. Raises InputError with one line for each thing wrong."""
    return _architecture(with_defaults(config, vocab_size=250112, num_heads=6, num_layers=8, d_ff=1024), feed_forward="gated-gelu", scaled=False)


def config(architecture: Architecture) -> dict[str, Any]:
    """The keys of config.json that describe the architecture to Hugging Face's T5Config."""
    block, decoder = architecture.stacks["encoder"].block, architecture.decoder
    activation = activation_word(block.activation)
    gated = "gated-gelu" if block.activation == "gelu_tanh" else f"gated-{activation}"
    scaled = not architecture.heads or architecture.head("lm").scale != 1
    own = {"feed_forward_proj": gated if block.gated else activation, "is_encoder_decoder": decoder is not None, "tie_word_embeddings": scaled}
    layers = {} if decoder is None else {"num_decoder_layers": decoder.num_layers}
    return {"model_type": "t5", **written(architecture, KEYS), **layers, **own}


def sizes(num_layers: int, hidden_size: int) -> dict[str, Any]:
    """Config keys of a preset of version 1.0, with as many layers in each stack."""
    return {"num_layers": num_layers, "d_model": hidden_size, "num_heads": hidden_size // 64, "d_kv": 64, "d_ff": 4 * hidden_size, "dropout_rate": 0.0}


T5 = Family(
    name="t5",
    model_types=("t5",),
    prefix="",
    base_class="T5Model",
    rows=NAMES,
    heads={"lm": {"lm_head": "heads.lm.decoder"}},
    classes={"T5ForConditionalGeneration": ("lm",), "T5Model": (), "T5EncoderModel": ()},
    # The original checkpoints have a bias in the first cross-attention too, which their model never used.
    buffers={"decoder.block.*.layer.*.EncDecAttention.relative_attention_bias.weight": "unread"},
    architecture=architecture,
    config=config,
    sizes=sizes,
)
MT5 = replace(
    T5,
    name="mt5",
    model_types=("mt5",),
    base_class="MT5Model",
    classes={f"M{name}": heads for name, heads in T5.classes.items()},
    architecture=mt5_architecture,
    config=lambda architecture: {**config(architecture), "model_type": "mt5"},
    sizes=lambda num_layers, hidden_size: {**sizes(num_layers, hidden_size), "feed_forward_proj": "gated-gelu"},
)

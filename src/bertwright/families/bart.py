"""BART: an encoder and a decoder of BERT's kind with cross-attention, positions offset by 2 (Lewis et al. 2019, arXiv 1910.13461)."""

import math
from typing import Any, Literal

from bertwright.architecture import Absolute, Architecture, Block, Dropout, Head, Stack, Transform
from bertwright.families.family import Config, Family
from bertwright.families.reading import ConfigReader, activation_word, written

NAMES = {
    "model.shared": "tokens",
    "model.{encoder,decoder}.embed_tokens": "{encoder,decoder}.tokens",
    "model.{encoder,decoder}.{embed_positions,layernorm_embedding}": "{encoder,decoder}.{positions,embedding_norm}",
    "model.{encoder,decoder}.layers.*.self_attn.{q,k,v,out}_proj": "{encoder,decoder}.blocks.*.attention.{query,key,value,output}",
    "model.{encoder,decoder}.layers.*.{self_attn_layer_norm,final_layer_norm}": "{encoder,decoder}.blocks.*.{attention_norm,feed_forward_norm}",
    "model.{encoder,decoder}.layers.*.{fc1,fc2}": "{encoder,decoder}.blocks.*.feed_forward.{up,down}",
    "model.decoder.layers.*.encoder_attn.{q,k,v,out}_proj": "decoder.blocks.*.cross_attention.{query,key,value,output}",
    "model.decoder.layers.*.encoder_attn_layer_norm": "decoder.blocks.*.cross_attention_norm",
}
# The table has two rows that no place takes (released code).
OFFSET = 2
KEYS = {
    "vocab_size": "vocab_size",
    "d_model": "encoder.block.hidden_size",
    "encoder_layers": "encoder.num_layers",
    "encoder_attention_heads": "encoder.block.num_heads",
    "encoder_ffn_dim": "encoder.block.intermediate_size",
    "decoder_layers": "decoder.num_layers",
    "decoder_attention_heads": "decoder.block.num_heads",
    "decoder_ffn_dim": "decoder.block.intermediate_size",
    "dropout": "encoder.block.dropout.embeddings",
    "attention_dropout": "encoder.block.dropout.attention",
    "activation_dropout": "encoder.block.dropout.activation",
    "max_position_embeddings": "encoder.positions.max_length",
    "init_std": "initializer_range",
    "pad_token_id": "pad_id",
    "eos_token_id": "eos_id",
    "decoder_start_token_id": "decoder_start_id",
}


def _stack(read: ConfigReader, side: Literal["encoder", "decoder"]) -> Stack:
    rate = read.rate("dropout", 0.1)
    hidden_size = read.integer("d_model", 1024)
    block = Block(
        hidden_size=hidden_size,
        num_heads=read.integer(f"{side}_attention_heads", 16),
        intermediate_size=read.integer(f"{side}_ffn_dim", 4096),
        activation=read.activation("activation_function", "gelu"),
        norm_eps=1e-5,
        dropout=Dropout(
            embeddings=rate,
            attention=read.rate("attention_dropout", 0.0),
            attention_output=rate,
            activation=read.rate("activation_dropout", 0.0),
            feed_forward=rate,
        ),
    )
    return Stack(
        block=block,
        num_layers=read.integer(f"{side}_layers", 12),
        positions=Absolute(max_length=read.integer("max_position_embeddings", 1024), offset=OFFSET),
        embedding_scale=math.sqrt(hidden_size) if read.flag("scale_embedding", False) else 1.0,
        causal=side == "decoder",
        cross_attention=side == "decoder",
    )


def architecture(config: Config) -> Architecture:
    """The architecture that a config.json describes. Raises InputError with one line for each thing wrong."""
    read = ConfigReader(config)
    for key in ("encoder_layerdrop", "decoder_layerdrop"):
        read.only(key, 0.0, mend="whole layers are never dropped here; set it to 0")
    read.only("tie_word_embeddings", True, mend="encoder, decoder and output share one table here; take a checkpoint that shares it")
    # Variants of old checkpoints that transformers' BART does not know any more.
    read.only("normalize_before", False, mend="blocks norm after their sublayers here; take a checkpoint of BART's own shape")
    read.only("add_final_layer_norm", False, mend="there is no final norm here; take a checkpoint of BART's own shape")
    encoder = _stack(read, "encoder")
    dropout = read.rate("classifier_dropout", 0.0)
    return read.finish(
        Architecture(
            vocab_size=read.integer("vocab_size", 50265),
            pad_id=read.token("pad_token_id", 1),
            eos_id=read.token("eos_token_id", 2),
            decoder_start_id=read.token("decoder_start_token_id", 2),
            embedding_size=encoder.block.hidden_size,
            encoder=encoder,
            decoder=_stack(read, "decoder"),
            heads=(
                Head(kind="lm", bias="buffer"),
                Head(kind="classify", reads="end", transform=Transform(activation="tanh", dropout=True), dropout=dropout),
            ),
            num_labels=read.labels(3),
            initializer_range=read.number("init_std", 0.02),
        )
    )


def config(architecture: Architecture) -> dict[str, Any]:
    """The keys of config.json that describe the architecture to Hugging Face's BartConfig."""
    encoder = architecture.stacks["encoder"]
    own = {"activation_function": activation_word(encoder.block.activation), "scale_embedding": encoder.embedding_scale != 1}
    return {"model_type": "bart", **written(architecture, KEYS), **own, "classifier_dropout": architecture.head("classify").dropout}


def sizes(num_layers: int, hidden_size: int) -> dict[str, Any]:
    """Config keys of a preset, with as many layers in each stack."""
    keys: dict[str, Any] = {"d_model": hidden_size, "dropout": 0.0}
    for side in ("encoder", "decoder"):
        keys |= {f"{side}_layers": num_layers, f"{side}_attention_heads": hidden_size // 64, f"{side}_ffn_dim": 4 * hidden_size}
    return keys


BART = Family(
    name="bart",
    model_types=("bart",),
    prefix="model.",
    base_class="BartModel",
    rows=NAMES,
    heads={
        "lm": {"final_logits_bias": "heads.lm.bias", "lm_head": "heads.lm.decoder"},
        "classify": {"classification_head.{dense,out_proj}": "heads.classify.{dense,output}"},
    },
    classes={"BartForConditionalGeneration": ("lm",), "BartForSequenceClassification": ("classify",), "BartModel": ()},
    # What fairseq counted its formats by.
    buffers={"model.encoder.version": "number", "model.decoder.version": "number"},
    architecture=architecture,
    config=config,
    sizes=sizes,
)

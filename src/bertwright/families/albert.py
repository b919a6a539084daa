"""ALBERT: factorised embeddings, blocks shared by the layers of a group, sentence order (Lan et al. 2019, arXiv 1909.11942, section 3.1)."""

import dataclasses
from typing import Any

from bertwright.architecture import Absolute, Architecture, Dropout, Head, Stack, Transform
from bertwright.families.bert_like import BLOCK_KEYS, LEGACY, TASK_NAMES, encoder_block, position_buffers, sizes, task_heads
from bertwright.families.family import Config, Family
from bertwright.families.reading import ConfigReader, activation_word, written

LAYER = "albert.encoder.albert_layer_groups.*.albert_layers.*"
NAMES = {
    "albert.embeddings.{word,position,token_type}_embeddings": "{tokens,encoder.positions,encoder.segments}",
    "albert.embeddings.LayerNorm": "encoder.embedding_norm",
    "albert.encoder.embedding_hidden_mapping_in": "encoder.projection",
    f"{LAYER}.attention.{{query,key,value,dense}}": "encoder.blocks.*.*.attention.{query,key,value,output}",
    f"{LAYER}.{{attention.LayerNorm,full_layer_layer_norm}}": "encoder.blocks.*.*.{attention_norm,feed_forward_norm}",
    f"{LAYER}.{{ffn,ffn_output}}": "encoder.blocks.*.*.feed_forward.{up,down}",
}
KEYS = {
    **BLOCK_KEYS,
    # Of ALBERT's two rates for hidden states, the feed-forward's output has none.
    "hidden_dropout_prob": "encoder.block.dropout.embeddings",
    "embedding_size": "embedding_size",
    "num_hidden_groups": "encoder.groups",
    "inner_group_num": "encoder.inner_groups",
}


def architecture(config: Config) -> Architecture:
    """The architecture that a config.json describes. Raises InputError with one line for each thing wrong."""
    read = ConfigReader(config)
    read.absolute_positions()
    block = encoder_block(read, hidden_size=4096, num_heads=64, intermediate_size=16384, activation="gelu_new", dropout=0.0)
    rates = block.dropout
    block = dataclasses.replace(block, dropout=Dropout(embeddings=rates.embeddings, attention=rates.attention, attention_output=rates.attention_output))
    of_heads = read.rate("classifier_dropout_prob", 0.1)
    groups, layers, inner = read.integer("num_hidden_groups", 1), read.integer("num_hidden_layers", 12), read.integer("inner_group_num", 1)
    for key, value, most in (("num_hidden_groups", groups, layers), ("inner_group_num", inner, inner)):
        if not 1 <= value <= most:
            read.wrong(key, f"{key} is {value}: it must be at least 1, and no more than num_hidden_layers {layers}")
    return read.finish(
        Architecture(
            vocab_size=read.integer("vocab_size", 30000),
            pad_id=read.token("pad_token_id", 0),
            embedding_size=read.integer("embedding_size", 128),
            encoder=Stack(
                block=block,
                num_layers=layers,
                positions=Absolute(max_length=read.integer("max_position_embeddings", 512)),
                segments=read.integer("type_vocab_size", 2),
                projection=True,
                groups=groups,
                inner_groups=inner,
            ),
            heads=(
                Head(kind="pooler", reads="first", transform=Transform(activation="tanh")),
                Head(kind="mlm", transform=Transform(activation=block.activation, norm=True), idle_bias=True),
                Head(kind="sop", reads="pooled", dropout=of_heads),
                *task_heads(
                    Head(kind="classify", reads="pooled", dropout=of_heads),
                    Head(kind="choice", reads="pooled", labels=1, dropout=of_heads),
                    dropout=of_heads,
                ),
            ),
            num_labels=read.labels(),
            tied=read.flag("tie_word_embeddings", True),
            initializer_range=read.number("initializer_range", 0.02),
        )
    )


def config(architecture: Architecture) -> dict[str, Any]:
    """The keys of config.json that describe the architecture to Hugging Face's AlbertConfig."""
    act = activation_word(architecture.stacks["encoder"].block.activation)
    return {"model_type": "albert", **written(architecture, KEYS), "hidden_act": act, "classifier_dropout_prob": architecture.head("sop").dropout}


ALBERT = Family(
    name="albert",
    model_types=("albert",),
    prefix="albert.",
    base_class="AlbertModel",
    rows=NAMES,
    heads={
        "pooler": {"albert.pooler": "heads.pooler.dense"},
        "mlm": {"predictions.{dense,LayerNorm,bias,decoder}": "heads.mlm.{dense,norm,bias,decoder}"},
        "sop": {"sop_classifier.classifier": "heads.sop.output"},
        **TASK_NAMES,
    },
    classes={
        "AlbertForPreTraining": ("pooler", "mlm", "sop"),
        "AlbertForMaskedLM": ("mlm",),
        "AlbertForSequenceClassification": ("pooler", "classify"),
        "AlbertForTokenClassification": ("tag",),
        "AlbertForQuestionAnswering": ("span",),
        "AlbertForMultipleChoice": ("pooler", "choice"),
        "AlbertModel": (),
    },
    base_heads=("pooler",),
    pooled=("sop", "classify", "choice"),
    legacy=LEGACY,
    buffers=position_buffers("albert."),
    architecture=architecture,
    config=config,
    sizes=lambda num_layers, hidden_size: {**sizes(num_layers, hidden_size), "embedding_size": min(128, hidden_size)},
)

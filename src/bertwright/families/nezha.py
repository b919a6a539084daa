"""NEZHA: BERT with sinusoids of the distance on keys and values in place of absolute positions (Wei et al. 2019, arXiv 1909.00204)."""

from typing import Any

from bertwright.architecture import Architecture, RelativeSinusoid, Stack
from bertwright.families.bert_like import (
    CLS_PREDICTIONS,
    LEGACY,
    TASK_NAMES,
    bert_heads,
    block_config,
    encoder_block,
    encoder_names,
    head_dropout,
    position_buffers,
    sizes,
    written_head_dropout,
)
from bertwright.families.family import Config, Family
from bertwright.families.reading import ConfigReader, written

KEYS = {"max_relative_position": "encoder.positions.max_distance", "max_position_embeddings": "encoder.positions.max_length"}


def architecture(config: Config) -> Architecture:
    """The architecture that a config.json describes. Raises InputError with one line for each thing wrong."""
    read = ConfigReader(config)
    read.encoder_only()
    block = encoder_block(read)
    max_distance = read.integer("max_relative_position", 64)
    if max_distance < 1:
        read.wrong("max_relative_position", f"max_relative_position is {max_distance}: it must be at least 1")
    if block.num_heads > 0 and block.hidden_size % block.num_heads == 0 and block.head_size % 2:
        read.wrong("num_attention_heads", f"a head has {block.head_size} dimensions: sines and cosines come in pairs, take an even number")
    return read.finish(
        Architecture(
            vocab_size=read.integer("vocab_size", 21128),
            pad_id=read.token("pad_token_id", 0),
            embedding_size=block.hidden_size,
            encoder=Stack(
                block=block,
                num_layers=read.integer("num_hidden_layers", 12),
                positions=RelativeSinusoid(max_distance=max_distance, max_length=read.integer("max_position_embeddings", 512)),
                segments=read.integer("type_vocab_size", 2),
            ),
            heads=bert_heads(block, dropout=head_dropout(read, 0.1), idle_bias=False),
            num_labels=read.labels(),
            tied=read.flag("tie_word_embeddings", True),
            initializer_range=read.number("initializer_range", 0.02),
        )
    )


def config(architecture: Architecture) -> dict[str, Any]:
    """The keys of config.json that describe the architecture to Hugging Face's NezhaConfig, of transformers up to version 4."""
    return {**block_config(architecture, model_type="nezha"), **written_head_dropout(architecture), **written(architecture, KEYS)}


NEZHA = Family(
    name="nezha",
    model_types=("nezha",),
    prefix="nezha.",
    base_class="NezhaModel",
    rows=encoder_names("nezha."),
    heads={"pooler": {"nezha.pooler.dense": "heads.pooler.dense"}, "mlm": CLS_PREDICTIONS, "nsp": {"cls.seq_relationship": "heads.nsp.output"}, **TASK_NAMES},
    classes={
        "NezhaForPreTraining": ("pooler", "mlm", "nsp"),
        "NezhaForMaskedLM": ("mlm",),
        "NezhaForNextSentencePrediction": ("pooler", "nsp"),
        "NezhaForSequenceClassification": ("pooler", "classify"),
        "NezhaForTokenClassification": ("tag",),
        "NezhaForQuestionAnswering": ("span",),
        "NezhaForMultipleChoice": ("pooler", "choice"),
        "NezhaModel": (),
    },
    base_heads=("pooler",),
    pooled=("nsp", "classify", "choice"),
    legacy=LEGACY,
    # Of transformers 4: the sinusoids, in every layer.
    buffers={**position_buffers("nezha."), "nezha.encoder.layer.*.attention.self.relative_positions_encoding.positions_encoding": "unread"},
    architecture=architecture,
    config=config,
    sizes=sizes,
)

"""RoBERTa: BERT with positions counted from the pad id, one kind of segment in practice, and a classifier of its own (Liu et al. 2019, arXiv 1907.11692).

XLM-RoBERTa is the same model under other class names (Conneau et al. 2019, arXiv 1911.02116).
"""

from dataclasses import replace
from typing import Any

from bertwright.architecture import Absolute, Architecture, Head, Stack, Transform
from bertwright.families.bert_like import (
    LEGACY,
    TASK_NAMES,
    block_config,
    encoder_block,
    encoder_names,
    head_dropout,
    position_buffers,
    sizes,
    task_heads,
    written_head_dropout,
)
from bertwright.families.family import Config, Family
from bertwright.families.reading import ConfigReader, with_defaults

NAMES = {**encoder_names("roberta."), "roberta.embeddings.position_embeddings": "encoder.positions"}


def architecture(config: Config) -> Architecture:
    """The architecture that a config.json describes. Raises InputError with one line for each thing wrong."""
    read = ConfigReader(config)
    read.encoder_only()
    read.absolute_positions()
    block, pad_id = encoder_block(read), read.token("pad_token_id", 1)
    dropout = head_dropout(read, block.dropout.embeddings)
    # The table begins with rows that no token takes: those up to the pad id, which padding itself has.
    offset = 1 if pad_id is None else pad_id + 1
    return read.finish(
        Architecture(
            vocab_size=read.integer("vocab_size", 50265),
            pad_id=pad_id,
            embedding_size=block.hidden_size,
            encoder=Stack(
                block=block,
                num_layers=read.integer("num_hidden_layers", 12),
                positions=Absolute(max_length=read.integer("max_position_embeddings", 512) - offset, offset=offset, skip_padding=True),
                segments=read.integer("type_vocab_size", 2),
            ),
            heads=(
                Head(kind="pooler", reads="first", transform=Transform(activation="tanh")),
                Head(kind="mlm", transform=Transform(activation="gelu", norm=True), idle_bias=True),
                *task_heads(
                    Head(kind="classify", reads="first", transform=Transform(activation="tanh", dropout=True), dropout=dropout),
                    # Hugging Face's class gives multiple choice the hidden states' rate.
                    Head(kind="choice", reads="pooled", labels=1, dropout=block.dropout.embeddings),
                    dropout=dropout,
                ),
            ),
            num_labels=read.labels(),
            tied=read.flag("tie_word_embeddings", True),
            initializer_range=read.number("initializer_range", 0.02),
        )
    )


def config(architecture: Architecture) -> dict[str, Any]:
    """The keys of config.json that describe the architecture to Hugging Face's RobertaConfig."""
    positions = architecture.stacks["encoder"].positions
    rows = positions.max_length + positions.offset if isinstance(positions, Absolute) else 0
    return {**block_config(architecture, model_type="roberta"), **written_head_dropout(architecture), "max_position_embeddings": rows}


ROBERTA = Family(
    name="roberta",
    model_types=("roberta",),
    prefix="roberta.",
    base_class="RobertaModel",
    rows=NAMES,
    heads={
        "pooler": {"roberta.pooler.dense": "heads.pooler.dense"},
        "mlm": {"lm_head.{dense,layer_norm,bias,decoder}": "heads.mlm.{dense,norm,bias,decoder}"},
        **TASK_NAMES,
        "classify": {"classifier.{dense,out_proj}": "heads.classify.{dense,output}"},
    },
    classes={
        "RobertaForMaskedLM": ("mlm",),
        "RobertaForSequenceClassification": ("classify",),
        "RobertaForTokenClassification": ("tag",),
        "RobertaForQuestionAnswering": ("span",),
        "RobertaForMultipleChoice": ("pooler", "choice"),
        "RobertaModel": (),
    },
    base_heads=("pooler",),
    pooled=("choice",),
    legacy=LEGACY,
    buffers=position_buffers("roberta."),
    architecture=architecture,
    config=config,
    # Two rows before the first place, as the released models have them.
    sizes=lambda num_layers, hidden_size: {**sizes(num_layers, hidden_size), "max_position_embeddings": 514, "type_vocab_size": 1},
)
XLM_ROBERTA = replace(
    ROBERTA,
    name="xlm-roberta",
    model_types=("xlm-roberta",),
    base_class="XLMRobertaModel",
    released_vocabulary=250_002,
    classes={f"XLM{name}": heads for name, heads in ROBERTA.classes.items()},
    # Hugging Face's XLMRobertaConfig has another vocabulary for a config that leaves it out.
    architecture=lambda config: architecture(with_defaults(config, vocab_size=30522)),
    config=lambda architecture: {**config(architecture), "model_type": "xlm-roberta"},
)

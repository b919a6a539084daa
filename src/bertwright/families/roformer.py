"""RoFormer: rotary positions, of neighbouring pairs, on queries and keys and by choice on values (Su et al. 2021, arXiv 2104.09864)."""

from typing import Any

from bertwright.architecture import Architecture, Head, Rotary, Stack, Transform
from bertwright.families.bert_like import (
    CLS_PREDICTIONS,
    LEGACY,
    TASK_NAMES,
    block_config,
    encoder_block,
    encoder_names,
    sizes,
    task_heads,
)
from bertwright.families.family import Config, Family
from bertwright.families.reading import ConfigReader, written

NAMES = {
    **encoder_names("roformer."),
    "roformer.embeddings_project": "encoder.projection",
    "roformer.encoder.embed_positions.weight": "encoder.positions.table",
}
KEYS = {"embedding_size": "embedding_size", "rotary_value": "encoder.positions.on_values"}


def architecture(config: Config) -> Architecture:
    """The architecture that a config.json describes. Raises InputError with one line for each thing wrong."""
    read = ConfigReader(config)
    read.encoder_only()
    block = encoder_block(read)
    embedding_size, rate = read.integer("embedding_size", block.hidden_size), block.dropout.embeddings
    positions = Rotary(
        base=10_000.0,
        max_length=read.integer("max_position_embeddings", 1536),
        interleaved=True,
        on_values=read.flag("rotary_value", False),
        stored=True,
    )
    return read.finish(
        Architecture(
            vocab_size=read.integer("vocab_size", 50000),
            pad_id=read.token("pad_token_id", 0),
            embedding_size=embedding_size,
            encoder=Stack(
                block=block,
                num_layers=read.integer("num_hidden_layers", 12),
                positions=positions,
                segments=read.integer("type_vocab_size", 2),
                projection=embedding_size != block.hidden_size,
            ),
            heads=(
                Head(kind="mlm", transform=Transform(activation=block.activation, norm=True), idle_bias=True),
                *task_heads(
                    Head(kind="classify", reads="first", transform=Transform(activation=block.activation, dropout=True), dropout=rate),
                    # Padding or not: Hugging Face's class reads the place at the row's end.
                    Head(kind="choice", reads="final", labels=1),
                    dropout=rate,
                ),
            ),
            num_labels=read.labels(),
            tied=read.flag("tie_word_embeddings", True),
            initializer_range=read.number("initializer_range", 0.02),
        )
    )


def config(architecture: Architecture) -> dict[str, Any]:
    """The keys of config.json that describe the architecture to Hugging Face's RoFormerConfig."""
    return {**block_config(architecture, model_type="roformer"), **written(architecture, KEYS)}


ROFORMER = Family(
    name="roformer",
    model_types=("roformer",),
    prefix="roformer.",
    base_class="RoFormerModel",
    rows=NAMES,
    heads={
        "mlm": CLS_PREDICTIONS,
        **TASK_NAMES,
        "classify": {"classifier.{dense,out_proj}": "heads.classify.{dense,output}"},
    },
    classes={
        "RoFormerForMaskedLM": ("mlm",),
        "RoFormerForSequenceClassification": ("classify",),
        "RoFormerForTokenClassification": ("tag",),
        "RoFormerForQuestionAnswering": ("span",),
        "RoFormerForMultipleChoice": ("choice",),
        "RoFormerModel": (),
    },
    legacy=LEGACY,
    architecture=architecture,
    config=config,
    sizes=sizes,
)

"""ELECTRA: a generator that fills masks and a discriminator that tells the replaced tokens, both BERTs with narrower embeddings (Clark et al. 2020, arXiv
2003.10555).
"""

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
from bertwright.families.reading import ConfigReader, activation_word

NAMES = {
    **encoder_names("electra."),
    "electra.embeddings.position_embeddings": "encoder.positions",
    "electra.embeddings_project": "encoder.projection",
}


def architecture(config: Config) -> Architecture:
    """The architecture that a config.json describes. Raises InputError with one line for each thing wrong."""
    read = ConfigReader(config)
    read.encoder_only()
    read.absolute_positions()
    read.only("summary_type", "first", mend="the first token's vector is what multiple choice reads here")
    read.only("summary_use_proj", True, mend="multiple choice has a dense layer here")
    block = encoder_block(read, hidden_size=256, num_heads=4, intermediate_size=1024)
    dropout, embedding_size = head_dropout(read, block.dropout.embeddings), read.integer("embedding_size", 128)
    summary = Transform(activation=read.activation("summary_activation", "gelu"))
    return read.finish(
        Architecture(
            vocab_size=read.integer("vocab_size", 30522),
            pad_id=read.token("pad_token_id", 0),
            embedding_size=embedding_size,
            encoder=Stack(
                block=block,
                num_layers=read.integer("num_hidden_layers", 12),
                positions=Absolute(max_length=read.integer("max_position_embeddings", 512)),
                segments=read.integer("type_vocab_size", 2),
                projection=embedding_size != block.hidden_size,
            ),
            heads=(
                Head(kind="mlm", transform=Transform(activation="gelu", norm=True)),
                Head(kind="rtd", transform=Transform(activation=block.activation), labels=1),
                *task_heads(
                    Head(kind="classify", reads="first", transform=Transform(activation="gelu", dropout=True), dropout=dropout),
                    Head(kind="choice", reads="first", transform=summary, labels=1, dropout=read.rate("summary_last_dropout", 0.1)),
                    dropout=dropout,
                ),
            ),
            num_labels=read.labels(),
            tied=read.flag("tie_word_embeddings", True),
            initializer_range=read.number("initializer_range", 0.02),
        )
    )


def config(architecture: Architecture) -> dict[str, Any]:
    """The keys of config.json that describe the architecture to Hugging Face's ElectraConfig."""
    choice = architecture.head("choice")
    summary = {"summary_last_dropout": choice.dropout, "summary_activation": activation_word(choice.transform.activation if choice.transform else "gelu")}
    own = {"embedding_size": architecture.embedding_size, **written_head_dropout(architecture), **summary}
    return {**block_config(architecture, model_type="electra"), **own}


ELECTRA = Family(
    name="electra",
    model_types=("electra",),
    prefix="electra.",
    base_class="ElectraModel",
    rows=NAMES,
    heads={
        "mlm": {
            "generator_predictions.{dense,LayerNorm}": "heads.mlm.{dense,norm}",
            "generator_lm_head.{weight,bias}": "heads.mlm.{decoder.weight,bias}",
        },
        "rtd": {"discriminator_predictions.{dense,dense_prediction}": "heads.rtd.{dense,output}"},
        **TASK_NAMES,
        "classify": {"classifier.{dense,out_proj}": "heads.classify.{dense,output}"},
        "choice": {"{sequence_summary.summary,classifier}": "heads.choice.{dense,output}"},
    },
    classes={
        "ElectraForPreTraining": ("rtd",),
        "ElectraForMaskedLM": ("mlm",),
        "ElectraForSequenceClassification": ("classify",),
        "ElectraForTokenClassification": ("tag",),
        "ElectraForQuestionAnswering": ("span",),
        "ElectraForMultipleChoice": ("choice",),
        "ElectraModel": (),
    },
    legacy=LEGACY,
    buffers=position_buffers("electra."),
    architecture=architecture,
    config=config,
    sizes=lambda num_layers, hidden_size: {**sizes(num_layers, hidden_size), "embedding_size": min(128, hidden_size) if hidden_size < 768 else hidden_size},
)

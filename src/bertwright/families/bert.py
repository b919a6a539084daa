"""BERT: learned absolute positions, post-norm blocks, two segments, a tied MLM decoder (Devlin et al. 2018, arXiv 1810.04805).

Also the two kinds of relative positions that Hugging Face's BERT knew up to version 4.
"""

from typing import Any

from bertwright.architecture import Absolute, Architecture, RelativeTable, Stack
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
from bertwright.families.reading import ConfigReader

NAMES = {
    **encoder_names("bert."),
    "bert.embeddings.position_embeddings": "encoder.positions",
    "bert.encoder.layer.*.attention.self.distance_embedding.weight": "encoder.positions.distances.*",
}
POSITIONS = {"absolute": "absolute", "relative_key": "relative_key", "relative_key_query": "relative_key_query"}


def architecture(config: Config) -> Architecture:
    """The architecture that a config.json describes, Hugging Face's BertConfig's defaults standing for what it leaves out.

    Raises InputError with one line for each value that is wrong, contradicts another or is not supported.
    """
    read = ConfigReader(config)
    read.encoder_only()
    block, max_length = encoder_block(read), read.integer("max_position_embeddings", 512)
    kind = read.choice("position_embedding_type", "absolute", choices=POSITIONS)
    absolute = Absolute(max_length=max_length)
    return read.finish(
        Architecture(
            vocab_size=read.integer("vocab_size", 30522),
            pad_id=read.token("pad_token_id", 0),
            embedding_size=block.hidden_size,
            encoder=Stack(
                block=block,
                num_layers=read.integer("num_hidden_layers", 12),
                positions=absolute if kind == "absolute" else RelativeTable(max_length=max_length, on_keys=kind == "relative_key_query"),
                segments=read.integer("type_vocab_size", 2),
            ),
            heads=bert_heads(block, dropout=head_dropout(read, block.dropout.embeddings)),
            num_labels=read.labels(),
            tied=read.flag("tie_word_embeddings", True),
            initializer_range=read.number("initializer_range", 0.02),
        )
    )


def config(architecture: Architecture) -> dict[str, Any]:
    """The keys of config.json that describe the architecture to Hugging Face's BertConfig."""
    positions = architecture.stacks["encoder"].positions
    kind = ("relative_key_query" if positions.on_keys else "relative_key") if isinstance(positions, RelativeTable) else "absolute"
    return {**block_config(architecture, model_type="bert"), **written_head_dropout(architecture), "position_embedding_type": kind}


BERT = Family(
    name="bert",
    model_types=("bert",),
    prefix="bert.",
    base_class="BertModel",
    rows=NAMES,
    heads={"pooler": {"bert.pooler.dense": "heads.pooler.dense"}, "mlm": CLS_PREDICTIONS, "nsp": {"cls.seq_relationship": "heads.nsp.output"}, **TASK_NAMES},
    classes={
        "BertForPreTraining": ("pooler", "mlm", "nsp"),
        "BertForMaskedLM": ("mlm",),
        "BertForNextSentencePrediction": ("pooler", "nsp"),
        "BertForSequenceClassification": ("pooler", "classify"),
        "BertForTokenClassification": ("tag",),
        "BertForQuestionAnswering": ("span",),
        "BertForMultipleChoice": ("pooler", "choice"),
        "BertModel": (),
    },
    base_heads=("pooler",),
    pooled=("nsp", "classify", "choice"),
    legacy=LEGACY,
    buffers=position_buffers("bert."),
    architecture=architecture,
    config=config,
    sizes=sizes,
)

"""DistilBERT: BERT without segments and pooler (Sanh et al. 2019, arXiv 1910.01108)."""

from typing import Any

from bertwright.architecture import Absolute, Architecture, Block, Dropout, Head, Stack, Transform
from bertwright.families.bert_like import LEGACY
from bertwright.families.family import Config, Family
from bertwright.families.reading import ConfigReader, activation_word, written

NAMES = {
    "distilbert.embeddings.{word,position}_embeddings": "{tokens,encoder.positions}",
    "distilbert.embeddings.LayerNorm": "encoder.embedding_norm",
    "distilbert.transformer.layer.*.attention.{q,k,v,out}_lin": "encoder.blocks.*.attention.{query,key,value,output}",
    "distilbert.transformer.layer.*.{sa_layer_norm,output_layer_norm}": "encoder.blocks.*.{attention_norm,feed_forward_norm}",
    "distilbert.transformer.layer.*.ffn.{lin1,lin2}": "encoder.blocks.*.feed_forward.{up,down}",
}
KEYS = {
    "vocab_size": "vocab_size",
    "dim": "encoder.block.hidden_size",
    "n_layers": "encoder.num_layers",
    "n_heads": "encoder.block.num_heads",
    "hidden_dim": "encoder.block.intermediate_size",
    "dropout": "encoder.block.dropout.embeddings",
    "attention_dropout": "encoder.block.dropout.attention",
    "max_position_embeddings": "encoder.positions.max_length",
    "initializer_range": "initializer_range",
    "pad_token_id": "pad_id",
    "tie_word_embeddings": "tied",
}


def architecture(config: Config) -> Architecture:
    """The architecture that a config.json describes. Raises InputError with one line for each thing wrong."""
    read = ConfigReader(config)
    read.only("pruned_heads", {}, mend="take the checkpoint from before its heads were pruned")
    rate, of_attention = read.rate("dropout", 0.1), read.rate("attention_dropout", 0.1)
    block = Block(
        hidden_size=read.integer("dim", 768),
        num_heads=read.integer("n_heads", 12),
        intermediate_size=read.integer("hidden_dim", 3072),
        activation=read.activation("activation", "gelu"),
        dropout=Dropout(embeddings=rate, attention=of_attention, feed_forward=rate),
    )
    of_rows, of_spans = read.rate("seq_classif_dropout", 0.2), read.rate("qa_dropout", 0.1)
    relu = Transform(activation="relu")
    return read.finish(
        Architecture(
            vocab_size=read.integer("vocab_size", 30522),
            pad_id=read.token("pad_token_id", 0),
            embedding_size=block.hidden_size,
            encoder=Stack(block=block, num_layers=read.integer("n_layers", 6), positions=Absolute(max_length=read.integer("max_position_embeddings", 512))),
            heads=(
                Head(kind="mlm", transform=Transform(activation=block.activation, norm=True)),
                Head(kind="classify", reads="first", transform=relu, dropout=of_rows),
                Head(kind="tag", dropout=rate),
                Head(kind="span", labels=2, dropout=of_spans),
                Head(kind="choice", reads="first", transform=relu, labels=1, dropout=of_rows),
            ),
            num_labels=read.labels(),
            tied=read.flag("tie_word_embeddings", True),
            initializer_range=read.number("initializer_range", 0.02),
        )
    )


def config(architecture: Architecture) -> dict[str, Any]:
    """The keys of config.json that describe the architecture to Hugging Face's DistilBertConfig."""
    act = activation_word(architecture.stacks["encoder"].block.activation)
    rates = {"seq_classif_dropout": architecture.head("classify").dropout, "qa_dropout": architecture.head("span").dropout}
    return {"model_type": "distilbert", **written(architecture, KEYS), "activation": act, **rates}


def sizes(num_layers: int, hidden_size: int) -> dict[str, Any]:
    rates = {"dropout": 0.0, "attention_dropout": 0.0}
    return {"n_layers": num_layers, "dim": hidden_size, "n_heads": hidden_size // 64, "hidden_dim": 4 * hidden_size, **rates}


DISTILBERT = Family(
    name="distilbert",
    model_types=("distilbert",),
    prefix="distilbert.",
    base_class="DistilBertModel",
    rows=NAMES,
    heads={
        "mlm": {
            "vocab_{transform,layer_norm}": "heads.mlm.{dense,norm}",
            "vocab_projector.{weight,bias}": "heads.mlm.{decoder.weight,bias}",
        },
        "classify": {"{pre_classifier,classifier}": "heads.classify.{dense,output}"},
        "tag": {"classifier": "heads.tag.output"},
        "span": {"qa_outputs": "heads.span.output"},
        "choice": {"{pre_classifier,classifier}": "heads.choice.{dense,output}"},
    },
    classes={
        "DistilBertForMaskedLM": ("mlm",),
        "DistilBertForSequenceClassification": ("classify",),
        "DistilBertForTokenClassification": ("tag",),
        "DistilBertForQuestionAnswering": ("span",),
        "DistilBertForMultipleChoice": ("choice",),
        "DistilBertModel": (),
    },
    legacy=LEGACY,
    buffers={"distilbert.embeddings.position_ids": "arange"},
    architecture=architecture,
    config=config,
    sizes=sizes,
)

"""What the families that grew out of BERT share: config keys of a block, and the names of an encoder's tensors."""

from typing import Any

from bertwright.architecture import Architecture, Block, Dropout, Head, HeadKind, Transform
from bertwright.families.family import Constant, Rows
from bertwright.families.reading import ConfigReader, activation_word, written

LEGACY = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
BLOCK_KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "encoder.block.hidden_size",
    "num_hidden_layers": "encoder.num_layers",
    "num_attention_heads": "encoder.block.num_heads",
    "intermediate_size": "encoder.block.intermediate_size",
    "hidden_dropout_prob": "encoder.block.dropout.embeddings",
    "attention_probs_dropout_prob": "encoder.block.dropout.attention",
    "max_position_embeddings": "encoder.positions.max_length",
    "type_vocab_size": "encoder.segments",
    "initializer_range": "initializer_range",
    "layer_norm_eps": "encoder.block.norm_eps",
    "pad_token_id": "pad_id",
    "tie_word_embeddings": "tied",
}


def encoder_names(prefix: str) -> dict[str, str]:
    """Rows for embeddings without positions, and blocks, under a base model's prefix."""
    return {
        f"{prefix}embeddings.{{word,token_type}}_embeddings": "{tokens,encoder.segments}",
        f"{prefix}embeddings.LayerNorm": "encoder.embedding_norm",
        f"{prefix}encoder.layer.*.attention.self.{{query,key,value}}": "encoder.blocks.*.attention.{query,key,value}",
        f"{prefix}encoder.layer.*.attention.output.{{dense,LayerNorm}}": "encoder.blocks.*.{attention.output,attention_norm}",
        f"{prefix}encoder.layer.*.intermediate.dense": "encoder.blocks.*.feed_forward.up",
        f"{prefix}encoder.layer.*.output.{{dense,LayerNorm}}": "encoder.blocks.*.{feed_forward.down,feed_forward_norm}",
    }


def position_buffers(prefix: str) -> dict[str, Constant]:
    """Constants that old checkpoints hold beside the embeddings."""
    return {f"{prefix}embeddings.position_ids": "arange", f"{prefix}embeddings.token_type_ids": "zeros"}


CLS_PREDICTIONS: Rows = {
    "cls.predictions.transform.{dense,LayerNorm}": "heads.mlm.{dense,norm}",
    "cls.predictions.{bias,decoder}": "heads.mlm.{bias,decoder}",
}


def encoder_block(
    read: ConfigReader, *, hidden_size: int = 768, num_heads: int = 12, intermediate_size: int = 3072, activation: str = "gelu", dropout: float = 0.1
) -> Block:
    """The block that BERT's keys describe, with a family's own defaults."""
    rate, of_attention = read.rate("hidden_dropout_prob", dropout), read.rate("attention_probs_dropout_prob", dropout)
    return Block(
        hidden_size=read.integer("hidden_size", hidden_size),
        num_heads=read.integer("num_attention_heads", num_heads),
        intermediate_size=read.integer("intermediate_size", intermediate_size),
        activation=read.activation("hidden_act", activation),
        norm_eps=read.number("layer_norm_eps", 1e-12),
        dropout=Dropout(embeddings=rate, attention=of_attention, attention_output=rate, feed_forward=rate),
    )


def block_config(architecture: Architecture, *, model_type: str) -> dict[str, Any]:
    """The keys of config.json that describe an encoder of BERT's kind."""
    if architecture.encoder is None:
        raise ValueError("this family has an encoder")
    act = activation_word(architecture.encoder.block.activation)
    return {"model_type": model_type, **written(architecture, BLOCK_KEYS), "hidden_act": act}


def head_dropout(read: ConfigReader, usual: float) -> float:
    """`classifier_dropout`, or the hidden states' rate where it is left out."""
    return read.rate("classifier_dropout", usual)


def written_head_dropout(architecture: Architecture) -> dict[str, Any]:
    """The key that `head_dropout` reads."""
    return {"classifier_dropout": architecture.head("tag").dropout}


def bert_heads(block: Block, *, dropout: float, idle_bias: bool = True) -> tuple[Head, ...]:
    """The heads of BERT's released code and of Hugging Face's classes for it."""
    return (
        Head(kind="pooler", reads="first", transform=Transform(activation="tanh")),
        Head(kind="mlm", transform=Transform(activation=block.activation, norm=True), idle_bias=idle_bias),
        Head(kind="nsp", reads="pooled", labels=2),
        *task_heads(Head(kind="classify", reads="pooled", dropout=dropout), Head(kind="choice", reads="pooled", labels=1, dropout=dropout), dropout=dropout),
    )


def task_heads(classify: Head, choice: Head, *, dropout: float) -> tuple[Head, ...]:
    """A family's own classifier and multiple choice, and the two heads that are alike everywhere: a linear layer on every token."""
    return classify, Head(kind="tag", dropout=dropout), Head(kind="span", labels=2), choice


TASK_NAMES: dict[HeadKind, Rows] = {
    "classify": {"classifier": "heads.classify.output"},
    "tag": {"classifier": "heads.tag.output"},
    "span": {"qa_outputs": "heads.span.output"},
    "choice": {"classifier": "heads.choice.output"},
}


def sizes(num_layers: int, hidden_size: int) -> dict[str, Any]:
    """Config keys of a preset: heads of 64, a feed-forward four times as wide as the model, no dropout."""
    return {
        "num_hidden_layers": num_layers,
        "hidden_size": hidden_size,
        "num_attention_heads": hidden_size // 64,
        "intermediate_size": 4 * hidden_size,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }

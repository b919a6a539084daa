"""BERT: learned absolute positions, post-norm blocks, two segments, a tied MLM decoder (Devlin et al. 2018, arXiv 1810.04805)."""

from typing import Any

from bertwright.architecture import MLM, NSP, POOLER, Absolute, Architecture, Block, Stack
from bertwright.families.family import Config, Family, ModelClass
from bertwright.families.reading import ConfigReader

NAMES = {
    "bert.embeddings.{word,position,token_type}_embeddings": "embeddings.{tokens,positions,segments}",
    "bert.embeddings.LayerNorm": "embeddings.norm",
    "bert.encoder.layer.*.attention.self.{query,key,value}": "encoder.blocks.*.attention.{query,key,value}",
    "bert.encoder.layer.*.attention.output.{dense,LayerNorm}": "encoder.blocks.*.{attention.output,attention_norm}",
    "bert.encoder.layer.*.intermediate.dense": "encoder.blocks.*.feed_forward.up",
    "bert.encoder.layer.*.output.{dense,LayerNorm}": "encoder.blocks.*.{feed_forward.down,feed_forward_norm}",
    "bert.pooler.dense": "heads.pooler.dense",
    "cls.predictions.transform.{dense,LayerNorm}": "heads.mlm.{dense,norm}",
    "cls.predictions.bias": "heads.mlm.bias",
    "cls.seq_relationship": "heads.nsp",
}
TIED = {"cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.bias": "cls.predictions.bias"}
BUFFERS = {"bert.embeddings.position_ids": "arange", "bert.embeddings.token_type_ids": "zeros"}
CLASSES = {
    "BertForPreTraining": ModelClass(heads=(POOLER, MLM, NSP)),
    "BertForMaskedLM": ModelClass(heads=(MLM,)),
    "BertForNextSentencePrediction": ModelClass(heads=(POOLER, NSP)),
    "BertModel": ModelClass(heads=(), prefixed=False),
}
# Hugging Face has several words for one function: the first of them is the one written, so gelu_new stands before its newer name.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}


def architecture(config: Config) -> Architecture:
    """The architecture that a config.json describes, Hugging Face's BertConfig's defaults standing for what it leaves out.

    Raises InputError with one line for each value that is wrong, contradicts another or is not supported.
    """
    read = ConfigReader(config)
    read.only("position_embedding_type", "absolute", mend="relative positions come with a later version; take a checkpoint with absolute ones")
    read.only("is_decoder", False, mend="this is an encoder; a checkpoint of a decoder cannot be used")
    read.only("add_cross_attention", False, mend="this is an encoder without cross-attention; take a checkpoint without it")
    read.only("tie_word_embeddings", True, mend="the decoder of the MLM head is always tied to the token embeddings here")
    read.only("pruned_heads", {}, mend="take the checkpoint from before its heads were pruned")
    hidden_size = read.integer("hidden_size", 768)
    block = Block(
        hidden_size=hidden_size,
        num_heads=read.integer("num_attention_heads", 12),
        intermediate_size=read.integer("intermediate_size", 3072),
        activation=read.choice("hidden_act", "gelu", choices=ACTIVATIONS),
        norm_eps=read.number("layer_norm_eps", 1e-12),
        dropout=read.number("hidden_dropout_prob", 0.1),
        attention_dropout=read.number("attention_probs_dropout_prob", 0.1),
    )
    return read.finish(
        Architecture(
            vocab_size=read.integer("vocab_size", 30522),
            pad_id=read.integer("pad_token_id", 0),
            embedding_size=hidden_size,
            encoder=Stack(
                block=block,
                num_layers=read.integer("num_hidden_layers", 12),
                positions=Absolute(max_length=read.integer("max_position_embeddings", 512)),
                segments=read.integer("type_vocab_size", 2),
            ),
            initializer_range=read.number("initializer_range", 0.02),
        )
    )


def config(architecture: Architecture) -> dict[str, Any]:
    """The keys of config.json that describe the architecture to Hugging Face's BertConfig."""
    encoder, block = architecture.encoder, architecture.encoder.block
    return {
        "model_type": "bert",
        "vocab_size": architecture.vocab_size,
        "hidden_size": block.hidden_size,
        "num_hidden_layers": encoder.num_layers,
        "num_attention_heads": block.num_heads,
        "intermediate_size": block.intermediate_size,
        "hidden_act": next(theirs for theirs, ours in ACTIVATIONS.items() if ours == block.activation),
        "hidden_dropout_prob": block.dropout,
        "attention_probs_dropout_prob": block.attention_dropout,
        "max_position_embeddings": encoder.positions.max_length,
        "type_vocab_size": encoder.segments,
        "initializer_range": architecture.initializer_range,
        "layer_norm_eps": block.norm_eps,
        "pad_token_id": architecture.pad_id,
        "position_embedding_type": "absolute",
    }


BERT = Family(
    name="bert",
    model_types=("bert",),
    prefix="bert.",
    rows=NAMES,
    legacy={"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"},
    tied=TIED,
    buffers=BUFFERS,
    other_heads=("classifier", "qa_outputs"),
    head_order=(POOLER, MLM, NSP),
    base_heads=(POOLER,),
    head_needs={NSP: POOLER},
    classes=CLASSES,
    architecture=architecture,
    config=config,
)

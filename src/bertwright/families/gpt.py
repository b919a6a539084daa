"""GPT and GPT-2: causal decoders with fused, transposed matrices; GPT norms after its sublayers (Radford et al. 2018), GPT-2 before them (2019)."""

from typing import Any

from bertwright.architecture import Absolute, Architecture, Block, Dropout, Head, Stack
from bertwright.families.family import Config, Family, Rows
from bertwright.families.names import Conv1d, Fused
from bertwright.families.reading import ConfigReader, activation_word, written

LAYER: Rows = {
    "transformer.h.*.attn.c_attn": Fused("decoder.blocks.*.attention.{query,key,value}", transposed=True),
    "transformer.h.*.attn.c_proj": Conv1d("decoder.blocks.*.attention.output"),
    "transformer.h.*.{ln_1,ln_2}": "decoder.blocks.*.{attention_norm,feed_forward_norm}",
    "transformer.h.*.mlp.{c_fc,c_proj}": Conv1d("decoder.blocks.*.feed_forward.{up,down}"),
}
KEYS = {
    "vocab_size": "vocab_size",
    "n_positions": "decoder.positions.max_length",
    "n_embd": "decoder.block.hidden_size",
    "n_layer": "decoder.num_layers",
    "n_head": "decoder.block.num_heads",
    "embd_pdrop": "decoder.block.dropout.embeddings",
    "attn_pdrop": "decoder.block.dropout.attention",
    "resid_pdrop": "decoder.block.dropout.feed_forward",
    "layer_norm_epsilon": "decoder.block.norm_eps",
    "initializer_range": "initializer_range",
    "pad_token_id": "pad_id",
    "eos_token_id": "eos_id",
    "tie_word_embeddings": "tied",
}
# GPT's "gelu" is the tanh approximation of its released code.
GPT_ACTIVATIONS = {"gelu": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"}


def decoder(read: ConfigReader, *, activation: str, inner: int | None, second: bool) -> Stack:
    """The stack that GPT's keys describe; `second`: norms before the sublayers and after the last one."""
    residual = read.rate("resid_pdrop", 0.1)
    hidden_size = read.integer("n_embd", 768)
    block = Block(
        hidden_size=hidden_size,
        num_heads=read.integer("n_head", 12),
        intermediate_size=4 * hidden_size if inner is None else inner,
        activation=activation,
        norm_eps=read.number("layer_norm_epsilon", 1e-5),
        norm_first=second,
        scaled=read.flag("scale_attn_weights", True) if second else True,
        dropout=Dropout(embeddings=read.rate("embd_pdrop", 0.1), attention=read.rate("attn_pdrop", 0.1), attention_output=residual, feed_forward=residual),
    )
    return Stack(
        block=block,
        num_layers=read.integer("n_layer", 12),
        positions=Absolute(max_length=read.integer("n_positions", 1024 if second else 512)),
        embedding_norm=False,
        final_norm=second,
        causal=True,
    )


def gpt_architecture(config: Config) -> Architecture:
    """The architecture that a config.json of GPT describes. Raises InputError with one line for each thing wrong."""
    read = ConfigReader(config)
    stack = decoder(read, activation=read.choice("afn", "gelu", choices=GPT_ACTIVATIONS), inner=None, second=False)
    return read.finish(
        Architecture(
            vocab_size=read.integer("vocab_size", 40478),
            pad_id=read.token("pad_token_id", None),
            eos_id=read.token("eos_token_id", None),
            embedding_size=stack.block.hidden_size,
            decoder=stack,
            heads=(Head(kind="lm", bias=False),),
            num_labels=read.labels(),
            tied=read.flag("tie_word_embeddings", True),
            initializer_range=read.number("initializer_range", 0.02),
        )
    )


def gpt_config(architecture: Architecture) -> dict[str, Any]:
    """The keys of config.json that describe the architecture to Hugging Face's OpenAIGPTConfig."""
    act = activation_word(architecture.stacks["decoder"].block.activation, GPT_ACTIVATIONS)
    return {"model_type": "openai-gpt", **written(architecture, KEYS), "afn": act}


def gpt2_architecture(config: Config) -> Architecture:
    """The architecture that a config.json of GPT-2 describes. Raises InputError with one line for each thing wrong."""
    read = ConfigReader(config)
    read.only("scale_attn_by_inverse_layer_idx", False, mend="take a checkpoint whose scores are scaled alike in all layers")
    read.only("add_cross_attention", False, mend="this is a decoder without cross-attention; take a checkpoint without it")
    inner = read.integer("n_inner", 4 * read.integer("n_embd", 768))
    stack = decoder(read, activation=read.activation("activation_function", "gelu_new"), inner=inner, second=True)
    return read.finish(
        Architecture(
            vocab_size=read.integer("vocab_size", 50257),
            pad_id=read.token("pad_token_id", None),
            eos_id=read.token("eos_token_id", 50256),
            embedding_size=stack.block.hidden_size,
            decoder=stack,
            heads=(Head(kind="lm", bias=False), Head(kind="classify", reads="last", bias=False)),
            num_labels=read.labels(),
            tied=read.flag("tie_word_embeddings", True),
            initializer_range=read.number("initializer_range", 0.02),
            scaled_residuals=True,
        )
    )


def gpt2_config(architecture: Architecture) -> dict[str, Any]:
    """The keys of config.json that describe the architecture to Hugging Face's GPT2Config."""
    block = architecture.stacks["decoder"].block
    own = {"n_inner": block.intermediate_size, "activation_function": activation_word(block.activation), "scale_attn_weights": block.scaled}
    return {"model_type": "gpt2", **written(architecture, KEYS), **own}


def sizes(num_layers: int, hidden_size: int) -> dict[str, Any]:
    """Config keys of a preset; text ends with the last entry of the vocabulary only where a tokenizer says so."""
    rates = {"embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0}
    return {"n_layer": num_layers, "n_embd": hidden_size, "n_head": hidden_size // 64, "eos_token_id": None, **rates}


GPT = Family(
    name="gpt",
    model_types=("openai-gpt",),
    prefix="transformer.",
    base_class="OpenAIGPTModel",
    rows={"transformer.{tokens,positions}_embed": "{tokens,decoder.positions}", **LAYER},
    heads={"lm": {"lm_head": "heads.lm.decoder"}},
    classes={"OpenAIGPTLMHeadModel": ("lm",), "OpenAIGPTModel": ()},
    buffers={"transformer.position_ids": "arange", "transformer.h.*.attn.bias": "causal"},
    architecture=gpt_architecture,
    config=gpt_config,
    sizes=sizes,
)
GPT2 = Family(
    name="gpt2",
    model_types=("gpt2",),
    prefix="transformer.",
    base_class="GPT2Model",
    rows={"transformer.{wte,wpe,ln_f}": "{tokens,decoder.positions,decoder.norm}", **LAYER},
    heads={"lm": {"lm_head": "heads.lm.decoder"}, "classify": {"score": "heads.classify.output"}},
    classes={"GPT2LMHeadModel": ("lm",), "GPT2ForSequenceClassification": ("classify",), "GPT2Model": ()},
    buffers={"transformer.h.*.attn.bias": "causal", "transformer.h.*.attn.masked_bias": "number"},
    architecture=gpt2_architecture,
    config=gpt2_config,
    sizes=sizes,
)

"""BERT's config.json, both ways; presets; what a config is refused for."""

import json
from typing import Any

import pytest

from bertwright.errors import InputError
from bertwright.families import BERT, PRESETS, family_of, preset

CONFIG = {
    "model_type": "bert",
    "vocab_size": 101,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 80,
    "hidden_act": "relu",
    "hidden_dropout_prob": 0.2,
    "attention_probs_dropout_prob": 0.3,
    "max_position_embeddings": 40,
    "type_vocab_size": 3,
    "initializer_range": 0.05,
    "layer_norm_eps": 1e-6,
    "pad_token_id": 7,
    "position_embedding_type": "absolute",
}


def test_every_key_reaches_the_architecture_and_comes_back() -> None:
    assert BERT.config(BERT.architecture(CONFIG)) == CONFIG
    for key, other in {**CONFIG, "hidden_act": "tanh"}.items():
        if isinstance(other, int | float) or key == "hidden_act":
            changed = {**CONFIG, key: other * 2 if isinstance(other, int | float) else other}
            assert BERT.architecture(changed) != BERT.architecture(CONFIG), key


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("gelu", "gelu"), ("gelu_new", "gelu_tanh"), ("gelu_pytorch_tanh", "gelu_tanh"), ("relu", "relu"), ("silu", "silu"), ("swish", "silu"), ("tanh", "tanh")],
)
def test_activations_have_hugging_faces_words(theirs: str, ours: str) -> None:
    architecture = BERT.architecture({**CONFIG, "hidden_act": theirs})
    assert architecture.encoder.block.activation == ours
    assert BERT.architecture(BERT.config(architecture)) == architecture


def test_what_a_config_leaves_out_is_what_transformers_takes() -> None:
    transformers = pytest.importorskip("transformers")
    assert BERT.architecture({"model_type": "bert", "hidden_size": None}) == BERT.architecture(transformers.BertConfig().to_dict())


BAD = {
    "unknown activation": ({"hidden_act": "mish"}, ["hidden_act 'mish' is not supported: take one of gelu,"]),
    "activation of another kind": ({"hidden_act": 3}, ["hidden_act 3 is not supported"]),
    "relative positions": ({"position_embedding_type": "relative_key_query"}, ["position_embedding_type 'relative_key_query' is not supported"]),
    "decoder": ({"is_decoder": True}, ["is_decoder True is not supported: this is an encoder"]),
    "cross-attention": ({"add_cross_attention": True}, ["add_cross_attention True is not supported"]),
    "untied": ({"tie_word_embeddings": False}, ["tie_word_embeddings False is not supported"]),
    "pruned": ({"pruned_heads": {"0": [1]}}, ["pruned_heads {'0': [1]} is not supported"]),
    "heads": ({"num_attention_heads": 5}, ["hidden_size 48 is not divisible by num_attention_heads 5"]),
    "size of no number": ({"hidden_size": "48"}, ["hidden_size is '48': it must be a whole number"]),
    "true for a number": ({"num_hidden_layers": True}, ["num_hidden_layers is True: it must be a whole number"]),
    "no layers": ({"num_hidden_layers": 0}, ["num_hidden_layers is 0: it must be at least 1"]),
    "negative epsilon": ({"layer_norm_eps": -1}, ["layer_norm_eps is -1: it must be a number of at least 0"]),
    "epsilon no number": ({"layer_norm_eps": float("nan")}, ["layer_norm_eps is nan"]),
    "dropout": ({"hidden_dropout_prob": 1.0}, ["hidden_dropout_prob is 1.0: it must lie in [0, 1)"]),
    "pad id": ({"pad_token_id": 101}, ["pad_token_id 101 lies outside the vocabulary of 101"]),
    "several": (
        {"hidden_act": "mish", "num_attention_heads": 5, "is_decoder": True, "vocab_size": 0, "pad_token_id": 0},
        ["is_decoder True", "hidden_act 'mish'", "vocab_size is 0", "hidden_size 48 is not divisible"],
    ),
}


@pytest.mark.parametrize(("change", "lines"), BAD.values(), ids=BAD.keys())
def test_a_bad_config_is_refused_with_one_line_for_each_mistake(change: dict[str, Any], lines: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        BERT.architecture({**CONFIG, **change})
    assert len(caught.value.problems) == len(lines), caught.value.problems
    for problem, line in zip(caught.value.problems, lines, strict=True):
        assert line in problem


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"model_type": "gpt2"}, "model_type 'gpt2' is not supported: take a checkpoint of one of bert"),
        ({}, "model_type None is not supported"),
        ({"model_type": ["bert"]}, "model_type .* is not supported"),
        ({"model_type": "bert", "auto_map": {"AutoModel": "evil.Model"}}, "auto_map asks for code"),
        ({"model_type": "bert", "quantization_config": {"bits": 4}}, "quantization_config says that the weights are quantised"),
    ],
)
def test_what_no_family_takes_is_refused(config: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        family_of(config)


def test_a_config_from_before_model_types_is_berts() -> None:
    assert family_of({key: value for key, value in CONFIG.items() if key != "model_type"}) is BERT


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_the_published_sizes(name: str) -> None:
    sizes = {"tiny": (2, 128, 2), "mini": (4, 256, 4), "small": (4, 512, 8), "medium": (8, 512, 8), "base": (12, 768, 12), "large": (24, 1024, 16)}
    architecture = preset(name, vocab_size=1000)
    block = architecture.encoder.block
    assert (architecture.encoder.num_layers, block.hidden_size, block.num_heads) == sizes[name.removeprefix("bert-")]
    assert block.intermediate_size == 4 * block.hidden_size
    assert block.dropout == block.attention_dropout == 0
    assert architecture.encoder.positions.max_length == 512
    assert BERT.architecture(json.loads(json.dumps(BERT.config(architecture)))) == architecture


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"model 'bert-smal' is no preset: did you mean bert-small\?"):
        preset("bert-smal", vocab_size=100)
    with pytest.raises(InputError, match="vocab_size is 0"):
        preset("bert-tiny", vocab_size=0)

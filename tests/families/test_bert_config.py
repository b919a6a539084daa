"""BERT's config.json, key by key; what a config is refused for."""

from typing import Any

import pytest

from bertwright.errors import InputError
from bertwright.families import family_of
from bertwright.families.bert import BERT

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
    "tie_word_embeddings": False,
    "classifier_dropout": 0.25,
}


def test_every_key_reaches_the_architecture_and_comes_back() -> None:
    assert BERT.config(BERT.architecture(CONFIG)) == CONFIG
    others = {"hidden_act": "tanh", "position_embedding_type": "relative_key", "tie_word_embeddings": True, "num_attention_heads": 6}
    for key, value in CONFIG.items() - {("model_type", "bert")}:
        changed = {**CONFIG, key: others.get(key) or value * 2}
        assert BERT.architecture(changed) != BERT.architecture(CONFIG), key


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("gelu", "gelu"), ("gelu_new", "gelu_tanh"), ("gelu_pytorch_tanh", "gelu_tanh"), ("relu", "relu"), ("silu", "silu"), ("swish", "silu"), ("tanh", "tanh")],
)
def test_activations_have_hugging_faces_words(theirs: str, ours: str) -> None:
    architecture = BERT.architecture({**CONFIG, "hidden_act": theirs})
    assert architecture.encoder.block.activation == ours
    assert BERT.architecture(BERT.config(architecture)) == architecture


BAD = {
    "unknown activation": ({"hidden_act": "mish"}, ["hidden_act 'mish' is not supported: take one of gelu,"]),
    "activation of another kind": ({"hidden_act": 3}, ["hidden_act 3 is not supported"]),
    "positions of another kind": (
        {"position_embedding_type": "rotary"},
        ["position_embedding_type 'rotary' is not supported: take one of absolute,"],
    ),
    "position kind of another kind": ({"position_embedding_type": [1]}, ["position_embedding_type [1] is not supported"]),
    "decoder": ({"is_decoder": True}, ["is_decoder True is not supported: this is an encoder"]),
    "cross-attention": ({"add_cross_attention": True}, ["add_cross_attention True is not supported"]),
    "untied no flag": ({"tie_word_embeddings": "no"}, ["tie_word_embeddings is 'no': it must be true or false"]),
    "pruned": ({"pruned_heads": {"0": [1]}}, ["pruned_heads {'0': [1]} is not supported"]),
    "heads": ({"num_attention_heads": 5}, ["hidden_size 48 is not divisible by num_attention_heads 5"]),
    "size of no number": ({"hidden_size": "48"}, ["hidden_size is '48': it must be a whole number"]),
    "true for a number": ({"num_hidden_layers": True}, ["num_hidden_layers is True: it must be a whole number"]),
    "no layers": ({"num_hidden_layers": 0}, ["num_hidden_layers is 0: it must be at least 1"]),
    "negative epsilon": ({"layer_norm_eps": -1}, ["layer_norm_eps is -1: it must be a number of at least 0"]),
    "epsilon no number": ({"layer_norm_eps": float("nan")}, ["layer_norm_eps is nan"]),
    "dropout": ({"hidden_dropout_prob": 1.0}, ["hidden_dropout_prob is 1.0: it must be a number in [0, 1)"]),
    "pad id": ({"pad_token_id": 101}, ["pad_token_id 101 lies outside the vocabulary of 101"]),
    "several": (
        {"hidden_act": "mish", "num_attention_heads": 5, "is_decoder": True, "vocab_size": 0, "pad_token_id": 0},
        ["is_decoder True", "hidden_act 'mish'", "hidden_size 48 is not divisible", "vocab_size is 0"],
    ),
}


@pytest.mark.parametrize(("change", "lines"), BAD.values(), ids=BAD.keys())
def test_a_bad_config_is_refused_with_one_line_for_each_mistake(change: dict[str, Any], lines: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        BERT.architecture({**CONFIG, **change})
    assert len(caught.value.problems) == len(lines), caught.value.problems
    for problem, line in zip(caught.value.problems, lines, strict=True):
        assert line in problem


def test_a_config_from_before_model_types_is_berts() -> None:
    assert family_of({key: value for key, value in CONFIG.items() if key != "model_type"}) is BERT

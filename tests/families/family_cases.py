"""What the suite of families compares: shapes of every family, as the keys of their config.json, and the Hugging Face classes that each is compared in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bertwright.families import FAMILIES, Family

GOLDEN = Path(__file__).parents[1] / "golden"
CLOSE = 1e-5


@dataclass(frozen=True)
class Shape:
    """A tiny model. config: keys of its config.json; classes: what the names of its Hugging Face classes begin with.

    untied: language-modelling heads have a decoder of their own though the config class ties them (T5 v1.1). live: whether the installed transformers has it.
    hollow: one of the padded rows has its padding behind its first token. tolerance: of the largest value, where a long chain of layers earns more than
    the usual.
    """

    name: str
    classes: str
    config: Mapping[str, Any]
    untied: bool = False
    live: bool = True
    hollow: bool = False
    tolerance: float = CLOSE

    @property
    def model_type(self) -> str:
        return str(self.config["model_type"])


@dataclass(frozen=True)
class Case:
    """One Hugging Face class in one shape."""

    family: Family = field(repr=False)
    shape: Shape
    class_name: str

    @property
    def config(self) -> dict[str, Any]:
        """The keys of config.json: the heads of question answering have two outputs, and no labels."""
        questions = self.class_name.endswith("QuestionAnswering")
        kept = {key: value for key, value in self.shape.config.items() if not (questions and key == "num_labels")}
        return {**kept, "architectures": [self.class_name]}

    def __str__(self) -> str:
        return f"{self.class_name}-{self.shape.name}"


def bert(name: str, model_type: str, classes: str, *, segments: int = 2, live: bool = True, hollow: bool = False, **keys: Any) -> Shape:
    """A shape in BERT's words, of 3 heads and 2 layers unless told otherwise."""
    sizes = {"vocab_size": 61, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 36, "max_position_embeddings": 24}
    typed = {"type_vocab_size": segments} if segments else {}
    return Shape(name, classes, {"model_type": model_type, "pad_token_id": 0, **sizes, **typed, **keys}, live=live, hollow=hollow)


def gpt(name: str, model_type: str, classes: str, **keys: Any) -> Shape:
    """A shape in GPT's words."""
    return Shape(name, classes, {"model_type": model_type, "vocab_size": 61, "n_positions": 24, "n_embd": 24, "n_layer": 2, "n_head": 3, **keys})


def bart(name: str, **keys: Any) -> Shape:
    """A shape of BART whose two stacks differ."""
    encoder = {"encoder_layers": 2, "encoder_attention_heads": 3, "encoder_ffn_dim": 36}
    decoder = {"decoder_layers": 3, "decoder_attention_heads": 3, "decoder_ffn_dim": 40}
    return Shape(name, "Bart", {"model_type": "bart", "vocab_size": 61, "d_model": 24, "max_position_embeddings": 24, **encoder, **decoder, **keys})


def t5(name: str, model_type: str, classes: str, *, untied: bool = False, **keys: Any) -> Shape:
    """A shape of T5 whose heads are not as wide as the model and whose distances go beyond the buckets."""
    sizes = {"vocab_size": 61, "d_model": 24, "d_kv": 10, "d_ff": 36, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 3}
    buckets = {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 12}
    return Shape(name, classes, {"model_type": model_type, **sizes, **buckets, "pad_token_id": 0, "decoder_start_token_id": 0, **keys}, untied=untied)


UNTIED = {"tie_word_embeddings": False}
WIDE = {"hidden_size": 30, "num_attention_heads": 5, "num_hidden_layers": 3}

SHAPES: dict[str, tuple[Shape, ...]] = {
    "bert": (
        bert("3-heads-3-segments-gelu_new", "bert", "Bert", hidden_act="gelu_new", segments=3, num_labels=4),
        bert("5-heads-untied-relu", "bert", "Bert", hidden_act="relu", layer_norm_eps=1e-3, pad_token_id=3, classifier_dropout=0.3, **WIDE, **UNTIED),
        bert("relative_key", "bert", "Bert", live=False, position_embedding_type="relative_key"),
        bert("relative_key_query", "bert", "Bert", live=False, position_embedding_type="relative_key_query"),
    ),
    "roberta": (
        bert("3-heads", "roberta", "Roberta", segments=1, pad_token_id=1, max_position_embeddings=26, num_labels=4),
        bert("5-heads-untied-relu-pad-5", "roberta", "Roberta", hollow=True, hidden_act="relu", layer_norm_eps=1e-5, pad_token_id=5, **WIDE, **UNTIED),
    ),
    "xlm-roberta": (
        bert("3-heads-silu", "xlm-roberta", "XLMRoberta", hidden_act="silu", segments=1, pad_token_id=1, max_position_embeddings=26, num_labels=3),
        bert("5-heads-untied", "xlm-roberta", "XLMRoberta", hollow=True, layer_norm_eps=1e-5, pad_token_id=0, **WIDE, **UNTIED),
    ),
    "distilbert": tuple(
        Shape(name, "DistilBert", {"model_type": "distilbert", "vocab_size": 61, "pad_token_id": 0, "max_position_embeddings": 24, **keys})
        for name, keys in (
            ("3-heads", {"dim": 24, "n_heads": 3, "n_layers": 2, "hidden_dim": 36, "num_labels": 4}),
            (
                "5-heads-untied-relu-sinusoids",
                {"dim": 30, "n_heads": 5, "n_layers": 3, "hidden_dim": 20, "activation": "relu", "sinusoidal_pos_embds": True, **UNTIED},
            ),
        )
    ),
    "albert": (
        bert("3-heads-2-groups-of-2", "albert", "Albert", num_hidden_layers=4, num_hidden_groups=2, inner_group_num=2, embedding_size=16, num_labels=4),
        bert("5-heads-untied-1-group-relu", "albert", "Albert", hidden_act="relu", embedding_size=40, segments=3, pad_token_id=4, **WIDE, **UNTIED),
        bert("3-groups-of-5-layers", "albert", "Albert", num_hidden_layers=5, num_hidden_groups=3, embedding_size=24, hidden_act="gelu"),
    ),
    "electra": (
        bert("3-heads-projected", "electra", "Electra", embedding_size=16, num_labels=4, segments=3),
        bert(
            "5-heads-untied-relu",
            "electra",
            "Electra",
            embedding_size=30,
            hidden_act="relu",
            summary_activation="tanh",
            pad_token_id=2,
            layer_norm_eps=1e-4,
            **WIDE,
            **UNTIED,
        ),
    ),
    "nezha": (
        bert("3-heads", "nezha", "Nezha", live=False, max_relative_position=4, num_labels=4),
        bert("5-heads-untied-relu", "nezha", "Nezha", live=False, max_relative_position=30, hidden_act="relu", segments=3, **WIDE, **UNTIED),
    ),
    "roformer": (
        bert("3-heads-rotary-values", "roformer", "RoFormer", embedding_size=16, rotary_value=True, num_labels=4),
        bert("5-heads-untied-relu", "roformer", "RoFormer", rotary_value=False, hidden_act="relu", segments=3, pad_token_id=2, **WIDE, **UNTIED),
    ),
    "gpt": (
        gpt("3-heads", "openai-gpt", "OpenAIGPT", pad_token_id=0),
        gpt("5-heads-untied-relu", "openai-gpt", "OpenAIGPT", afn="relu", n_embd=30, n_head=5, n_layer=3, layer_norm_epsilon=1e-3, **UNTIED),
    ),
    "gpt2": (
        gpt("3-heads", "gpt2", "GPT2", pad_token_id=0, num_labels=4, bos_token_id=1, eos_token_id=1),
        gpt(
            "5-heads-untied-relu",
            "gpt2",
            "GPT2",
            pad_token_id=7,
            activation_function="relu",
            n_embd=30,
            n_head=5,
            n_layer=3,
            n_inner=40,
            layer_norm_epsilon=1e-3,
            bos_token_id=1,
            eos_token_id=1,
            scale_attn_weights=False,
            **UNTIED,
        ),
    ),
    "bart": (
        bart("3-heads-scaled", pad_token_id=1, eos_token_id=2, scale_embedding=True, num_labels=4),
        bart("5-heads-relu", d_model=30, encoder_attention_heads=5, decoder_attention_heads=3, activation_function="relu", pad_token_id=3, eos_token_id=4),
    ),
    "t5": (
        t5("3-heads", "t5", "T5"),
        t5("5-heads-gated-untied", "t5", "T5", num_heads=5, d_kv=6, feed_forward_proj="gated-gelu", layer_norm_epsilon=1e-3, untied=True, **UNTIED),
    ),
    "mt5": (
        t5("3-heads-untied", "mt5", "MT5", untied=True, **UNTIED),
        t5("5-heads-gated-silu", "mt5", "MT5", num_heads=5, d_kv=6, feed_forward_proj="gated-silu", num_decoder_layers=1),
    ),
    "modernbert": tuple(
        bert(name, "modernbert", "ModernBert", segments=0, bos_token_id=1, cls_token_id=1, eos_token_id=2, sep_token_id=2, **keys)
        for name, keys in (
            (
                "3-heads-windows-of-2",
                {"num_hidden_layers": 4, "local_attention": 4, "pad_token_id": 0, "num_labels": 4, "global_rope_theta": 500.0, "local_rope_theta": 20.0},
            ),
            (
                "5-heads-untied-biases-mean",
                {
                    **WIDE,
                    **UNTIED,
                    "local_attention": 6,
                    "pad_token_id": 5,
                    "hidden_activation": "silu",
                    "norm_bias": True,
                    "attention_bias": True,
                    "mlp_bias": True,
                    "classifier_bias": True,
                    "decoder_bias": False,
                    "classifier_pooling": "mean",
                    "norm_eps": 1e-3,
                    "global_attn_every_n_layers": 2,
                },
            ),
        )
    ),
}

FAMILY_SHAPES = [(family, shape) for family in FAMILIES for shape in SHAPES.get(family.name, ())]
CASES = [Case(family, shape, name) for family, shape in FAMILY_SHAPES for name in family.classes if name.startswith(shape.classes)]
LIVE = [case for case in CASES if case.shape.live]
# Each class once, and each shape once.
FIRST = list({case.class_name: case for case in reversed(CASES)}.values())[::-1]
EACH = [case for case in CASES if case in FIRST or case.class_name == case.family.base_class]


def golden_cases() -> list[tuple[Path, str]]:
    """Folders of committed checkpoints of the families there are, with their class."""
    found = []
    known = {model_type for family in FAMILIES for model_type in family.model_types}
    for path in sorted(GOLDEN.glob("*/config.json")):
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["model_type"] in known:
            found.append((path.parent, config["architectures"][0]))
    return found

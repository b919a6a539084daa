"""A config.json of every family, both ways: as transformers reads and writes it, presets, and what is refused."""

import subprocess
import sys
import textwrap
from typing import Any

import pytest
import torch
from family_cases import FAMILY_SHAPES, LIVE, SHAPES, Shape

from bertwright.checkpoints.huggingface import empty_model
from bertwright.errors import InputError
from bertwright.families import FAMILIES, PRESETS, Family, family_of, preset, preset_architecture
from bertwright.families.presets import SIZES
from bertwright.models import Model

LIVE_SHAPES = [(family, shape) for family, shape in FAMILY_SHAPES if shape.live]
LIVE_TYPES = sorted({shape.model_type for _, shape in LIVE_SHAPES})


def named(values: list[Any]) -> dict[str, Any]:
    """Arguments of parametrize for families and shapes."""
    return {"argvalues": values, "ids": [f"{family.name}-{shape.name}" for family, shape in values]}


@pytest.mark.parametrize(("family", "shape"), **named(FAMILY_SHAPES))
def test_what_is_written_describes_the_same_architecture(family: Family, shape: Shape) -> None:
    architecture = family.architecture(shape.config)
    written = family.config(architecture)
    assert written["model_type"] == shape.model_type
    again = family.architecture({**shape.config, **written})
    assert again == architecture
    alone = family.architecture({**written, "num_labels": architecture.num_labels})
    assert alone == architecture
    assert family_of(written) is family


@pytest.mark.parametrize(("family", "shape"), **named(LIVE_SHAPES))
def test_transformers_takes_what_is_written_and_writes_what_is_read(family: Family, shape: Shape, transformers: Any) -> None:
    architecture = family.architecture(shape.config)
    written = family.config(architecture)
    theirs = transformers.CONFIG_MAPPING[shape.model_type](**{**shape.config, **written})
    # T5's class says of every model that it is tied.
    assert {key: value for key, value in written.items() if getattr(theirs, key) != value and key != "tie_word_embeddings"} == {}
    assert family.architecture(theirs.to_dict()) == architecture
    plain = transformers.CONFIG_MAPPING[shape.model_type](**shape.config)
    assert family.architecture(plain.to_dict()) == architecture


@pytest.mark.parametrize("model_type", LIVE_TYPES)
def test_what_a_config_leaves_out_is_what_transformers_takes(model_type: str, transformers: Any) -> None:
    family = family_of({"model_type": model_type})
    theirs = transformers.CONFIG_MAPPING[model_type]().to_dict()
    assert family.architecture({"model_type": model_type}) == family.architecture(theirs)
    nulls = {key: None for key, value in theirs.items() if isinstance(value, int | float) and not key.endswith("_token_id")}
    assert family.architecture({"model_type": model_type, **nulls}) == family.architecture(theirs)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_number_that_is_written_is_read(family: Family) -> None:
    config = {**SHAPES[family.name][0].config, **family.config(family.architecture(SHAPES[family.name][0].config))}
    architecture = family.architecture(config)
    for key, value in family.config(architecture).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                assert family.architecture({**config, key: value + 2 if isinstance(value, int) else value / 2 + 0.25}) != architecture, key
            except InputError:
                continue


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_all_mistakes_of_a_config_are_named_at_once(family: Family) -> None:
    config = family.config(family.architecture(SHAPES[family.name][0].config))
    numbers = [key for key, value in config.items() if isinstance(value, int | float) and not isinstance(value, bool)]
    with pytest.raises(InputError) as caught:
        family.architecture({**config, **dict.fromkeys(numbers, "many")})
    problems = caught.value.problems
    assert [key for key in numbers if not any(line.startswith(f"{key} is 'many': it must be") for line in problems)] == []
    assert len(problems) == len(numbers), problems


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_values_that_contradict_each_other_are_refused(family: Family) -> None:
    config = dict(SHAPES[family.name][0].config)
    heads = next(key for key in ("num_attention_heads", "n_head", "n_heads", "encoder_attention_heads", "num_heads") if key in config)
    sizes = [0] if family.name in ("t5", "mt5") else [0, 7]
    for wrong in sizes:
        with pytest.raises(InputError) as caught:
            family.architecture({**config, heads: wrong, "vocab_size": 0, "pad_token_id": 3})
        lines = "\n".join(caught.value.problems)
        assert "vocab_size is 0" in lines
        assert "pad_token_id 3 lies outside the vocabulary of 0" in lines
        assert f"num_attention_heads {wrong}" in lines or f"num_attention_heads is {wrong}" in lines


ROPE = "rope_parameters.full_attention"
BAD: list[tuple[str, dict[str, Any], list[str]]] = [
    ("modernbert", {"rope_parameters": {"full_attention": {"rope_theta": "abc"}}}, [f"{ROPE}.rope_theta is 'abc': it must be a number above 0"]),
    ("modernbert", {"rope_parameters": {"full_attention": {"rope_theta": 0}}}, [f"{ROPE}.rope_theta is 0: it must be a number above 0"]),
    ("modernbert", {"rope_parameters": {"full_attention": 3}}, [f"{ROPE} is 3: it must be an object with rope_type and rope_theta"]),
    ("modernbert", {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, [f"{ROPE}.rope_type 'yarn' is not supported: take a checkpoint"]),
    ("modernbert", {"rope_parameters": [1]}, ["rope_parameters is [1]: it must be an object with full_attention and sliding_attention"]),
    ("modernbert", {"global_rope_theta": 0.0}, ["global_rope_theta is 0.0: it must be a number above 0"]),
    ("modernbert", {"layer_types": 3}, ["layer_types is 3: it must be a list of full_attention and sliding_attention"]),
    ("modernbert", {"layer_types": "full_attention"}, ["layer_types is 'full_attention': it must be a list"]),
    ("modernbert", {"layer_types": ["full_attention"]}, ["layer_types names 1 layers, num_hidden_layers 4: give one for each"]),
    ("modernbert", {"local_attention": -4}, ["local_attention is -4: it must be at least 0"]),
    ("modernbert", {"global_attn_every_n_layers": 0}, ["global_attn_every_n_layers is 0: it must be at least 1"]),
    (
        "modernbert",
        {"rope_parameters": [1], "layer_types": 3, "local_attention": -4, "mlp_dropout": 1.0, "norm_eps": 10**400},
        ["norm_eps is 1000", "mlp_dropout is 1.0", "rope_parameters is [1]", "layer_types is 3", "local_attention is -4"],
    ),
    ("t5", {"relative_attention_num_buckets": 1}, ["relative_attention_num_buckets is 1: it must be at least 4"]),
    ("t5", {"relative_attention_num_buckets": 2}, ["relative_attention_num_buckets is 2: it must be at least 4"]),
    ("mt5", {"relative_attention_num_buckets": 3}, ["relative_attention_num_buckets is 3: it must be at least 4"]),
    ("t5", {"relative_attention_max_distance": 4}, ["relative_attention_max_distance is 4: with 8 buckets it must be at least 5"]),
    ("t5", {"relative_attention_max_distance": 2, "is_encoder_decoder": False}, ["relative_attention_max_distance is 2: with 8 buckets it must be at least 3"]),
    ("t5", {"d_kv": 0, "d_ff": 0}, ["intermediate_size is 0: it must be at least 1", "d_kv is 0: it must be at least 1"]),
    ("roformer", {"max_position_embeddings": -1}, ["max_position_embeddings is -1: it must be at least 1"]),
    ("nezha", {"max_position_embeddings": 0}, ["max_position_embeddings is 0: it must be at least 1"]),
    ("gpt2", {"n_inner": 0}, ["intermediate_size is 0: it must be at least 1"]),
]


@pytest.mark.parametrize(("name", "change", "lines"), BAD, ids=[f"{name}-{'-'.join(change)}" for name, change, _ in BAD])
def test_a_bad_config_gets_one_line_for_each_mistake(name: str, change: dict[str, Any], lines: list[str]) -> None:
    config = SHAPES[name][0].config
    family_of(config).architecture(config)
    with pytest.raises(InputError) as caught:
        family_of(config).architecture({**config, **change})
    assert len(caught.value.problems) == len(lines), caught.value.problems
    assert [line for line, problem in zip(lines, caught.value.problems, strict=True) if not problem.startswith(line)] == []


def test_a_base_that_is_null_is_left_out() -> None:
    config = SHAPES["modernbert"][0].config
    rope = {"full_attention": {"rope_type": "default", "rope_theta": None}, "sliding_attention": None}
    assert family_of(config).architecture({**config, "rope_parameters": rope}) == family_of(config).architecture(config)


@pytest.mark.parametrize(("buckets", "distance", "more"), [(4, 3, {}), (5, 3, {}), (8, 5, {}), (8, 3, {"is_encoder_decoder": False})])
def test_the_fewest_buckets_and_the_least_distance_compute(buckets: int, distance: int, more: dict[str, Any]) -> None:
    config = {**SHAPES["t5"][0].config, "relative_attention_num_buckets": buckets, "relative_attention_max_distance": distance, **more}
    model = Model(family_of(config).architecture(config)).eval()
    ids = torch.randint(8, 61, (1, 20))
    assert model(ids, **({} if model.decoder is None else {"decoder_input_ids": ids})).last_hidden_state.isfinite().all()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_the_published_sizes(name: str) -> None:
    family, size = name.rsplit("-", 1)
    layers, hidden = SIZES[size]
    architecture = preset_architecture(name, vocab_size=1000)
    assert {stack.num_layers for stack in architecture.stacks.values()} == {layers}
    for stack in architecture.stacks.values():
        block = stack.block
        assert (block.hidden_size, block.num_heads, block.head_size) == (hidden, hidden // 64, 64)
        assert block.dropout == type(block.dropout)()
    config = preset(name, vocab_size=1000)
    assert family_of(config).name == family
    assert family_of(config).architecture(config) == architecture
    kinds = next(iter(family_of(config).classes.values()))
    model = empty_model(architecture, kinds)
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


@pytest.mark.parametrize("family", [family for family in FAMILIES if any(case.family is family for case in LIVE)], ids=lambda family: family.name)
def test_transformers_counts_the_same_parameters_in_a_preset(family: Family, transformers: Any) -> None:
    for size in SIZES:
        config = preset(f"{family.name}-{size}", vocab_size=1000)
        accepted = transformers.CONFIG_MAPPING[config["model_type"]](**config)
        if size not in ("tiny", "base"):
            continue
        with torch.device("meta"):
            theirs = transformers.AutoModel.from_config(accepted)
        assert type(theirs).__name__ == family.base_class
        ours: Model = empty_model(family.architecture(config), family.base_heads)
        assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters() if p.requires_grad)


def test_an_empty_model_takes_no_time_to_make() -> None:
    script = """
        import sys
        from bertwright.checkpoints.huggingface import empty_model
        from bertwright.families import FAMILIES, preset_architecture
        for family in FAMILIES:
            empty_model(preset_architecture(f"{family.name}-base", vocab_size=1000), next(iter(family.classes.values())))
            assert "torch._dynamo" not in sys.modules, f"{family.name}: it takes two seconds to load"
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False).returncode == 0


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"model 'bert-smal' is no preset: did you mean bert-small\?"):
        preset("bert-smal", vocab_size=100)
    with pytest.raises(InputError, match="vocab_size is 0"):
        preset("bert-tiny", vocab_size=0)


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"model_type": "llama"}, "model_type 'llama' is not supported: take a checkpoint of one of bert, roberta"),
        ({}, "model_type None is not supported"),
        ({"model_type": ["bert"]}, "model_type .* is not supported"),
        ({"model_type": "bert", "auto_map": {"AutoModel": "evil.Model"}}, "auto_map asks for code"),
        ({"model_type": "bert", "quantization_config": {"bits": 4}}, "quantization_config says that the weights are quantised"),
    ],
)
def test_what_no_family_takes_is_refused(config: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        family_of(config)

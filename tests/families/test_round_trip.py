"""Checkpoints of every family go in and out bit for bit, transformers loads what is written, and what does not fit is refused by name."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from family_cases import CASES, FIRST, LIVE, Case, golden_cases
from family_reference import SPREAD, Reference, beyond, draw_inputs, gap, randomise, run, run_reference, stored_config
from safetensors.torch import load_file, save_file
from torch import Tensor

from bertwright.checkpoints.huggingface import LoadedModel, load_model, save_model
from bertwright.checkpoints.matching import COPIES
from bertwright.errors import CheckpointError
from bertwright.families import FAMILIES, Family, preset
from bertwright.models import Model

References = Callable[[Case], Reference]
WEIGHTS = "model.safetensors"
GOLDEN = [folder for folder, _ in golden_cases()]
RICHEST = [next(case for case in CASES if case.family is family) for family in FAMILIES]
SOME = [*RICHEST, *(case for case in FIRST if case.class_name == case.family.base_class)]
OTHER = [case for case in LIVE if case.class_name in {rich.class_name for rich in RICHEST} and case not in FIRST]
AT_ONCE = 8  # lines of one kind that an error shows


def same(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    assert sorted(mine) == sorted(theirs)
    for name, tensor in theirs.items():
        assert mine[name].dtype == tensor.dtype
        assert torch.equal(mine[name], tensor), name


def goes_back(folder: Path, back: Path, *, added: frozenset[str] = frozenset()) -> bool:
    """Loads and saves; the tensors are the same, and whether the config is. added: names that the saved file may hold beside those read."""
    loaded = load_model(folder)
    save_model(loaded.model, back, config=loaded.config)
    mine, theirs = load_file(back / WEIGHTS), load_file(folder / WEIGHTS)
    same({name: tensor for name, tensor in mine.items() if name in theirs or name not in added}, theirs)
    return stored_config(back) == stored_config(folder)


@pytest.mark.parametrize("case", LIVE, ids=str)
def test_a_checkpoint_of_transformers_goes_back_bit_for_bit(case: Case, reference: References, tmp_path: Path) -> None:
    assert goes_back(reference(case).folder, tmp_path)


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.name)
def test_a_committed_checkpoint_goes_back_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    assert goes_back(folder, tmp_path, added=frozenset({"cls.predictions.decoder.bias"}))
    mine = load_file(tmp_path / WEIGHTS)
    if "cls.predictions.decoder.bias" in mine:
        assert torch.equal(mine["cls.predictions.decoder.bias"], mine["cls.predictions.bias"])


def new_model(case: Case, *, spread: float = SPREAD) -> Model:
    torch.manual_seed(0)
    heads = case.family.classes[case.class_name] + (case.family.base_heads if case.class_name == case.family.base_class else ())
    architecture = case.family.architecture(case.config)
    if case.shape.untied:
        architecture = replace(architecture, tied=False)
    model = Model(architecture, case.family.complete_heads(heads))
    randomise(model, spread=spread)
    return model.eval()


@torch.no_grad()
def transformers_differs(transformers: Any, case: Case, model: Model, folder: Path) -> dict[str, float]:
    """Transformers loads the model's folder and finds nothing missing or strange in it; what it computes that the model does not, by name."""
    save_model(model, folder, config=case.config, architecture_class=case.class_name)
    assert stored_config(folder)["architectures"] == [case.class_name]
    theirs, info = getattr(transformers, case.class_name).from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    assert not any(info.values()), info
    inputs = draw_inputs(case.shape, case.class_name, two_stacks=len(model.architecture.stacks) == 2)
    outputs, _ = run_reference(theirs.eval(), inputs)
    output = run(model, inputs)
    measured = {}
    for name, yours in outputs.items():
        mine = getattr(output, name)
        measured[name] = gap(name, output.seq_relationship_logits if mine is None else mine, yours, inputs)
    return beyond(measured, case.shape.tolerance)


@pytest.mark.parametrize("case", [case for case in FIRST if case.shape.live] + OTHER, ids=str)
def test_transformers_loads_a_new_model_whole(case: Case, transformers: Any, tmp_path: Path) -> None:
    assert not transformers_differs(transformers, case, new_model(case), tmp_path)


@pytest.mark.parametrize("case", [case for case in SOME if case.shape.live], ids=lambda case: case.class_name)
def test_transformers_loads_a_preset_whole(case: Case, transformers: Any, tmp_path: Path) -> None:
    special = {key: value for key, value in case.shape.config.items() if key.endswith("_token_id")}
    config = preset(f"{case.family.name}-tiny", vocab_size=case.shape.config["vocab_size"], **special)
    small = replace(case, shape=replace(case.shape, config=config))
    assert not transformers_differs(transformers, small, new_model(small, spread=0.02), tmp_path)


def saved(case: Case, folder: Path) -> LoadedModel:
    """A random model of the case's own, saved and loaded."""
    save_model(new_model(case), folder, config=case.config, architecture_class=case.class_name)
    return load_model(folder)


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], Mapping[str, Tensor]]) -> None:
    save_file(dict(change(load_file(folder / WEIGHTS))), folder / WEIGHTS)


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_model(folder)
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize("case", FIRST, ids=lambda case: case.class_name)
def test_the_prefix_is_optional_on_reading(case: Case, tmp_path: Path) -> None:
    expected = saved(case, tmp_path).model.state_dict()
    prefix = case.family.prefix
    base = case.class_name == case.family.base_class
    rewrite(tmp_path, lambda tensors: {prefix + name if base else name.removeprefix(prefix): tensor for name, tensor in tensors.items()})
    same(load_model(tmp_path).model.state_dict(), expected)


def copies(case: Case, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every other name that a file may have for a tensor of this model, with that tensor."""
    rules, found = case.family.names(case.family.complete_heads(case.family.classes[case.class_name])), {}
    for kind in ("mlm", "lm"):
        for pattern, target in COPIES.items():
            for stack in ("encoder", "decoder"):
                name = pattern.replace(r"(\w+)", kind).replace("(encoder|decoder)", stack).replace("\\", "")
                kept = re.sub(pattern, target, name)
                if name not in state and kept in state and (claim := rules.of_ours(name)) is not None:
                    found[claim.theirs] = state[kept].clone()
    return found


CONSTANTS = {
    "arange": torch.arange(9)[None],
    "zeros": torch.zeros(1, 9),
    "causal": torch.ones(1, 1, 9, 9).tril(),
    "number": torch.tensor(-1e4),
    "unread": torch.full((3, 2), 0.5),
}


@pytest.mark.parametrize("case", FIRST, ids=lambda case: case.class_name)
def test_tied_copies_and_constants_are_checked_and_dropped(case: Case, tmp_path: Path) -> None:
    loaded = saved(case, tmp_path)
    before = load_file(tmp_path / WEIGHTS)
    prefixed = case.class_name != case.family.base_class
    extra = copies(case, loaded.model.state_dict())
    extra |= {name.replace("*", "1"): CONSTANTS[kind].clone() for name, kind in case.family.buffers.items()}
    unread = {name for name in extra if case.family.constant(name) in ("number", "unread")}
    unread |= {name.removeprefix(case.family.prefix) for name in unread}
    extra = {name if prefixed else name.removeprefix(case.family.prefix): tensor for name, tensor in extra.items()}
    rewrite(tmp_path, lambda tensors: {**tensors, **extra})
    again = load_model(tmp_path)
    save_model(again.model, tmp_path / "back", config=again.config)
    same(load_file(tmp_path / "back" / WEIGHTS), before)
    for name in extra:
        # A decoder that differs is one of its own where the file decides.
        free = case.family.architecture(case.config).tied is None and name == "lm_head.weight"
        if name not in unread and not free:
            rewrite(tmp_path, lambda _, name=name: {**before, **extra, name: extra[name] + 1})
            assert f"tensor {name} of" in refusal(tmp_path)


EMBEDDINGS = {"embeddings.position_ids": torch.arange(24)[None], "embeddings.token_type_ids": torch.zeros(1, 24, dtype=torch.long)}
TRIANGLE = torch.ones(1, 1, 24, 24, dtype=torch.bool).tril()
SCORES = torch.randn(8, 3)
# What files of older versions of transformers, and converted ones, hold beside the weights.
OLD_KEYS: dict[str, dict[str, Tensor]] = {
    **{name: {f"{name}.{key}": tensor for key, tensor in EMBEDDINGS.items()} for name in ("bert", "roberta", "albert", "electra", "nezha")},
    "xlm-roberta": {f"roberta.{key}": tensor for key, tensor in EMBEDDINGS.items()},
    "distilbert": {"distilbert.embeddings.position_ids": torch.arange(24)[None]},
    "gpt": {"transformer.position_ids": torch.arange(24), "transformer.h.0.attn.bias": TRIANGLE, "transformer.h.1.attn.bias": TRIANGLE.byte()},
    "gpt2": {"transformer.h.0.attn.bias": TRIANGLE, "transformer.h.1.attn.bias": TRIANGLE.byte(), "transformer.h.1.attn.masked_bias": torch.tensor(-1e4)},
    "bart": {"model.encoder.version": torch.tensor([3.0]), "model.decoder.version": torch.tensor([3.0])},
    **{name: {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": SCORES} for name in ("t5", "mt5")},
}
for number in (0, 1):
    OLD_KEYS["nezha"][f"nezha.encoder.layer.{number}.attention.self.relative_positions_encoding.positions_encoding"] = torch.randn(24, 24, 8)


@pytest.mark.parametrize("prefixed", [True, False], ids=["prefixed", "bare"])
@pytest.mark.parametrize("family", [family for family in FAMILIES if family.name in OLD_KEYS], ids=lambda family: family.name)
def test_keys_of_old_files_are_dropped(family: Family, prefixed: bool, tmp_path: Path) -> None:
    case = next(case for case in RICHEST if case.family is family)
    expected = saved(case, tmp_path).model.state_dict()
    old = {name if prefixed else name.removeprefix(family.prefix): tensor.clone() for name, tensor in OLD_KEYS[family.name].items()}
    rewrite(tmp_path, lambda tensors: {**tensors, **old})
    loaded = load_model(tmp_path)
    same(loaded.model.state_dict(), expected)
    assert loaded.unused == ()


def groups(tensors: Mapping[str, Tensor], but: Iterable[str] = ()) -> list[list[str]]:
    """All names, as many at a time as an error shows."""
    names = [name for name in tensors if name not in set(but)]
    return [names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE)]


@pytest.mark.parametrize("case", RICHEST, ids=str)
def test_every_missing_tensor_is_named(case: Case, tmp_path: Path) -> None:
    loaded = saved(case, tmp_path)
    rules = case.family.names(loaded.model.head_kinds)
    optional = {rules.of_ours(name).theirs for name, _ in loaded.model.named_buffers()}
    if case.family.architecture(case.config).tied is None:
        # With one of the two the file is of a tied model.
        optional |= {"lm_head.weight", "shared.weight"}
    tensors = load_file(tmp_path / WEIGHTS)
    for group in groups(tensors, but=optional):
        save_file({name: tensor for name, tensor in tensors.items() if name not in group}, tmp_path / WEIGHTS)
        message = refusal(tmp_path)
        assert [name for name in group if f"tensor {name} is missing from {tmp_path / WEIGHTS}" not in message] == []


@pytest.mark.parametrize("case", RICHEST, ids=str)
def test_every_wrong_shape_is_named(case: Case, tmp_path: Path) -> None:
    saved(case, tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    for group in groups(tensors):
        save_file({name: torch.cat([tensor, tensor[-1:]]) if name in group else tensor for name, tensor in tensors.items()}, tmp_path / WEIGHTS)
        message = refusal(tmp_path)
        for name in group:
            shape = list(tensors[name].shape)
            assert f"tensor {name} of {tmp_path / WEIGHTS} has shape {[shape[0] + 1, *shape[1:]]} where config.json makes it {shape}" in message


@pytest.mark.parametrize("case", SOME, ids=lambda case: case.class_name)
def test_strange_tensors_are_named(case: Case, tmp_path: Path) -> None:
    saved(case, tmp_path)
    strange = {f"{case.family.prefix}oddity.weight": torch.zeros(2), "oddity": torch.zeros(2)}
    rewrite(tmp_path, lambda tensors: {**tensors, **strange})
    message = refusal(tmp_path)
    assert [name for name in strange if f"tensor {name} of" not in message] == []


@pytest.mark.parametrize("case", RICHEST, ids=str)
def test_keys_that_nobody_uses_are_kept(case: Case, tmp_path: Path) -> None:
    saved(case, tmp_path)
    config = {**stored_config(tmp_path), "_name_or_path": "somewhere", "task_specific_params": {"a": [1, None]}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    load_model(tmp_path).model.save_pretrained(tmp_path / "back")
    assert stored_config(tmp_path / "back") == config


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_half_precision_is_kept(family: Family, dtype: torch.dtype, tmp_path: Path) -> None:
    case = next(case for case in RICHEST if case.family is family)
    model = new_model(case).to(dtype)
    save_model(model, tmp_path, config=case.config, architecture_class=case.class_name)
    loaded = load_model(tmp_path)
    assert {tensor.dtype for tensor in loaded.model.state_dict().values()} == {dtype}
    save_model(loaded.model, tmp_path / "back", config=loaded.config)
    same(load_file(tmp_path / "back" / WEIGHTS), load_file(tmp_path / WEIGHTS))
    inputs = draw_inputs(case.shape, case.class_name, two_stacks=len(model.architecture.stacks) == 2)
    output = run(loaded.model, inputs)
    assert output.last_hidden_state.dtype == dtype

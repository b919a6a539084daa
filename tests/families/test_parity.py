"""Every Hugging Face class of every family computes what transformers computes: outputs, hidden states, attentions and gradients."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from family_cases import CASES, LIVE, SHAPES, Case, golden_cases
from family_reference import Reference, beyond, gaps, gradient_gaps, read_golden, run

from bertwright.architecture import Absolute, Bucketed, Positions, RelativeSinusoid, RelativeTable, Rotary, Stack
from bertwright.checkpoints.huggingface import load_model
from bertwright.families import FAMILIES, Family, family_of
from bertwright.models import Model

References = Callable[[Case], Reference]
# Gradients are sums over all tokens, and each carries the rounding of both passes.
GRADIENTS = 10
SEEN = 100  # times the tolerance: what a broken model must move its outputs by
GOLDEN = golden_cases()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_class_of_a_family_is_compared_in_two_shapes(family: Family) -> None:
    assert family.name in SHAPES, f"give {family.name} shapes in family_cases.py"
    for model_type in family.model_types:
        assert sum(shape.model_type == model_type for shape in SHAPES[family.name]) >= 2, f"{model_type} needs two shapes"
    committed = [name for _, name in GOLDEN]
    for name in family.classes:
        compared = sum(case.class_name == name for case in LIVE)
        assert compared >= 2 or name in committed, f"{name} is compared in {compared} shapes"
    for case in CASES:
        assert any(case.class_name == name for name in case.family.classes)


@pytest.mark.parametrize("case", LIVE, ids=str)
def test_outputs_states_and_gradients_are_the_references(case: Case, reference: References) -> None:
    assert not differences(reference(case), case.family, case.class_name)


@pytest.mark.parametrize(("folder", "class_name"), GOLDEN, ids=[folder.name for folder, _ in GOLDEN])
def test_outputs_states_and_gradients_are_those_of_the_last_transformers_that_had_them(folder: Path, class_name: str) -> None:
    expected = read_golden(folder)
    assert not differences(expected, family_of(load_model(folder).config), class_name)


def differences(expected: Reference, family: Family, class_name: str) -> list[dict[str, float]]:
    """What lies beyond the tolerance, by name: with all states, as the model is used, and of the gradients."""
    loaded = load_model(expected.folder)
    assert (loaded.created, loaded.unused) == ((), ())
    model = loaded.model
    with torch.no_grad():
        watched = gaps(run(model, expected.inputs, states=True), expected, states=True)
    # Once more as it is used: the fused kernels, and padding left out.
    output = run(model, expected.inputs)
    used = gaps(output, expected, states=False)
    loss = torch.zeros(())
    for name, weight in expected.weights.items():
        mine = getattr(output, name)
        mine = output.seq_relationship_logits if mine is None else mine
        loss = loss + torch.where(weight == 0, 0, mine * weight).sum()
    loss.backward()
    differing = gradient_gaps(model, family, expected, prefixed=class_name != family.base_class)
    tolerances = (expected.tolerance, expected.tolerance, GRADIENTS * expected.tolerance)
    found = [beyond(measured, tolerance) for measured, tolerance in zip((watched, used, differing), tolerances, strict=True)]
    return [far for far in found if far]


def broken(positions: Positions) -> list[Positions]:
    """The same scheme with one thing wrong at a time."""
    if isinstance(positions, RelativeSinusoid):
        return [replace(positions, max_distance=positions.max_distance - 2)]
    if isinstance(positions, RelativeTable):
        return [replace(positions, on_keys=not positions.on_keys)]
    if isinstance(positions, Bucketed):
        return [replace(positions, max_distance=positions.max_distance * 4)]
    if isinstance(positions, Rotary):
        turned = [replace(positions, base=positions.base / 3), replace(positions, interleaved=not positions.interleaved)]
        other = [] if positions.local_base is None else [replace(positions, local_base=positions.base)]
        return [*turned, *other, replace(positions, on_values=not positions.on_values)]
    return []


def shuffled(model: Model) -> Model:
    """The model with every learned table of positions moved on by one place."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".positions." in name:
                parameter.copy_(parameter.roll(1, 0))
    return model


def wrong_models(model: Model, *, counted: bool) -> list[tuple[str, Model]]:
    """Models with the same weights, each of which breaks the positions in one way; `counted`: padding stands before a text's end."""
    found = []
    for name, stack in model.architecture.stacks.items():
        changes: list[Stack] = [replace(stack, positions=positions) for positions in broken(stack.positions)]
        if any(stack.windows):
            changes += [replace(stack, windows=()), replace(stack, windows=tuple(window and window + 1 for window in stack.windows))]
        if isinstance(stack.positions, Absolute) and stack.positions.skip_padding and counted:
            changes.append(replace(stack, positions=replace(stack.positions, skip_padding=False)))
        for change in changes:
            other = Model(replace(model.architecture, **{name: change}), model.head_kinds)
            # A table that is stored says what turns: the broken model has its own.
            weights = {key: tensor for key, tensor in model.state_dict().items() if not key.endswith(".positions.table")}
            other.load_state_dict(weights, strict=False)
            found.append((f"{change.positions}, windows {change.windows}", other.eval()))
    learned = any(isinstance(stack.positions, Absolute | RelativeTable | Bucketed) for stack in model.architecture.stacks.values())
    return [*found, ("moved tables", shuffled(model))] if learned else found


@pytest.mark.parametrize("case", [case for case in LIVE if case.class_name == case.family.base_class], ids=str)
def test_the_comparison_sees_positions(case: Case, reference: References) -> None:
    assert not unseen(reference(case))


@pytest.mark.parametrize("folder", [folder for folder, _ in GOLDEN if folder.name.endswith("pretraining")], ids=lambda folder: folder.name)
def test_the_committed_outputs_show_positions(folder: Path) -> None:
    assert not unseen(read_golden(folder))


@torch.no_grad()
def unseen(expected: Reference) -> list[str]:
    """Changes of the positions that move no output by much."""
    models = wrong_models(load_model(expected.folder).model, counted=bool((expected.inputs["attention_mask"].diff(dim=-1) > 0).any()))
    assert models
    moved = [(change, max(gaps(run(model, expected.inputs, states=True), expected, states=True).values())) for change, model in models]
    return [change for change, furthest in moved if not furthest > SEEN * expected.tolerance]

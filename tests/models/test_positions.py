"""A table of positions stretched to more places: ends exact, evenly between them, rows in front of place 0 kept."""

import pytest
import torch

from bertwright.architecture import Absolute, RelativeTable, Rotary
from bertwright.families import FAMILIES, preset_architecture
from bertwright.models import Model
from bertwright.models.positions import interpolated, with_positions

LEARNT = ["bert", "roberta", "distilbert", "albert", "electra", "gpt", "gpt2", "bart"]


def tiny(name: str, **keys: object) -> Model:
    torch.manual_seed(0)
    return Model(preset_architecture(f"{name}-tiny", vocab_size=300, **keys)).eval()


def test_these_are_the_families_that_learn_absolute_positions() -> None:
    found = [family.name for family in FAMILIES if preset_architecture(f"{family.name}-tiny", vocab_size=300).max_length is not None]
    assert set(found) == {*LEARNT, "xlm-roberta"}


@pytest.mark.parametrize("name", LEARNT)
def test_every_table_is_stretched_and_nothing_else_changes(name: str) -> None:
    model = tiny(name)
    limit = model.architecture.max_length
    longer = with_positions(model.architecture, 2 * limit - 1)
    assert longer.max_length == 2 * limit - 1
    before = model.state_dict()
    after = interpolated(before, longer)
    tables = [f"{side}.positions.weight" for side in model.architecture.stacks]
    for key, tensor in before.items():
        if key not in tables:
            assert after[key] is tensor
            continue
        offset = model.architecture.stacks[key.partition(".")[0]].positions.offset
        assert torch.equal(after[key][:offset], tensor[:offset])
        old, new = tensor[offset:], after[key][offset:]
        assert len(new) == 2 * limit - 1
        torch.testing.assert_close(new[::2], old, rtol=0, atol=1e-6)
        torch.testing.assert_close(new[1::2], (old[1:] + old[:-1]) / 2, rtol=0, atol=1e-6)
    made = Model(longer).eval()
    made.load_state_dict(after)
    ids = torch.randint(5, 300, (1, limit + 3))
    if longer.eos_id is not None:
        ids[:, -1] = longer.eos_id
    assert made(ids).last_hidden_state.isfinite().all()


@pytest.mark.parametrize("length", [513, 700, 1024, 1500])
def test_places_lie_evenly_between_the_ends(length: int) -> None:
    model = tiny("bert")
    table = torch.linspace(0, 511, 512)[:, None].expand(-1, 128).clone()
    state = {**model.state_dict(), "encoder.positions.weight": table}
    new = interpolated(state, with_positions(model.architecture, length))["encoder.positions.weight"]
    torch.testing.assert_close(new[:, 0], torch.linspace(0, 511, length), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_dtype_stays(dtype: torch.dtype) -> None:
    model = tiny("bert").to(dtype)
    assert interpolated(model.state_dict(), with_positions(model.architecture, 700))["encoder.positions.weight"].dtype == dtype


def test_other_schemes_are_left_alone() -> None:
    relative = preset_architecture("bert-tiny", vocab_size=300, position_embedding_type="relative_key")
    assert isinstance(relative.encoder.positions, RelativeTable)
    for architecture in (relative, *(preset_architecture(f"{name}-tiny", vocab_size=300) for name in ("nezha", "roformer", "t5", "modernbert"))):
        assert not any(isinstance(stack.positions, Absolute) for stack in architecture.stacks.values())
        assert with_positions(architecture, 4096) == architecture
    assert isinstance(preset_architecture("modernbert-tiny", vocab_size=300).encoder.positions, Rotary)
    state = Model(relative).state_dict()
    assert all(tensor is state[key] for key, tensor in interpolated(state, with_positions(relative, 4096)).items())

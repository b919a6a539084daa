"""An architecture as readable Python."""

import pytest

from bertwright import architecture as parts
from bertwright.analysis import describe
from bertwright.families import FAMILIES, preset_architecture


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_description_is_python_that_makes_the_architecture_again(family: object) -> None:
    architecture = preset_architecture(f"{family.name}-base", vocab_size=60_000)
    text = describe(architecture)
    names = {name: value for name, value in vars(parts).items() if isinstance(value, type)}
    assert eval(text, names) == architecture
    assert max(map(len, text.splitlines())) <= 120
    assert len(text.splitlines()) > 8


def test_defaults_are_left_out_and_short_parts_stay_on_a_line() -> None:
    text = describe(preset_architecture("bert-base", vocab_size=30522))
    assert "block=Block(hidden_size=768, num_heads=12, intermediate_size=3072)," in text
    assert "    positions=Absolute(max_length=512),\n" in text
    assert "decoder" not in text
    assert "norm_first" not in text
    assert "norm_first=True" in describe(preset_architecture("gpt2-base", vocab_size=60_000))


def test_a_tuple_of_one_stays_a_tuple() -> None:
    assert describe((parts.Dropout(),)) == "(Dropout(),)"

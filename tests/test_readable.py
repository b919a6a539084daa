"""An architecture as readable Python, and modules that say their shapes."""

import importlib
import inspect
import pkgutil

import pytest
from torch import nn

from bertwright import architecture as parts
from bertwright import blocks, models
from bertwright.families import FAMILIES, Family, preset_architecture
from bertwright.readable import metric, readable


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_description_is_python_that_makes_the_architecture_again(family: Family) -> None:
    architecture = preset_architecture(f"{family.name}-base", vocab_size=60_000)
    text = readable(architecture)
    names = {name: value for name, value in vars(parts).items() if isinstance(value, type)}
    assert eval(text, names) == architecture
    assert max(map(len, text.splitlines())) <= 120
    assert len(text.splitlines()) > 8


def test_defaults_are_left_out_and_short_parts_stay_on_a_line() -> None:
    text = readable(preset_architecture("bert-base", vocab_size=30522))
    assert "block=Block(hidden_size=768, num_heads=12, intermediate_size=3072)," in text
    assert "    positions=Absolute(max_length=512),\n" in text
    assert "decoder" not in text
    assert "norm_first" not in text
    assert "norm_first=True" in readable(preset_architecture("gpt2-base", vocab_size=60_000))


def test_a_tuple_of_one_stays_a_tuple() -> None:
    assert readable((parts.Dropout(),)) == "(Dropout(),)"


def modules() -> list[type[nn.Module]]:
    found = []
    for package in (blocks, models):
        for entry in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{entry.name}")
            found += [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, nn.Module) and kind.__module__ == module.__name__]
    return found


@pytest.mark.parametrize("kind", modules(), ids=lambda kind: kind.__name__)
def test_every_block_says_its_shapes(kind: type[nn.Module]) -> None:
    said = [inspect.getdoc(kind), *(inspect.getdoc(getattr(kind, name)) for name in ("forward", "transform", "embed", "at") if hasattr(kind, name))]
    assert any("[" in (text or "") for text in said)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.86543, "0.8654"), (-0.5, "-0.5000"), (999.9, "999.9000"), (9620898752.13, "9,620,898,752"), (-1500.4, "-1,500")]
)
def test_metrics_have_four_decimals_or_from_a_thousand_on_none(value: float, shown: str) -> None:
    assert metric(value) == shown

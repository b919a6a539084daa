"""The page about custom models: its code runs as it stands, on every family."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import torch

from bertwright.checkpoints.huggingface import load_model, save_model
from bertwright.families import FAMILIES, Family, preset
from bertwright.models import Model
from bertwright.text.tokenizer import Tokenizer
from bertwright.text.training import train_tokenizer

PAGE = (Path(__file__).parents[1] / "docs" / "custom-models.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_example_trains_a_head_on_any_family_saves_it_and_loads_it(family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    tokenizer = train_tokenizer(
        ["a fine ship the wind is bad a fine fine lamp bad bad sea"] * 3, kind="wordpiece", vocab_size=80, lowercase=True, min_frequency=1
    )
    config = preset(f"{family.name}-tiny", vocab_size=tokenizer.vocab_size, pad_token_id=tokenizer.pad_id)
    heads = next(iter(family.classes.values()))
    begun = Model(family.architecture(config), family.complete_heads(heads))
    save_model(begun, Path("runs/a"), config=config)
    tokenizer.save(Path("runs/a"))
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        for block in BLOCKS:
            exec(compile(block, "custom-models.md", "exec"), names)
    assert len(BLOCKS) == 2
    model = names["model"]
    assert isinstance(model, torch.nn.Module)
    found = [model.eval()(ids, torch.ones_like(ids)).item() for ids in (torch.tensor([names["tokenizer"].encode(text).ids]) for text in names["texts"])]
    assert found == pytest.approx(names["stars"], abs=0.5)
    assert float(re.search(r"[\d.]+", shown.getvalue())[0]) == pytest.approx(found[0], abs=1e-3)
    body = load_model(Path("stars"), heads=()).model
    assert any(not torch.equal(value, begun.state_dict()[name]) for name, value in body.state_dict().items()), "the encoder was not trained"
    assert Tokenizer.load(Path("stars")).vocab == tokenizer.vocab


def test_the_example_is_short() -> None:
    lines = [line for line in BLOCKS[0].splitlines() if line.strip() and not line.startswith(("import ", "from "))]
    assert len(lines) <= 22


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)#]+)", PAGE))
def test_every_link_of_the_page_leads_somewhere(target: str) -> None:
    assert (Path(__file__).parents[1] / "docs" / target).exists()

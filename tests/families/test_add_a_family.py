"""The family that docs/add-a-family.md writes is a real one: it loads, computes and saves what transformers does."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bertwright.checkpoints import huggingface
from bertwright.checkpoints.huggingface import load_model

PAGE = Path(__file__).parents[2] / "docs" / "add-a-family.md"
CONFIG = {"vocab_size": 61, "dim": 24, "n_heads": 3, "n_layers": 2, "hidden_dim": 36, "max_position_embeddings": 24, "activation": "relu", "num_labels": 3}


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page's blocks, run one behind the other, in place of the registry."""
    written: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec("\n".join(blocks), written)
    monkeypatch.setattr(huggingface, "family_of", lambda config: written["FAMILY"])
    return written["FAMILY"]


@pytest.mark.parametrize("name", ["DistilBertForMaskedLM", "DistilBertForSequenceClassification"])
def test_the_pages_family_is_transformers(family: Any, name: str, transformers: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = getattr(transformers, name)(transformers.DistilBertConfig(**CONFIG)).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_model(tmp_path / "theirs").model
    ids = torch.randint(1, 61, (2, 9))
    with torch.no_grad():
        torch.testing.assert_close(ours(ids).logits, theirs(ids).logits, rtol=0, atol=1e-5)
    ours.save_pretrained(tmp_path / "back")
    first, second = (load_file(tmp_path / folder / "model.safetensors") for folder in ("theirs", "back"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[tensor], second[tensor]) for tensor in first)
    assert family.architecture(family.config(family.architecture(CONFIG)) | {"num_labels": 3}) == family.architecture(CONFIG)

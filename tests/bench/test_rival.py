"""The rival trains by transformers' Trainer on our shards, and leaves folders that it was timed at."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from bertwright.bench.contest import Setting
from bertwright.data.shards import TokenShards

pytest.importorskip("accelerate", reason="the Trainer needs accelerate")
transformers = pytest.importorskip("transformers")
RIVAL = Path(__file__).parents[2] / "benchmarks" / "rival.py"


@pytest.fixture(scope="module")
def rival() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rival", RIVAL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("model", "tuned", "dropout"), [("bert-tiny", True, 0.0), ("bert-tiny", False, 0.1), ("modernbert-tiny", True, None)])
def test_it_trains_the_shape_that_it_is_given(
    model: str, tuned: bool, dropout: float | None, rival: ModuleType, shards: TokenShards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rival, "TRIED", 4)
    setting = Setting(shards=str(shards.folder), model=model, seconds=0.3, seed=0, folder=str(tmp_path / "run"), batch_size=4, max_seq_length=32)
    outcome = rival.race(setting, tuned=tuned, learning_rate=None)
    assert len(outcome.points) == rival.POINTS
    assert [point.seconds for point in outcome.points] == sorted(point.seconds for point in outcome.points)
    assert outcome.tokens_per_second > 0
    config = transformers.AutoConfig.from_pretrained(outcome.points[-1].folder)
    assert (config.model_type, config.hidden_size, config.num_hidden_layers) == (model.removesuffix("-tiny"), 128, 2)
    assert getattr(config, "hidden_dropout_prob", None) == dropout

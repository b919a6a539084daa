"""A profile's parts add up to the update, and a run that asks for one finds it in its folder."""

from pathlib import Path

import pytest

from bertwright import pretrain
from bertwright.data.shards import TokenShards
from bertwright.training.events import Event
from bertwright.training.profiling import breakdown


def test_parts_add_up_to_the_update() -> None:
    found = {"update": (1000.0, 10.0), "forward": (400.0, 5.0), "forward: attention": (150.0, 0.0), "forward: feed-forward": (100.0, 0.0)}
    found |= {"backward": (450.0, 1.0), "optimizer: Muon": (50.0, 2.0), "aten::mm": (500.0, 480.0), "aten::add": (20.0, 20.0)}
    said = breakdown(found, updates=5)
    assert "| forward: embeddings, norms, heads and loss | 0.0 | 15.0% |" in said
    assert "| waiting for batches, and the rest | 0.0 | 10.0% |" in said
    assert said.index("`aten::mm` | 0.1 | 48.0%") < said.index("`aten::add`")


@pytest.mark.parametrize(("steps", "note"), [(16, "profile of 5 updates"), (13, "profile of 3 updates"), (6, "no profile: it is taken of the updates after")])
def test_a_run_leaves_its_profile(tmp_path: Path, shards: TokenShards, steps: int, note: str) -> None:
    told: list[Event] = []
    pretrain(shards.folder, out=tmp_path / "run", model="bert-tiny", max_seq_length=32, max_steps=steps, profile=True, observers=(told.append,))
    assert [each for each in told if note in str(each.values.get("text", ""))]
    written = (tmp_path / "run" / "profile.md").exists()
    assert written == (tmp_path / "run" / "profile.json").exists() == (steps > 10)
    if written:
        lines = (tmp_path / "run" / "profile.md").read_text(encoding="utf-8").splitlines()
        shares = [float(line.split("|")[3].strip().rstrip("%")) for line in lines[2 : lines.index("")]]
        assert sum(shares) == pytest.approx(100, abs=1)
        assert min(shares) > -1
        assert shares[3] > 10, "the backward pass takes most of an update"

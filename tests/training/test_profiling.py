"""A profile's parts add up to the update, and a run that asks for one finds it in its folder."""

import json
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bertwright import pretrain
from bertwright.data.batch import Batch
from bertwright.data.shards import TokenShards
from bertwright.objectives.mlm import MaskedLanguageModel
from bertwright.objectives.objective import Losses
from bertwright.training.events import Event
from bertwright.training.profiling import breakdown


def shares_of(run: Path, *, table: int = 0) -> dict[str, float]:
    """The shares of an update's parts, or in table 1 of its operations, in percent."""
    lines = (run / "profile.md").read_text(encoding="utf-8").split("\n\n")[table].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {name: float(share.rstrip("%")) for name, _, share in cells}


def ranges_of(run: Path) -> dict[str, list[tuple[float, float]]]:
    """Begin and end of each part of the trace, in order."""
    ranges: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for event in json.loads((run / "profile.json").read_text(encoding="utf-8"))["traceEvents"]:
        if event.get("cat") == "user_annotation":
            ranges[event["name"]].append((event["ts"], event["ts"] + event["dur"]))
    return {name: sorted(each) for name, each in ranges.items()}


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
    settings: dict[str, Any] = {"model": "bert-tiny", "max_seq_length": 32, "max_steps": steps, "eval_steps": 1, "profile": True}
    pretrain(shards.folder, out=tmp_path / "run", observers=(told.append,), **settings)
    assert [each for each in told if note in str(each.values.get("text", ""))]
    written = (tmp_path / "run" / "profile.md").exists()
    assert written == (tmp_path / "run" / "profile.json").exists() == (steps > 10)
    if written:
        shares = shares_of(tmp_path / "run")
        assert sum(shares.values()) == pytest.approx(100, abs=1)
        assert min(shares.values()) > -1
        assert shares["backward"] > 10, "the backward pass takes most of an update"
        assert sum(shares_of(tmp_path / "run", table=1).values()) < 101, "evaluations between updates are no part of them"


def test_what_is_computed_again_is_no_part_of_the_forward_pass(tmp_path: Path, shards: TokenShards) -> None:
    settings: dict[str, Any] = {"model": "bert-tiny", "max_seq_length": 32, "max_steps": 13, "gradient_checkpointing": True}
    pretrain(shards.folder, out=tmp_path / "run", profile=True, **settings)
    shares = shares_of(tmp_path / "run")
    assert "forward" in shares
    assert "forward: attention" not in shares
    assert min(shares.values()) > -1


def test_a_part_that_runs_out_of_memory_ends_with_its_pass(tmp_path: Path, shards: TokenShards, monkeypatch: pytest.MonkeyPatch) -> None:
    losses_of: Callable[..., Losses] = MaskedLanguageModel.losses
    seen: list[int] = []

    def losses(self: MaskedLanguageModel, model: nn.Module, batch: Batch) -> Losses:
        seen.append(len(seen))
        if seen[-1] != 11:
            return losses_of(self, model, batch)
        hook = next(part for name, part in model.named_modules() if name.endswith("feed_forward")).register_forward_pre_hook(_no_memory)
        try:
            return losses_of(self, model, batch)
        finally:
            hook.remove()

    monkeypatch.setattr(MaskedLanguageModel, "losses", losses)
    settings: dict[str, Any] = {"model": "bert-tiny", "objective": "mlm", "max_seq_length": 32, "batch_size": 4, "max_steps": 15}
    pretrain(shards.folder, out=tmp_path / "run", profile=True, **settings)
    ranges = ranges_of(tmp_path / "run")
    updates, passes = ranges["update"], ranges["forward"]
    assert (len(updates), len(passes)) == (5, 10)  # the second failed; it and those after it take two
    assert all(end <= begin for (_, end), (begin, _) in pairwise(updates))
    for begin, end in ranges["forward: feed-forward"]:
        assert any(first <= begin and end <= last for first, last in passes)


def _no_memory(*given: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")

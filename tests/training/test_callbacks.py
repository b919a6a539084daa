"""Who watches a training hears of what was asked for, at its time and once; who does not costs nothing."""

import os
import re
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bertwright
from bertwright.data.shards import TokenShards
from bertwright.errors import Interrupted
from bertwright.training.callbacks import METHODS, Callback
from bertwright.training.config import PretrainConfig
from bertwright.training.events import MILESTONES, Event, Watchers
from bertwright.training.fit import LabelledBatch, LabelledRows, fit
from bertwright.training.pretrain import pretrain

ROWS, LABELS = [[5, 6, 7], [8, 9], [10, 11, 12], [15], [16, 17]], [1.0, 2.0, 3.0, 4.0, 5.0]
DOCS = Path(__file__).parents[2] / "docs" / "callbacks.md"


class Sum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return (self.words(ids).squeeze(-1) * mask).sum(1)


def squared(model: nn.Module, batch: LabelledBatch) -> Tensor:
    error: Tensor = ((model(batch.input_ids, batch.mask) - batch.labels) ** 2).sum()
    return error


def trained(*observers: Any, **keys: Any) -> None:
    torch.manual_seed(0)
    config = PretrainConfig(**{"optimizer": "adamw", "learning_rate": 0.1, "batch_size": 2, "logging_steps": 1, **keys})
    fit(Sum(), LabelledRows(ROWS, LABELS, pad_id=0, loss=squared), config=config, observers=observers)


class Everything(Callback):
    """Overrides every method, and keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Event] = []

    def hear(self, event: Event) -> None:
        self.heard.append(event)

    on_train_begin = on_train_end = on_epoch_begin = on_epoch_end = on_batch_begin = on_batch_end = on_log = on_evaluate = on_save = hear


def test_the_moments_of_a_training_in_their_order() -> None:
    watching = Everything()
    trained(watching, num_train_epochs=2)  # five rows, two a step: the third step holds the end of one epoch and the beginning of the next
    told = [(event.kind, event.step) for event in watching.heard]
    step = [[("batch_begin", number), ("batch_end", number), ("train", number)] for number in range(1, 6)]
    assert told == [
        ("train_begin", 0),
        ("epoch_begin", 1),
        *step[0],
        *step[1],
        *step[2],
        ("epoch_end", 3),
        ("epoch_begin", 4),
        *step[3],
        *step[4],
        ("epoch_end", 5),
        ("train_end", 5),
    ]
    assert [event.values["epoch"] for event in watching.heard if event.kind.startswith("epoch")] == [0, 0, 1, 1]
    ends, logs = ([event.values for event in watching.heard if event.kind == kind] for kind in ("batch_end", "train"))
    assert [(end["loss"], end["grad_norm"]) for end in ends] == [(log["loss"], log["grad_norm"]) for log in logs]
    assert [event.values["samples"] for event in watching.heard if event.kind == "batch_begin"] == [0, 2, 4, 6, 8]


def test_an_epoch_that_the_budget_cuts_off_ends_with_the_training() -> None:
    watching = Everything()
    trained(watching, max_steps=1)
    assert [event.kind for event in watching.heard] == ["train_begin", "epoch_begin", "batch_begin", "batch_end", "train", "epoch_end", "train_end"]


def test_who_watches_changes_no_bit() -> None:
    def weights(*observers: Any) -> Tensor:
        torch.manual_seed(0)
        model = Sum()
        config = PretrainConfig(optimizer="adamw", learning_rate=0.1, batch_size=2, max_steps=4)
        fit(model, LabelledRows(ROWS, LABELS, pad_id=0, loss=squared), config=config, observers=observers)
        return model.words.weight.detach()

    assert torch.equal(weights(), weights(Everything()))


def test_a_function_hears_of_milestones_alone_and_a_callback_of_what_it_overrides() -> None:
    class Batches(Callback):
        def on_batch_end(self, event: Event) -> None:
            heard.append(event.kind)

    heard, plain = list[str](), list[str]()
    trained(Batches(), lambda event: plain.append(event.kind), max_steps=2)
    assert heard == ["batch_end"] * 2
    assert plain == ["train"] * 2
    assert Batches().kinds == {"batch_end"}
    assert Callback().kinds == frozenset()
    assert Everything().kinds == METHODS.keys()
    Callback()(Event("plan"))  # what it has no method for, it lets pass


def test_an_event_that_nobody_asked_for_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    watchers = Watchers([lambda event: None])
    monkeypatch.setattr("bertwright.training.events.Event", lambda kind, *rest: made.append(kind))
    watchers.tell("batch_end", 1, loss=0.5)
    assert made == []
    assert not watchers.hear_of_moments()
    assert Watchers([Everything()]).hear_of_moments()
    assert not {"batch_end", "epoch_end", "train_end"} & MILESTONES


def test_a_run_that_is_stopped_and_goes_on_begins_and_ends_twice(tmp_path: Path, shards: TokenShards, tiny_config_json: Any) -> None:
    class Stop(Everything):
        def on_batch_end(self, event: Event) -> None:
            if event.step == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    config = PretrainConfig(model=tiny_config_json(), max_steps=4, batch_size=4, max_seq_length=16, bf16=False, eval_samples=4)
    first, second = Stop(), Everything()
    with pytest.raises(Interrupted):
        pretrain(shards.folder, out=tmp_path / "run", config=config, observers=(first,))
    pretrain(shards.folder, out=tmp_path / "run", config=config, observers=(second,))
    # The signal comes when the second step's end has been decided on.
    assert [event.step for event in first.heard if event.kind in ("train_begin", "train_end")] == [0, 3]
    assert [event.step for event in second.heard if event.kind in ("train_begin", "train_end")] == [3, 4]
    assert second.heard[-1].values["eval_loss"] > 0
    assert {event.kind for event in second.heard} == METHODS.keys()
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "batch_begin" not in log
    assert "epoch_begin" not in log


def test_the_example_of_the_docs_logs_to_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    class Run:
        def __init__(self) -> None:
            self.rows: list[tuple[int, dict[str, float]]] = []
            self.finished = False

        def log(self, values: dict[str, float], *, step: int) -> None:
            self.rows.append((step, values))

        def finish(self) -> None:
            self.finished = True

    runs: list[Run] = []

    def init(*, project: str) -> Run:
        assert project == "bertwright"
        runs.append(Run())
        return runs[-1]

    wandb = ModuleType("wandb")
    wandb.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 10
    names: dict[str, Any] = {}
    exec(code, names)
    watching = names["WandB"]()
    assert isinstance(watching, bertwright.Callback)
    trained(watching, max_steps=3)
    watching(Event("evaluate", 3, {"eval_loss": 0.25}))
    (run,) = runs
    assert [step for step, _ in run.rows] == [1, 2, 3, 3]
    assert run.rows[0][1]["loss"] > 0
    assert run.rows[-1][1] == {"eval_loss": 0.25}
    assert run.finished


def test_the_docs_name_every_method() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert [method for method in METHODS.values() if f"| `{method}` |" not in text] == []

"""Several runs in one command: each in its folder, finished ones once only, compared with mean and spread."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertwright.errors import InputError
from bertwright.training.events import Event
from bertwright.training.finetune_config import FinetuneResult
from bertwright.training.sweep import sweep

GRID = {"learning_rate": (1e-5, 3e-5), "seed": (0, 1)}
SCORES = {(1e-5, 0): 0.5, (1e-5, 1): 0.7, (3e-5, 0): 0.9, (3e-5, 1): 0.8}


def training(trained: list[str], *, stop_at: str = "", metric: str = "accuracy") -> Callable[[Path, dict[str, Any]], FinetuneResult]:
    """A stand-in for fine-tuning that writes what one leaves."""

    def train_one(folder: Path, values: dict[str, Any]) -> FinetuneResult:
        if (folder / "results.json").exists():
            return finished(folder)
        if folder.name == stop_at:
            raise KeyboardInterrupt
        trained.append(folder.name)
        folder.mkdir(parents=True)
        score = SCORES[values["learning_rate"], values["seed"]]
        splits = {"validation": {metric: score, "mcc": None}, "test": {metric: score - 0.1}}
        (folder / "results.json").write_text(json.dumps({"metric": metric, "splits": splits}))
        return finished(folder)

    def finished(folder: Path) -> FinetuneResult:
        results = json.loads((folder / "results.json").read_text())
        return FinetuneResult(folder, folder, results["splits"], details=results)

    return train_one


def test_every_combination_is_trained_and_compared(tmp_path: Path) -> None:
    trained, told = list[str](), list[Event]()
    found = sweep(training(trained), out=tmp_path, grid=GRID, observers=[told.append])
    assert trained == ["learning_rate=1e-05,seed=0", "learning_rate=1e-05,seed=1", "learning_rate=3e-05,seed=0", "learning_rate=3e-05,seed=1"]
    assert [event.values["text"] for event in told][1] == "run 2 of 4: learning_rate=1e-05, seed=1"
    written = json.loads((tmp_path / "sweep.json").read_text())
    assert written == found.to_json()
    assert written["keys"] == {"learning_rate": [1e-5, 3e-5], "seed": [0, 1]}
    assert written["metric"] == "accuracy"
    assert written["runs"][3] == {
        "name": "learning_rate=3e-05,seed=1",
        "folder": "learning_rate=3e-05,seed=1",
        "values": {"learning_rate": 3e-5, "seed": 1},
        "metrics": {"validation": {"accuracy": 0.8, "mcc": None}, "test": {"accuracy": 0.8 - 0.1}},
    }
    low, high = written["summary"]
    assert low["values"] == {"learning_rate": 1e-5}
    assert low["metrics"]["validation"] == {"accuracy": {"mean": pytest.approx(0.6), "std": pytest.approx(statistics.stdev([0.5, 0.7])), "n": 2}}
    assert high["metrics"]["test"]["accuracy"]["mean"] == pytest.approx(0.75)


def test_the_table_reads_well(tmp_path: Path) -> None:
    assert sweep(training([]), out=tmp_path / "both", grid=GRID).lines() == [
        "   runs                 validation accuracy     test accuracy",
        "   learning_rate=1e-05     0.6000 +- 0.1414  0.5000 +- 0.1414",
        "*  learning_rate=3e-05     0.8500 +- 0.0707  0.7500 +- 0.0707",
        "+- is the standard deviation over the seeds",
        "* the best on validation, by accuracy",
    ]
    assert sweep(training([]), out=tmp_path / "seeds", grid={"learning_rate": (1e-5,), "seed": (0, 1)}).lines()[1].split() == [
        "learning_rate=1e-05", "0.6000", "+-", "0.1414", "0.5000", "+-", "0.1414",
    ]  # fmt: skip


def test_where_a_metric_is_good_when_low_the_lowest_is_the_best(tmp_path: Path) -> None:
    best = sweep(training([], metric="mse"), out=tmp_path, grid=GRID).best()
    assert best is not None
    assert best.values == {"learning_rate": 1e-5}


def test_seeds_alone_are_one_line(tmp_path: Path) -> None:
    train_one = training([])
    found = sweep(lambda folder, values: train_one(folder, {"learning_rate": 1e-5, **values}), out=tmp_path, grid={"seed": (0, 1)})
    assert found.lines()[1].split() == ["2", "seeds", "0.6000", "+-", "0.1414", "0.5000", "+-", "0.1414"]
    assert [folder.name for folder in sorted(tmp_path.iterdir()) if folder.is_dir()] == ["seed=0", "seed=1"]


def test_a_stopped_sweep_goes_on_and_finished_runs_are_not_run_again(tmp_path: Path) -> None:
    trained, told = list[str](), list[Event]()
    with pytest.raises(KeyboardInterrupt):
        sweep(training(trained, stop_at="learning_rate=3e-05,seed=0"), out=tmp_path, grid=GRID)
    assert len(json.loads((tmp_path / "sweep.json").read_text())["runs"]) == 2
    found = sweep(training(trained), out=tmp_path, grid=GRID, observers=[told.append])
    assert trained == [run.name for run in found.runs]
    assert len(trained) == 4
    assert [str(event.values["text"]).endswith("(finished before)") for event in told] == [True, True, False, False]
    assert found.to_json() == sweep(training([]), out=tmp_path / "straight", grid=GRID).to_json()


def test_finished_runs_are_asked_for_first_and_the_runs_keep_the_order_of_their_values(tmp_path: Path) -> None:
    sweep(training([]), out=tmp_path, grid={"learning_rate": (3e-5,), "seed": (0, 1)})
    asked, train_one = list[str](), training([])

    def train(folder: Path, values: dict[str, Any]) -> FinetuneResult:
        asked.append(folder.name)
        return train_one(folder, values)

    found = sweep(train, out=tmp_path, grid=GRID)
    names = [run.name for run in found.runs]
    assert asked == [*names[2:], *names[:2]]
    assert names == [f"learning_rate={rate},seed={seed}" for rate in (1e-5, 3e-5) for seed in (0, 1)]


def test_a_process_that_does_not_lead_trains_and_is_silent(tmp_path: Path) -> None:
    trained, told = list[str](), list[Event]()
    sweep(training(trained), out=tmp_path, grid=GRID, observers=[told.append], leads=False)
    assert len(trained) == 4
    assert told == []
    assert not (tmp_path / "sweep.json").exists()


def test_what_cannot_be_a_sweep_s_folder(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(InputError, match="holds a single run"):
        sweep(training([]), out=tmp_path / "run", grid=GRID)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    with pytest.raises(InputError, match="holds a model"):
        sweep(training([]), out=tmp_path / "model", grid=GRID)
    with pytest.raises(ValueError, match="several values"):
        sweep(training([]), out=tmp_path / "none", grid={})


def test_a_value_with_slashes_stays_one_folder(tmp_path: Path) -> None:
    train_one = training([])
    grid = {"metric": ("a/b",), "seed": (0,)}
    sweep(lambda folder, values: train_one(folder, {"learning_rate": 1e-5, **values}), out=tmp_path, grid=grid)
    assert (tmp_path / "metric=a_b,seed=0" / "results.json").exists()

"""A loop takes for the best what its judge says, ends where evaluations get no better, and both are exact over a resume."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from bertwright.checkpoints.run_folder import RunFolder
from bertwright.training.state import TrainState

SCORES = {2: 0.5, 4: 0.7, 6: 0.6, 8: 0.65, 10: 0.9, 12: 0.8}
FILES = ("model.safetensors", "training/optimizer.safetensors")


def scored(scores: Mapping[int, float]) -> Callable[[Any], dict[str, float]]:
    """Evaluations by the updates that the weights have really seen."""
    return lambda run: {"eval_loss": 1.0, "eval_accuracy": scores[run.updates()]}


def accuracy(metrics: dict[str, float]) -> float:
    return -metrics["eval_accuracy"]


def notes(run: Any) -> list[str]:
    return [str(event.values["text"]) for event in run.told if event.kind == "note"]


def test_training_ends_where_patience_does_and_the_best_is_by_the_judge(tiny_run: Callable[[str], Any]) -> None:
    run = tiny_run("a")
    state = run.train(evaluate=scored(SCORES), steps=12, judge=accuracy, patience=2)
    assert (state.progress.step, state.best, state.best_step, state.evaluations_since_best) == (8, -0.7, 4, 2)
    assert notes(run) == ["stopped early after step 8: none of 2 evaluations was better than that of step 4"]
    folder = RunFolder(run.folder)
    assert [path.name for path in (folder.read_best(), folder.read_latest()) if path] == ["step-000004", "step-000008"]
    again = tiny_run("a")
    assert again.train(evaluate=scored(SCORES), steps=12, judge=accuracy, patience=2) == state
    assert again.told == [], "it was finished"


def test_with_more_patience_it_goes_on_to_what_comes_later(tiny_run: Callable[[str], Any]) -> None:
    state = tiny_run("a").train(evaluate=scored(SCORES), steps=12, judge=accuracy, patience=3)
    assert (state.progress.step, state.best_step, state.evaluations_since_best) == (12, 10, 1)


def test_the_loss_is_the_judge_where_none_is_given(tiny_run: Callable[[str], Any]) -> None:
    losses = {2: 0.9, 4: 0.3, 6: 0.5}
    state = tiny_run("a").train(evaluate=lambda run: {"eval_loss": losses[run.updates()], "eval_accuracy": 0.0}, steps=6)
    assert (state.best, state.best_step, state.progress.step) == (0.3, 4, 6)


def test_an_evaluation_that_is_no_number_is_no_better(tiny_run: Callable[[str], Any]) -> None:
    run = tiny_run("a")
    state = run.train(evaluate=scored(dict.fromkeys(SCORES, float("nan"))), steps=12, judge=accuracy, patience=2)
    assert (state.progress.step, state.best_step) == (4, 0)
    assert notes(run) == ["stopped early after step 4: no evaluation gave a number"]


@pytest.mark.parametrize("stop_at", [3, 6, 7])
def test_a_stopped_run_has_as_much_patience_left(differences: Callable[..., list[str]], stop_at: int) -> None:
    assert differences(stop_at, FILES, evaluate=scored(SCORES), steps=12, judge=accuracy, patience=2) == []


def test_the_state_of_a_checkpoint_written_before_there_was_a_judge_is_read(tiny_run: Callable[[str], Any]) -> None:
    run = tiny_run("a")
    state = run.train(evaluate=scored(SCORES), steps=4, judge=accuracy)
    saved = state.to_json(run.updater)
    assert TrainState.from_json(json.loads(json.dumps(saved))) == state
    old = {"progress": saved["progress"], "best_loss": 1.5, "metrics": {}, "loss_scale": [1.0, 0]}
    assert TrainState.from_json(old) == TrainState(state.progress, best=1.5)
    assert TrainState.from_json({**old, "best_loss": None}).best == float("inf")

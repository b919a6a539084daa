"""Which evaluation is the best."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bertwright.data.labelled.examples import TASKS, TaskName
from bertwright.errors import InputError
from bertwright.training.finetune_config import FinetuneConfig
from bertwright.training.finetuning import finetune
from bertwright.training.judging import LOWER_IS_BETTER, METRICS, judge, metric_problems


def test_a_higher_metric_is_better_and_a_lower_loss_too() -> None:
    assert judge("accuracy", {"eval_accuracy": 0.9}) < judge("accuracy", {"eval_accuracy": 0.8})
    for name in LOWER_IS_BETTER:
        assert judge(name, {f"eval_{name}": 0.2}) < judge(name, {f"eval_{name}": 0.3})


def test_a_tie_goes_to_the_lower_loss_and_a_row_more_outweighs_any_loss() -> None:
    even = [judge("accuracy", {"eval_accuracy": 0.9, "eval_loss": loss}) for loss in (0.1, 0.2)]
    assert even[0] < even[1]
    assert judge("accuracy", {"eval_accuracy": 0.9 + 1e-5, "eval_loss": 30.0}) < even[0]


def test_a_metric_that_the_data_does_not_give_is_named_with_those_it_does() -> None:
    with pytest.raises(InputError, match="metric is 'auc', and the validation rows give loss, accuracy"):
        judge("auc", {"eval_loss": 0.1, "eval_accuracy": 0.9})


@pytest.mark.parametrize("task", TASKS)
def test_an_unknown_metric_is_one_line_for_every_task(task: TaskName) -> None:
    assert metric_problems(task, METRICS[task][0]) == []
    (line,) = metric_problems(task, "foo")
    assert METRICS[task][0] in line


def test_an_unknown_metric_is_refused_before_anything_is_written(tmp_path: Path, start: Callable[[str], Path]) -> None:
    (tmp_path / "train.csv").write_text(
        "text,label\n" + "".join(f"bar {word} {number},{word}\n" for number in range(8) for word in ("ban", "ber")), encoding="utf-8"
    )
    with pytest.raises(InputError, match="metric is 'spearman': task classify gives accuracy"):
        finetune(start("bert"), tmp_path / "train.csv", out=tmp_path / "run", config=FinetuneConfig(metric="spearman"))
    assert not (tmp_path / "run").exists()

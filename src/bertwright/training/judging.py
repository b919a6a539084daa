"""Which of a training's evaluations is the best: by a metric that a task gives, whether high or low is good."""

from collections.abc import Mapping

from bertwright.data.labelled.examples import TaskName
from bertwright.errors import InputError

_OF_LABELS = ("accuracy", "f1_macro", "f1_micro", "precision_macro", "recall_macro", "auc", "loss")
# The metrics that a checkpoint can be chosen by; the first ones are the usual ones.
METRICS: Mapping[TaskName, tuple[str, ...]] = {
    "classify": (*_OF_LABELS, "balanced_accuracy", "f1_weighted", "mcc", "f1", "precision", "recall", "calibration_error", "f1_samples", "hamming_loss"),
    "regress": ("spearman", "pearson", "r2", "mse", "mae", "loss"),
    "tag": ("f1", "precision", "recall", "f1_macro", "accuracy", "loss"),
    "answer": ("f1", "exact_match", "loss"),
    "choice": ("accuracy", "loss"),
    "embed": ("spearman", "pearson", "mrr", "ndcg@10", "recall@1", "recall@5", "recall@10", "triplet_accuracy", "loss"),
    "generate": ("chrf", "bleu", "rouge1", "rouge2", "rougeL", "exact_match", "perplexity", "loss"),
}
LOWER_IS_BETTER = frozenset({"loss", "mse", "mae", "perplexity", "calibration_error", "hamming_loss"})
# Share of the loss in what evaluations are compared by: less than one row more or less of a million makes of a metric.
TIE = 1e-7


def metric_problems(task: TaskName, metric: str | None) -> list[str]:
    """One line where a task has no metric of this name; empty otherwise."""
    if metric is None or metric in METRICS[task]:
        return []
    return [f"metric is {metric!r}: task {task} gives {', '.join(METRICS[task])}"]


def judged_first(metrics: Mapping[str, float], metric: str) -> dict[str, float]:
    """The metrics in their order, but the one that is judged by at the front, where this data gives it."""
    return dict(sorted(metrics.items(), key=lambda item: item[0] != metric))


def judge(metric: str, metrics: Mapping[str, float]) -> float:
    """Lower is better: the metric, turned round where high is good, and where two evaluations have the same, the loss.

    Raises InputError where this data gives no such metric, such as the area under the curve of labels that do not occur.
    """
    value = metrics.get(f"eval_{metric}")
    if value is None:
        found = ", ".join(name.removeprefix("eval_") for name in metrics if name.startswith("eval_"))
        raise InputError(f"metric is {metric!r}, and the validation rows give {found}: take one of these")
    return (value if metric in LOWER_IS_BETTER else -value) + TIE * min(metrics.get("eval_loss", 0.0), 1.0 / TIE)

"""Numbers and names as a reader wants them."""

import json
import math
from collections.abc import Mapping
from typing import Any

NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "f1_macro": "F1, macro",
    "f1_micro": "F1, micro",
    "f1_weighted": "F1, weighted",
    "precision_macro": "precision, macro",
    "recall_macro": "recall, macro",
    "mcc": "Matthews correlation",
    "matthews_correlation": "Matthews correlation",
    "auc": "area under ROC",
    "auc_macro": "area under ROC",
    "roc_auc": "area under ROC",
    "calibration_error": "calibration error",
    "ece": "calibration error",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "exact_match": "exact match",
    "mrr": "MRR",
    "bleu": "BLEU",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "rouge_l": "ROUGE-L",
    "loss": "loss",
    "mlm_loss": "masked-token loss",
    "nsp_loss": "next-sentence loss",
    "mlm_accuracy": "masked-token accuracy",
    "nsp_accuracy": "next-sentence accuracy",
    "sop_loss": "sentence-order loss",
    "sop_accuracy": "sentence-order accuracy",
    "rtd_loss": "replaced-token loss",
    "rtd_accuracy": "replaced-token accuracy",
}
TASKS = {
    "classify": "classification",
    "regress": "regression",
    "tag": "tagging",
    "answer": "question answering",
    "choice": "multiple choice",
    "embed": "embeddings",
    "generate": "text generation",
}


def named(metric: str) -> str:
    """`eval_f1_macro` -> `F1, macro`."""
    bare = metric.removeprefix("eval_")
    return NAMES.get(bare, bare.replace("_", " "))


def number(value: Any, digits: int = 4) -> str:
    """A number of any size in `digits` significant figures; a dash for none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if abs(value) < 1e-12:  # what is left of rounding
        return "0"
    if value == int(value) and (isinstance(value, int) or 1 < abs(value) < 1e15):
        return f"{int(value):,}"
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.{max(digits - 2, 0)}e}"
    return f"{value:,.{max(digits - 1 - max(math.floor(math.log10(abs(value))), -1), 0) if value else 0}f}"


def titled(name: str) -> str:
    """A name as a heading: its first letter large."""
    return name[:1].upper() + name[1:]


def share(value: float) -> str:
    """0.1234 -> 12.3%."""
    return f"{value:.1%}"


def bounds(ends: Any) -> tuple[float, float] | None:
    """[low, high] as numbers; None for anything else."""
    usable = isinstance(ends, list | tuple) and len(ends) == 2 and all(isinstance(end, int | float) and math.isfinite(end) for end in ends)
    return (float(ends[0]), float(ends[1])) if usable else None


def interval(ends: Any, digits: int = 3) -> str:
    """[low, high] -> "0.871 to 0.912"; empty for anything else."""
    found = bounds(ends)
    return "" if found is None else f"{number(found[0], digits)} to {number(found[1], digits)}"


def seconds(value: float | None) -> str:
    """93.4 -> 1 min 33 s."""
    if value is None:
        return "–"
    if value < 60:
        return f"{value:.1f} s"
    whole = round(value)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(value: float | None) -> str:
    """Bytes as a person counts them."""
    if value is None:
        return "–"
    for unit, step in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= step:
            return f"{value / step:,.1f} {unit}"
    return f"{value:.0f} bytes"


def setting(value: Any) -> str:
    """A value of a config in one line."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | tuple | dict) else str(value)


def place(where: Any) -> str:
    """Where a row stands, without the folders of its file: "../data/dev.csv, line 3" -> "dev.csv, line 3"."""
    return str(where).rsplit("/", 1)[-1]


def ticks(low: float, high: float, count: int = 5) -> list[tuple[float, str]]:
    """Round numbers on an axis from low to high: their places, as shares of it, and texts."""
    if not high > low:
        return [(0.0, number(low, 3))]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * round_number for round_number in (1, 2, 2.5, 5, 10) if power * round_number >= raw)
    first = math.ceil(low / step) * step
    places = [first + step * place for place in range(int((high - first) / step + 1e-9) + 1)]
    return [((place - low) / (high - low), f"{place:,.6g}") for place in places]


def many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shortened(text: str, limit: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as one of names with dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat

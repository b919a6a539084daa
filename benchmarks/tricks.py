"""What each of the tricks of fine-tuning gives: the same recipe plain and with one of them, over several seeds, as a table of paired differences.

    python benchmarks/tricks.py WEIGHTS TRAIN --validation FILE --test FILE [--config recipes/emotion.yaml] [--seeds 3] [--metric accuracy]

A run that has finished in --out is not trained again.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from measurement import WORK, bertwright, describe_machine, table, write_results
from scipy import stats

PLAIN = "plain"
TRICKS = {
    PLAIN: (),
    "label smoothing 0.1": ("--label_smoothing", "0.1"),
    "layer-wise decay 0.9": ("--layer_learning_rate_decay", "0.9"),
    "EMA 0.99": ("--ema_decay", "0.99"),
    "R-Drop 1": ("--r_drop", "1"),
    "FGM": ("--adversarial", "fgm"),
    "PGD": ("--adversarial", "pgd"),
}


def main() -> None:
    options = _options()
    scores = {}
    for name in TRICKS:
        folder = options.out / name.replace(" ", "-")
        given = [options.weights, options.train, "--validation", options.validation, "--test", options.test, "--config", options.config]
        bertwright("finetune", *map(str, given), *TRICKS[name], "--seeds", str(options.seeds), "--out", str(folder))
        scores[name] = scores_of(folder, options.metric)
    print(describe_machine() + "\n")
    print(table((f"test {options.metric}, {options.seeds} seeds", "mean", "deviation", "above plain", "95% interval"), rows(scores)))
    write_results(options.results, {name: found.tolist() for name, found in scores.items()})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="a checkpoint to start from")
    parser.add_argument("train", type=Path, help="labelled rows")
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path("recipes/emotion.yaml"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--metric", default="accuracy")
    parser.add_argument("--out", type=Path, default=WORK / "tricks", help="folder of the runs")
    parser.add_argument("--results", type=Path, default=WORK / "tricks.json")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("an interval needs two seeds or more")
    return options


def scores_of(folder: Path, metric: str) -> np.ndarray:
    """The metric on the test rows of each seed of a finished command, in the order of the seeds."""
    runs = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))["runs"]
    return np.array([run["metrics"]["test"][metric] for run in sorted(runs, key=lambda run: run["values"]["seed"])])


def rows(scores: dict[str, np.ndarray]) -> list[tuple[str, ...]]:
    """Each trick beside the plain recipe. The interval is Student's, of the differences seed by seed: order of the rows and dropout begin alike in both."""
    plain, found = scores[PLAIN], []
    for name, own in scores.items():
        shown = (name, f"{own.mean():.4f}", f"{own.std(ddof=1):.4f}")
        gains = own - plain
        half = stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5
        beside = ("", "") if name == PLAIN else (f"{gains.mean():+.4f}", f"{gains.mean() - half:+.4f} to {gains.mean() + half:+.4f}")
        found.append((*shown, *beside))
    return found


if __name__ == "__main__":
    main()

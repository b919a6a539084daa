"""What pre-training runs reached: a table of their held-out losses beside chance, and a picture of the losses as they fell.

    python benchmarks/recipe_curves.py RUN [RUN ...] [--plot docs/recipes.png]

The dashed line of each picture is the loss of a model that knows only how frequent each answer is.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from measurement import WORK, describe_machine, table, write_results

# The loss that says most of an objective, by the name it is measured under.
PREDICTED = {"rtd": "rtd", "clm": "clm", "span_corruption": "span_corruption", "prefix_lm": "prefix_lm", "denoising": "denoising"}
COLUMNS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders of pre-training")
    parser.add_argument("--plot", type=Path, default=WORK / "recipes.png")
    parser.add_argument("--results", type=Path, default=WORK / "recipe_curves.json")
    options = parser.parse_args()
    found = [read(run) for run in options.runs]
    print(describe_machine() + "\n")
    print(table(("run", "objective", "steps", "seconds", "loss", "beside"), [_row(one) for one in found]))
    _plot(found, options.plot)
    write_results(options.results, {one["name"]: one for one in found})


def read(run: Path) -> dict[str, Any]:
    """The held-out losses of a run [evaluations], the seconds of training before each, and what they are to be held against."""
    objective = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["objective"]
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    trained, measured = ([record for record in records if record["kind"] == kind] for kind in ("train", "evaluate"))
    if not trained or not measured:
        raise SystemExit(f"{run}: nothing was measured on held-out text")
    key = f"eval_{PREDICTED.get(objective, 'mlm')}_loss"
    seconds = np.interp([one["step"] for one in measured], [0, *(one["step"] for one in trained)], [0.0, *(one["seconds"] for one in trained)])
    beside, said = _beside(objective, trained, measured[-1])
    return {
        "name": run.name,
        "objective": objective,
        "steps": measured[-1]["step"],
        "seconds": seconds.tolist(),
        "losses": [one[key] for one in measured],
        "beside": beside,
        "said": said,
    }


def _beside(objective: str, trained: list[dict[str, Any]], last: dict[str, Any]) -> tuple[float, str]:
    """The loss of a model that knows only how frequent each answer is."""
    if objective != "rtd":
        return last["unigram_entropy"], f"word frequencies alone {last['unigram_entropy']:.3f}, chance {last['chance_loss']:.3f}"
    from bertwright.evaluation.pretraining import saying_none

    right, loss = saying_none([one["replaced"] for one in trained])
    return loss, f"their share alone {loss:.3f} ({1 - right:.1%} replaced)"


def _row(one: dict[str, Any]) -> list[str]:
    return [one["name"], one["objective"], f"{one['steps']:,}", f"{one['seconds'][-1]:.0f}", f"{one['losses'][-1]:.3f}", one["said"]]


def _plot(found: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = math.ceil(len(found) / COLUMNS)
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(3 * COLUMNS, 2.4 * rows), squeeze=False, layout="constrained")
    for place, one in zip(axes.flat, found, strict=False):
        place.plot([seconds / 60 for seconds in one["seconds"]], one["losses"], marker="o", markersize=3)
        place.axhline(one["beside"], linestyle="--", color="grey", linewidth=1)
        place.set_title(f"{one['name']} ({one['objective']})", fontsize=9)
        place.set_xlabel("minutes", fontsize=8)
        place.tick_params(labelsize=8)
    for place in axes.flat[len(found) :]:
        place.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()

"""What the recipe `recipes/d2l-bert.yaml` gave, in the words of the book's chapter: losses, pairs a second, their plot, and the vectors of a word in two texts.

    python benchmarks/d2l_report.py RUN [--plot docs/d2l-bert.png]

The run must have written every step (logging_steps: 1, as the recipe says).
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from measurement import WORK, describe_machine, table, write_results

WORD = "crane"
TEXTS: tuple[tuple[str, str | None], ...] = (("a crane is flying", None), ("a crane driver came", "he just left"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of the recipe")
    parser.add_argument("--plot", type=Path, default=Path(__file__).resolve().parents[1] / "docs" / "d2l-bert.png")
    parser.add_argument("--results", type=Path, default=WORK / "d2l_report.json")
    options = parser.parse_args()
    records = [json.loads(line) for line in (options.run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    losses, speed = _losses(records), _pairs_per_second(records)
    vectors = _vectors(options.run)
    print(describe_machine() + "\n")
    rows = [[name, f"{values['mean']:.3f}", f"{values['last']:.3f}", _form(values["held_out"])] for name, values in losses.items()]
    print(table((f"loss over {losses['MLM']['steps']:.0f} steps, nats", "mean", "last step", "held-out, at the end"), rows))
    print(f"\n{speed:,.0f} pairs/s\n")
    for said in vectors:
        print(f'"{WORD}" in {said["text"]}: token vectors {said["shape"]}, [CLS] {said["cls_shape"]}, "{WORD}" {said["first"]} ...')
    _plot(options.run, options.plot)
    write_results(options.results, {"losses": losses, "pairs_per_second": speed, "vectors": vectors})


def _losses(records: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Mean and last of each loss over the steps, and the last held-out one. Raises SystemExit when steps are missing."""
    steps = [record for record in records if record["kind"] == "train"]
    if [record["step"] for record in steps] != list(range(1, len(steps) + 1)):
        raise SystemExit("metrics.jsonl does not hold every step: train with --logging_steps 1")
    found: dict[str, dict[str, float | None]] = {}
    for name, key in (("MLM", "mlm_loss"), ("NSP", "nsp_loss")):
        values = [float(record[key]) for record in steps]
        held_out = [float(record[f"eval_{key}"]) for record in records if f"eval_{key}" in record]
        found[name] = {"mean": statistics.mean(values), "last": values[-1], "held_out": held_out[-1] if held_out else None, "steps": len(values)}
    return found


def _pairs_per_second(records: list[dict[str, Any]]) -> float:
    """Over all steps but the first, whose begin nobody sees."""
    steps = [record for record in records if record["kind"] == "train"]
    return float((steps[-1]["samples"] - steps[0]["samples"]) / (steps[-1]["seconds"] - steps[0]["seconds"]))


def _vectors(run: Path) -> list[dict[str, Any]]:
    import bertwright

    predictor, found = bertwright.load(run), []
    for first, second in TEXTS:
        encoded = predictor.encode(first, second)
        vector = encoded.token_vectors[encoded.tokens.index(WORD)]
        text = f'"{first}"' if second is None else f'"{first}" / "{second}"'
        shapes = {"shape": list(encoded.token_vectors.shape), "cls_shape": list(encoded.cls_vector.shape)}
        found.append({"text": text, "tokens": list(encoded.tokens), **shapes, "first": [round(value, 4) for value in vector[:3].tolist()]})
    return found


def _plot(run: Path, path: Path) -> None:
    from bertwright.reports.figures import draw_run

    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"\nboth losses drawn in {draw_run(run, path=path, title='Dive into Deep Learning: BERT, 50 steps')}")


def _form(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()

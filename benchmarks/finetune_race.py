"""Fine-tuning with bertwright and with transformers.Trainer in turn: the same weights, rows, epochs, batch size and learning rate.

    python benchmarks/finetune_race.py --name emotion --data ../shared/data --weights FOLDER [--epochs 2 --batch_size 32 --learning_rate 1e-4 --seeds 0]

Each side is a process of its own, one after the other, the order turned round from seed to seed. The seconds run from the call of the training to an
evaluation's end, tokenisation and loading included on our side and not on the rival's. Printed: the metric after each epoch, the seconds until our side is
as good as the rival's best, their ratio, and the peak memory of both processes.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from finetune_beside_trainer import CASES

HERE = Path(__file__).resolve().parent


def main() -> None:
    options = _options()
    if options.ours:
        print(json.dumps(ours(options, seed=options.seeds[0])), flush=True)
        return
    for turn, seed in enumerate(options.seeds):
        order = ("rival", "ours") if turn % 2 == 0 else ("ours", "rival")
        found = {side: _in_a_process(side, options, seed) for side in order}
        print(json.dumps(found), file=sys.stderr, flush=True)
        print("\n".join(table(found["rival"], found["ours"], CASES[options.name].metric, seed)), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="emotion", choices=CASES, help="the data set to train on")
    parser.add_argument("--data", type=Path, default=HERE / "../../shared/data", help="folder of the data sets")
    parser.add_argument("--weights", required=True, help="a Hugging Face model folder to start from")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--learning_rate", type=float, default=1e-4)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0], help="0,1,2")
    parser.add_argument("--ours", action="store_true", help="run our side alone and print one JSON line")
    return parser.parse_args()


def ours(options: argparse.Namespace, *, seed: int) -> dict[str, Any]:
    """bertwright's side: the evaluations with their seconds, the seconds of all, and the process' peak memory in bytes."""
    import bertwright

    evaluations: list[dict[str, Any]] = []
    started = time.perf_counter()

    class Clock(bertwright.Callback):
        def on_evaluate(self, event: Any) -> None:
            metrics = {name.removeprefix("eval_"): value for name, value in event.values.items()}
            evaluations.append({"seconds": time.perf_counter() - started, "metrics": metrics})

    case = CASES[options.name]
    with tempfile.TemporaryDirectory() as folder:
        bertwright.finetune(
            options.weights,
            options.data / case.folder,
            out=Path(folder) / "run",
            report=False,
            observers=[Clock()],
            num_train_epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            seed=seed,
            **case.config,
        )
    return {
        "evaluations": evaluations,
        "seconds": time.perf_counter() - started,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _in_a_process(side: str, options: argparse.Namespace, seed: int) -> dict[str, Any]:
    shared = ["--data", options.data, "--weights", options.weights, "--epochs", options.epochs, "--batch_size", options.batch_size]
    shared += ["--learning_rate", options.learning_rate, "--seeds", seed]
    script = ["finetune_race.py", "--ours", "--name", options.name] if side == "ours" else ["finetune_beside_trainer.py", "--rival", options.name]
    command = [sys.executable, HERE / script[0], *script[1:], *shared]
    done = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(rival: dict[str, Any], ours: dict[str, Any], metric: str, seed: int) -> list[str]:
    """Markdown: a line for each evaluation of each side, then what the comparison says."""
    lines = [f"| seed {seed} | {metric} after each epoch | seconds then | peak memory, MB |", "| --- | --- | --- | ---: |"]
    for name, side in (("transformers.Trainer", rival), ("bertwright", ours)):
        values = ", ".join(f"{each['metrics'][metric]:.4f}" for each in side["evaluations"])
        seconds = ", ".join(f"{each['seconds']:.0f}" for each in side["evaluations"])
        lines.append(f"| {name} | {values} | {seconds} | {side['peak_memory_bytes'] / 1e6:,.0f} |")
    best = max(rival["evaluations"], key=lambda each: each["metrics"][metric])
    reached = next((each for each in ours["evaluations"] if each["metrics"][metric] >= best["metrics"][metric]), None)
    if reached is None:
        return [*lines, f"the rival's best, {best['metrics'][metric]:.4f}, was not reached"]
    return [*lines, f"the rival's best, {best['metrics'][metric]:.4f}, is reached in 1 / {best['seconds'] / reached['seconds']:.2f} of its time"]


if __name__ == "__main__":
    main()

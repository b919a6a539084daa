"""Masked loss after minutes of `bertwright pretrain`, measured by a script of somebody else's.

    python benchmarks/yardstick.py --train train.txt --valid valid.txt --vocab vocab.txt --scorer score.py
        [--minutes 1.5 10] [--seeds 0 1 2] [-- PRETRAIN OPTIONS]

The texts are WikiText's; the scorer is called as `python SCORER FOLDER` with a Hugging Face folder, and the first number behind "loss" that it prints is taken.
Everything else is `bertwright prepare` and `bertwright pretrain` as a user types them; options behind "--" go to pretrain as they are.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from measurement import WORK, bertwright, describe_machine, table, with_spread, write_results

LOSS = re.compile(r"loss\D*?(\d+\.\d+)")


def main() -> None:
    options = _options()
    shards = options.work / "yardstick-shards"
    reading = ("--documents", "heading", "--unknown_marker", "<unk>", "--overwrite")
    bertwright("prepare", str(options.train), "--validation_files", str(options.valid), "--tokenizer", str(options.vocab), *reading, "--out", str(shards))
    losses: dict[str, list[float]] = {}
    said = []
    for minutes in options.minutes:
        for seed in options.seeds:
            loss, wall, tokens = _train(shards, options, minutes=minutes, seed=seed)
            losses.setdefault(f"{minutes * 60:g} s", []).append(loss)
            said.append({"minutes": minutes, "seed": seed, "masked_loss": loss, "wall_seconds": wall, "tokens": tokens})
            print(f"  {minutes * 60:g} s, seed {seed}: masked loss {loss:.4f}, {wall:.0f} s in all, {tokens:,.0f} tokens", file=sys.stderr)
    print(describe_machine() + "\n")
    header = ("training", f"masked loss, {len(options.seeds)} seeds", "each")
    print(table(header, [[budget, with_spread(found, ".3f"), ", ".join(f"{loss:.3f}" for loss in found)] for budget, found in losses.items()]))
    write_results(options.work / "yardstick.json", {"options": options.pretrain, "runs": said})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, what in (("train", "training text"), ("valid", "held-out text"), ("vocab", "vocab.txt"), ("scorer", "script that scores a folder")):
        parser.add_argument(f"--{name}", type=Path, required=True, help=what)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.5, 10.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--model", default="bert-mini")
    parser.add_argument("--objective", default="mlm")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("pretrain", nargs="*", help="options for bertwright pretrain, behind --")
    return parser.parse_args()


def _train(shards: Path, options: argparse.Namespace, *, minutes: float, seed: int) -> tuple[float, float, float]:
    """Masked loss of the run's checkpoint, seconds of the command from start to end, tokens read."""
    run = options.work / f"yardstick-{minutes:g}-{seed}"
    shutil.rmtree(run, ignore_errors=True)
    start = time.perf_counter()
    asked = ("--model", options.model, "--objective", options.objective, "--max_minutes", str(minutes), "--seed", str(seed), *options.pretrain)
    said = json.loads(bertwright("pretrain", str(shards), "--out", str(run), "--json", *asked))
    wall = time.perf_counter() - start
    scored = subprocess.run([sys.executable, options.scorer, said["checkpoint"]], check=True, capture_output=True, text=True).stdout
    if not (found := LOSS.search(scored)):
        raise SystemExit(f"{options.scorer} printed no loss: {scored}")
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return float(found[1]), wall, float(max(record.get("tokens", 0) for record in records))


if __name__ == "__main__":
    main()

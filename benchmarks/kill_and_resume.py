"""A training killed (SIGKILL) at random moments, begun again by the same command each time, beside the same training left alone: are the bits the same?

    python benchmarks/kill_and_resume.py [--kills 20] [--steps 600] [--seed 0]

Dropout and accumulation are on. Some of the kills fall into the start of the process, most into the training and its checkpoints. Compared are the final
weights and optimizer, byte by byte, and every loss of metrics.jsonl. Exits with 1 when anything differs, or when the training ended before the last kill.
"""

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from measurement import BERTWRIGHT, WORK, describe_machine, prepared, table, write_results

EARLY_SHARE = 0.2  # of the kills come before the first step
FILES = ("model.safetensors", "training/optimizer.safetensors")
# What depends on the clock and not on the training.
CLOCK = frozenset({"tokens_per_second", "seconds", "seconds_left"})


def main() -> int:
    options = _options()
    work = options.work / "kill-and-resume"
    shards = options.shards or prepared([], work=options.work, vocab_size=8192)
    shutil.rmtree(work, ignore_errors=True)
    calm, stormy = work / "undisturbed", work / "killed"
    start, whole = _undisturbed(_command(shards, calm, options), calm)
    kills = _killed(_command(shards, stormy, options), stormy, kills=options.kills, start=start, whole=whole, seed=options.seed)
    compared: dict[str, tuple[object, object]] = {name: (_hash(calm, name), _hash(stormy, name)) for name in FILES}
    compared["losses of metrics.jsonl"] = (_losses(calm), _losses(stormy))
    same = {name: left == right for name, (left, right) in compared.items()}
    print(describe_machine() + "\n")
    print(
        table(("after " + f"{len(kills)} kills in {options.steps} steps", "the same bits"), [[name, "yes" if equal else "NO"] for name, equal in same.items()])
    )
    write_results(options.work / "kill_and_resume.json", {"steps": options.steps, "kills": kills, "undisturbed_seconds": whole, "same": same})
    if len(kills) < options.kills:
        print(f"the training came to its end after {len(kills)} of {options.kills} kills: give more --steps", file=sys.stderr)
    return 0 if all(same.values()) and len(kills) == options.kills else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, help="a folder that bertwright prepare wrote; by default the documentation of the running Python")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0, help="draws the moments")
    parser.add_argument("--work", type=Path, default=WORK)
    return parser.parse_args()


def _command(shards: Path, run: Path, options: argparse.Namespace) -> list[str]:
    settings: dict[str, object] = {
        "model": "bert-tiny",
        "objective": "mlm+nsp",
        "max_steps": options.steps,
        "max_seq_length": 64,
        "batch_size": 16,
        "micro_batch_size": 8,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "save_steps": max(1, options.steps // 60),
        "eval_steps": max(1, options.steps // 8),
        "eval_samples": 16,
        "logging_steps": 1,
    }
    return [*BERTWRIGHT, "pretrain", str(shards), "--out", str(run), *(word for name, value in settings.items() for word in (f"--{name}", str(value)))]


def _undisturbed(command: list[str], run: Path) -> tuple[float, float]:
    """Seconds to the first step, and to the end."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None and not (run / "metrics.jsonl").exists():
        time.sleep(0.01)
    first = time.perf_counter() - began
    if process.wait():
        raise SystemExit(f"the undisturbed training failed with exit code {process.returncode}")
    return first, time.perf_counter() - began


def _killed(command: list[str], run: Path, *, kills: int, start: float, whole: float, seed: int) -> list[dict[str, float]]:
    """Kills until there were `kills`, then lets the training end; returns when each kill came. Raises SystemExit when a training fails by itself."""
    draw = random.Random(seed)
    done: list[dict[str, float]] = []
    # All lives together do about half of the training, less what each kill throws away.
    longest = 1.2 * (whole - start) / max(kills, 1)
    while len(done) < kills:
        early, began = draw.random() < EARLY_SHARE, time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        if not early:
            _await_training(process, run)
        try:
            code: int | None = process.wait(timeout=draw.uniform(0.1, 0.9) * start if early else draw.uniform(0, longest))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            done.append({"after_seconds": round(time.perf_counter() - began, 3), "step": _step(run)})
            print(f"  kill {len(done)} after {done[-1]['after_seconds']:.2f} s, {done[-1]['step']} steps done", file=sys.stderr)
            continue
        if code:
            raise SystemExit(f"the training failed with exit code {code} after {len(done)} kills")
        break
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return done


def _await_training(process: subprocess.Popen[bytes], run: Path) -> None:
    """Until metrics.jsonl is touched: a resume cuts it back just before its first step."""
    path = run / "metrics.jsonl"
    before = path.stat().st_mtime_ns if path.exists() else 0
    while process.poll() is None and not (path.exists() and path.stat().st_mtime_ns != before):
        time.sleep(0.005)


def _step(run: Path) -> int:
    """The last step that metrics.jsonl tells of."""
    path = run / "metrics.jsonl"
    whole = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")] if path.exists() else []
    return int(json.loads(whole[-1])["step"]) if whole else 0


def _hash(run: Path, name: str) -> str:
    latest = run / "checkpoints" / (run / "latest").read_text(encoding="utf-8").strip()
    return hashlib.sha256((latest / name).read_bytes()).hexdigest()


def _losses(run: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in record.items() if key not in CLOCK} for record in records]


if __name__ == "__main__":
    sys.exit(main())

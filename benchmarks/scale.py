"""How time, memory and disk grow with the text, the model and the processes, and what `bertwright plan` says beforehand.

    python benchmarks/scale.py [--tokens 20000 200000 2000000 20000000] [--sizes tiny mini small medium] [--processes 1 2]

Text: each corpus is prepared and trained on for a few updates, in processes of their own; its documents are those of the running Python, repeated until they
suffice. Model: updates of each size, beside the seconds that `bertwright plan --device here` gives for as many tokens. Processes: one thread each, 32
rows an update for all of them together.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from measurement import BERTWRIGHT, WORK, describe_machine, prepared, table, write_results

VOCABULARY = 8192
STEPS, LEFT_OUT = 24, 4
BYTES_PER_TOKEN = 4.2  # of this text in this vocabulary, about


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="*", default=[20_000, 200_000, 2_000_000, 20_000_000])
    parser.add_argument("--sizes", nargs="*", default=["tiny", "mini", "small", "medium"])
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2])
    options = parser.parse_args()
    print(describe_machine() + "\n")
    shards = prepared([], work=WORK, vocab_size=VOCABULARY)
    results: dict[str, Any] = {}
    if options.tokens:
        results["text"] = [_text(count, shards) for count in options.tokens]
        header = ("tokens", "prepare, s", "its memory, MB", "disk, MB", "start, s", "an update, ms", "training's memory, MB")
        print(
            table(header, [[f"{value:,.{place}f}" for value, place in zip(row.values(), (0, 1, 0, 1, 1, 0, 0), strict=True)] for row in results["text"]]) + "\n"
        )
    if options.sizes:
        results["model"] = [_model(f"bert-{size}", shards) for size in options.sizes]
        header = ("model", "parameters", "planned, tokens/s", "measured, tokens/s", "planned / measured seconds")
        rows = [
            [row["model"], f"{row['parameters']:,}", f"{row['planned']:,.0f}", f"{row['measured']:,.0f}", f"{row['ratio']:.2f}"] for row in results["model"]
        ]
        print(table(header, rows) + "\n")
    if options.processes:
        results["processes"] = [_processes(count, shards) for count in options.processes]
        rows = [
            [str(row["processes"]), f"{row['measured']:,.0f}", f"{row['measured'] / results['processes'][0]['measured']:.2f}"] for row in results["processes"]
        ]
        print(table(("processes of one thread", "tokens/s", "times the first"), rows))
    write_results(WORK / "scale.json", results)


def _text(tokens: int, shards: Path) -> dict[str, float]:
    """Seconds, bytes and memory for a corpus of about so many tokens."""
    whole = (WORK / "documentation.txt").read_text(encoding="utf-8")
    wanted = int(tokens * BYTES_PER_TOKEN)
    corpus, folder = WORK / "scale.txt", WORK / "scale-shards"
    corpus.write_text((whole * (wanted // len(whole) + 1))[:wanted], encoding="utf-8")
    options = ("--tokenizer", str(shards / "tokenizer"), "--validation_fraction", "0.05", "--overwrite")
    seconds, peak = _measured("prepare", str(corpus), "--out", str(folder), *options)
    disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    real = json.loads((folder / "shards.json").read_text(encoding="utf-8"))["splits"]["train"]["tokens"]
    run = WORK / "scale-run"
    shutil.rmtree(run, ignore_errors=True)
    _, held = _measured("pretrain", str(folder), "--out", str(run), "--model", "bert-tiny", "--objective", "mlm", *_steps())
    records = _records(run)
    start = records[0]["seconds"] - (records[1]["seconds"] - records[0]["seconds"])  # without the first update, which takes as long as the second
    return {
        "tokens": real,
        "prepare": seconds,
        "prepare_mb": peak,
        "disk_mb": disk / 1e6,
        "start": max(0.0, start),
        "update": _update(records) * 1e3,
        "held_mb": held,
    }


def _steps() -> tuple[str, ...]:
    count = str(STEPS)
    return ("--max_steps", count, "--eval_steps", count, "--save_steps", count, "--logging_steps", "1")


def _measured(*arguments: str) -> tuple[float, float]:
    """Seconds and the most resident memory, in MB, of a command."""
    program = "import resource, runpy, sys; sys.argv = sys.argv[1:]\ntry:\n    runpy.run_module('bertwright', run_name='__main__', alter_sys=True)\nfinally:\n"
    program += "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program, "bertwright", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - begun, int(done.stderr.strip().splitlines()[-1]) * 1024 / 1e6


def _records(run: Path) -> list[dict[str, float]]:
    lines = (json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if "tokens_per_second" in line]


def _update(records: list[dict[str, float]]) -> float:
    """Seconds of the median update after the first."""
    return statistics.median(after["seconds"] - before["seconds"] for before, after in zip(records[LEFT_OUT:], records[LEFT_OUT + 1 :], strict=False))


def _model(name: str, shards: Path) -> dict[str, Any]:
    """What is planned for as many tokens as are then trained on."""
    tokens = 32 * 128 * STEPS
    sizes = ("--tokens", str(tokens), "--device", "here", "--batch_size", "32", "--vocab_size", str(VOCABULARY), "--objective", "mlm", "--json")
    said = subprocess.run([*BERTWRIGHT, "plan", "--model", name, *sizes], capture_output=True, text=True, check=True).stdout
    planned = json.loads(said)
    measured = _trained(name, shards, [*BERTWRIGHT], {})
    return {
        "model": name,
        "parameters": planned["parameters"],
        "planned": tokens / planned["seconds"],
        "measured": measured,
        "ratio": planned["seconds"] / tokens * measured,
    }


def _trained(name: str, shards: Path, command: list[str], environment: dict[str, str]) -> float:
    """Tokens/s of the median update."""
    run = WORK / "scale-run"
    shutil.rmtree(run, ignore_errors=True)
    asked = ("pretrain", str(shards), "--out", str(run), "--model", name, "--objective", "mlm", "--batch_size", "32", *_steps())
    subprocess.run([*command, *asked], capture_output=True, check=True, env={**os.environ, **environment})
    return 32 * 128 / _update(_records(run))


def _processes(count: int, shards: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(count), "-m", "bertwright"]
    return {"processes": count, "measured": _trained("bert-mini", shards, command, {"OMP_NUM_THREADS": "1"})}


if __name__ == "__main__":
    main()

"""How long a user waits: from `bertwright pretrain` on prepared shards to the end of the first step, and for `bertwright --help`.

    python benchmarks/start_up.py [--shards FOLDER] [--repeats 5] [--model bert-mini]

Processes start anew each time, with the files in the system's cache; one more of each goes first and is not counted. The first step has happened when its line
stands in metrics.jsonl, so its own time is in the number too. A bare `import torch` is measured beside them.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from measurement import BERTWRIGHT, WORK, describe_machine, prepared, table, with_spread, write_results

POLL_SECONDS = 0.005
LONGEST_WAIT = 300.0


def main() -> None:
    options = _options()
    shards = options.shards or prepared([], work=options.work, vocab_size=8192)
    options.work.mkdir(parents=True, exist_ok=True)
    script = Path(sys.executable).with_name("bertwright")
    shown = [str(script)] if script.exists() else list(BERTWRIGHT)
    seconds: dict[str, list[float]] = {"import torch": [], "bertwright --help": [], "bertwright pretrain, to the end of the first step": []}
    for repeat in range(options.repeats + 1):
        found = (_until_done([sys.executable, "-c", "import torch"]), _until_done([*shown, "--help"]), _first_step(shards, options.work, model=options.model))
        for values, value in zip(seconds.values(), found, strict=True):
            values += [value] if repeat else []
    print(describe_machine() + "\n")
    print(table(("seconds, median of " + str(options.repeats), ""), [[name, with_spread(values, ".2f")] for name, values in seconds.items()]))
    write_results(options.work / "start_up.json", {"model": options.model, "seconds": seconds})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, help="a folder that bertwright prepare wrote; by default the documentation of the running Python")
    parser.add_argument("--model", default="bert-mini")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--work", type=Path, default=WORK)
    return parser.parse_args()


def _until_done(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _first_step(shards: Path, work: Path, *, model: str) -> float:
    """Seconds until the first step is done; the training is then ended. Raises SystemExit when it never comes."""
    run = work / "start-up-run"
    shutil.rmtree(run, ignore_errors=True)
    options = ("--out", str(run), "--model", model, "--logging_steps", "1", "--max_minutes", "10")
    start = time.perf_counter()
    process = subprocess.Popen([*BERTWRIGHT, "pretrain", str(shards), *options], stdout=subprocess.DEVNULL)
    try:
        while not _has_line(run / "metrics.jsonl"):
            if process.poll() is not None or time.perf_counter() - start > LONGEST_WAIT:
                raise SystemExit(f"no first step came: exit code {process.poll()}")
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - start
    finally:
        process.kill()
        process.wait()


def _has_line(path: Path) -> bool:
    return path.exists() and b"\n" in path.read_bytes()


if __name__ == "__main__":
    main()

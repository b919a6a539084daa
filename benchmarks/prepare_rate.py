"""How fast `bertwright prepare` turns text into shards, beside a bare `tokenizers` encode_batch of the same text, and how much memory it takes.

    python benchmarks/prepare_rate.py TEXT... [--megabytes 30] [--tokenizer vocab.txt] [--repeats 3] [--format txt|jsonl|line]

The text is repeated up to the size asked for (each copy's documents numbered, so that they are not duplicates). Both sides use one tokenizer file and
every core, in turn in the same run; each runs in a process of its own, whose start is not counted, whose peak memory is. The bare side reads the file and hands
its lines to encode_batch, a thousand at a time, and keeps nothing.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PREPARE = """
import json, resource, sys, time
from pathlib import Path
from bertwright.data.prepare import PrepareConfig, prepare
text, tokenizer, out = sys.argv[1:]
start, cpu = time.perf_counter(), time.process_time()
report = prepare([text], out=Path(out), config=PrepareConfig(tokenizer=tokenizer, overwrite=True))
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "cpu": cpu, "tokens": report.tokens + report.validation_tokens, "peak": peak * 1024}))
"""

BARE = """
import itertools, json, resource, sys, time
from bertwright.text.tokenizer import Tokenizer
text, tokenizer, out = sys.argv[1:]
backend = Tokenizer.load(tokenizer).backend
start, cpu = time.perf_counter(), time.process_time()
tokens = 0
with open(text, encoding="utf-8") as file:
    lines = (json.loads(line)["text"] for line in file) if text.endswith(".jsonl") else (line.strip() for line in file)
    while batch := list(itertools.islice(lines, 1000)):
        tokens += sum(map(len, backend.encode_batch(batch, add_special_tokens=False)))
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "cpu": cpu, "tokens": tokens, "peak": peak * 1024}))
"""


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        text = Path(folder) / {"txt": "text.txt", "jsonl": "text.jsonl", "line": "line.txt"}[options.format]
        _write_text(text, options.texts, size=options.megabytes * 1_000_000)
        tokenizer = options.tokenizer or _train(text, Path(folder))
        runs: dict[str, list[dict[str, float]]] = {"encode_batch": [], "prepare": []}
        for repeat in range(options.repeats):
            for name in ("encode_batch", "prepare") if repeat % 2 == 0 else ("prepare", "encode_batch"):
                runs[name].append(_run({"encode_batch": BARE, "prepare": PREPARE}[name], text, tokenizer, Path(folder) / "shards"))
        _show(runs, size=text.stat().st_size, label=options.format)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=Path, help="UTF-8 text files")
    parser.add_argument("--megabytes", type=int, default=30)
    parser.add_argument("--tokenizer", help="vocab.txt, tokenizer.json or a folder; by default a WordPiece vocabulary of 8,192 is trained on the text")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--format", choices=("txt", "jsonl", "line"), default="txt", help="jsonl: a row for each paragraph; line: all in one line")
    parser.add_argument("--work", type=Path, help="folder for the temporary files")
    return parser.parse_args()


def _write_text(path: Path, texts: list[Path], *, size: int) -> None:
    """The texts over and over, until the file has `size` bytes."""
    paragraphs = [line for text in texts for line in text.read_text(encoding="utf-8").split("\n")]
    written = copy = 0
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            for number, paragraph in enumerate(paragraphs):
                numbered = f"{copy} {paragraph}" if copy and number % 100 == 0 and paragraph.strip() else paragraph
                if path.suffix == ".jsonl":
                    numbered = json.dumps({"text": numbered}) + "\n" if numbered.strip() else ""
                else:
                    numbered += " " if path.stem == "line" else "\n"
                written += len(numbered.encode())
                file.write(numbered)
                if written >= size:
                    break
            copy += 1


def _train(text: Path, folder: Path) -> str:
    script = (
        "import sys, itertools; from pathlib import Path; from bertwright.text.training import train_tokenizer\n"
        "lines = list(itertools.islice(open(sys.argv[1], encoding='utf-8'), 50000))\n"
        "train_tokenizer(lines, kind='wordpiece', vocab_size=8192, lowercase=True, min_frequency=2).save(Path(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", script, text, folder / "tokenizer"], check=True)
    return str(folder / "tokenizer")


def _run(script: str, text: Path, tokenizer: str, out: Path) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", script, text, tokenizer, out], check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _show(runs: dict[str, list[dict[str, float]]], *, size: int, label: str) -> None:
    print(f"{size / 1e6:.0f} MB of text ({label}), medians of {len(runs['prepare'])} runs in turn")
    rates = {}
    for name, results in runs.items():
        rates[name] = statistics.median(size / result["seconds"] / 1e6 for result in results)
        spread = sorted(size / result["seconds"] / 1e6 for result in results)
        peak = max(result["peak"] for result in results) / 1e6
        cpu = statistics.median(result["cpu"] for result in results)
        used = f"{cpu:.1f} s of CPU, peak memory {peak:,.0f} MB"
        print(f"  {name:<13} {rates[name]:6.2f} MB/s ({spread[0]:.2f} to {spread[-1]:.2f}), {used}, {results[0]['tokens']:,.0f} tokens")
    print(f"  prepare / encode_batch = {rates['prepare'] / rates['encode_batch']:.2f}")


if __name__ == "__main__":
    main()

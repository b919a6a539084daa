"""What the benchmarks share: the machine in words, Markdown tables, results as JSON, shards of the text that every Python carries. Imports nothing heavy."""

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bertwright.bench import tables

table, with_spread = tables.markdown, tables.spread
WORK = Path(__file__).resolve().parents[1] / "runs" / "benchmarks"
BERTWRIGHT = (sys.executable, "-m", "bertwright")
TRAINED = 8192


def describe_machine() -> str:
    """One Markdown line a fact."""
    from bertwright.bench.machine import machine  # which needs torch

    return "\n".join(f"- {name}: {value}" for name, value in machine().items())


def write_results(path: Path, results: dict[str, Any]) -> None:
    """JSON with the machine in it; says where."""
    from bertwright.bench.machine import machine

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), **results}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\nwritten to {path}")


def prepared(texts: Sequence[str], *, work: Path, vocab_size: int, validation_fraction: float = 0.05) -> Path:
    """Shards of texts, by default of the documentation of the running Python, made at the first call and kept in `work`.

    The vocabulary is trained with at most TRAINED entries; above that, unused ones fill it up, so that a model's size does not hang on the text's.
    """
    from bertwright.cli.demo_corpus import write_corpus

    name = f"documentation-{platform.python_version()}" if not texts else f"text-{hashlib.sha256(repr(texts).encode()).hexdigest()[:12]}"
    trained, shards = work / f"{name}-{min(vocab_size, TRAINED)}", work / f"{name}-{vocab_size}"
    if not (shards / "shards.json").exists():
        work.mkdir(parents=True, exist_ok=True)
        if not texts:
            texts = [str(work / "documentation.txt")]
            write_corpus(Path(texts[0]))
        options = ("--validation_fraction", str(validation_fraction), "--overwrite")
        if not (trained / "shards.json").exists():
            bertwright("prepare", *texts, "--out", str(trained), "--lowercase", "--vocab_size", str(min(vocab_size, TRAINED)), *options)
        if shards != trained:
            filled = work / f"vocab-{vocab_size}.txt"
            entries = (trained / "tokenizer" / "vocab.txt").read_text(encoding="utf-8").splitlines()
            filled.write_text("\n".join([*entries, *(f"[unused{number}]" for number in range(vocab_size - len(entries)))]) + "\n", encoding="utf-8")
            bertwright("prepare", *texts, "--out", str(shards), "--tokenizer", str(filled), *options)
    return shards


def bertwright(*arguments: str) -> str:
    """Runs the command to its end and returns its standard output. Raises CalledProcessError, with what it said shown, when it fails."""
    done = subprocess.run([*BERTWRIGHT, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    done.check_returncode()
    return done.stdout

"""What the benchmarks share: the machine in words, Markdown tables, results as JSON, shards of the text that every Python carries. Imports nothing heavy."""

import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

WORK = Path(__file__).resolve().parents[1] / "runs" / "benchmarks"
BERTWRIGHT = (sys.executable, "-m", "bertwright")
TRAINED = 8192
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")


def machine() -> dict[str, str]:
    """What a number depends on beside the code."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores" + _instructions(),
        "accelerators": _accelerators(),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor() or platform.machine())


def _instructions() -> str:
    information = Path("/proc/cpuinfo")
    flags = set(information.read_text(encoding="utf-8").split()) if information.exists() else set()
    found = [name for name in ("avx512_bf16", "amx_bf16") if name in flags]
    return f" ({', '.join(found)})" if found else ""


def _accelerators() -> str:
    try:
        said = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return ", ".join(said.split("\n")).strip(", ") or "none"


def describe_machine() -> str:
    """One Markdown line a fact."""
    return "\n".join(f"- {name}: {value}" for name, value in machine().items())


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; columns after the first are numbers and stand to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def with_spread(values: Sequence[float], form: str) -> str:
    """The median, and in brackets the lowest and the highest where there are several."""
    shown = format(statistics.median(values), form)
    return shown if len(values) == 1 else f"{shown} ({format(min(values), form)} to {format(max(values), form)})"


def write_results(path: Path, results: dict[str, Any]) -> None:
    """JSON with the machine in it; says where."""
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

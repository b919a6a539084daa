"""The machine that a measurement depends on, in words, and what a process holds of it."""

import os
import platform
import resource
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")
INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


def machine() -> dict[str, str]:
    """What a number depends on beside the code."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "accelerators": _accelerators(),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "libraries": ", ".join(f"{name} {_version(name)}" for name in LIBRARIES),
    }


def peak_bytes(before: int) -> int:
    """The most that this process has held: resident memory above `before`; on a GPU what torch allocated."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _lines_of(path: str) -> Sequence[str]:
    information = Path(path)
    return information.read_text(encoding="utf-8").splitlines() if information.exists() else ()


def _processor() -> str:
    lines = _lines_of("/proc/cpuinfo")
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor() or platform.machine())
    known = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), ())
    found = [each for each in INSTRUCTIONS if each in known]
    return name + (f" ({', '.join(found)})" if found else "")


def _accelerators() -> str:
    """Names of the GPUs."""
    if not torch.cuda.is_available():
        return "none"
    return ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))

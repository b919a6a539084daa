"""The benchmarks start: each answers --help without importing anything heavy, and the numbers of a finished run are read right. Nothing is timed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py") if path.name not in ("contenders.py", "measurement.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_says_how_it_is_called(script: str) -> None:
    done = subprocess.run([sys.executable, FOLDER / script, "--help"], capture_output=True, text=True, check=True)
    assert f"python benchmarks/{script}" in done.stdout


def test_a_report_needs_every_step(tmp_path: Path) -> None:
    records = [{"kind": "train", "step": step, "mlm_loss": 9.0, "nsp_loss": 0.7, "samples": step, "seconds": step} for step in (10, 20)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    done = subprocess.run([sys.executable, FOLDER / "d2l_report.py", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--logging_steps 1" in done.stderr

"""The benchmarks start: each answers --help without importing anything heavy, and the numbers of a finished run are read right. Nothing is timed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.reading import read_splits

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


def test_a_recipes_loss_stands_beside_what_shares_alone_give(tmp_path: Path) -> None:
    run = tmp_path / "electra"
    run.mkdir()
    (run / "config.yaml").write_text("objective: rtd\n", encoding="utf-8")
    trained = [{"kind": "train", "step": step, "seconds": 60.0 * step, "replaced": 0.25} for step in (1, 2)]
    measured = [{"kind": "evaluate", "step": step, "eval_rtd_loss": 0.5, "eval_mlm_loss": 6.0} for step in (0, 2)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in (*trained, *measured)), encoding="utf-8")
    subprocess.run(
        [sys.executable, FOLDER / "recipe_curves.py", run, "--plot", tmp_path / "a.png", "--results", tmp_path / "a.json"], capture_output=True, check=True
    )
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["electra"]
    assert (found["seconds"], found["losses"]) == ([0.0, 120.0], [0.5, 0.5])
    assert found["beside"] == pytest.approx(0.5623, abs=1e-4), "-0.25 ln 0.25 - 0.75 ln 0.75"
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_tricks_gain_is_paired_by_seed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    from tricks import rows, scores_of

    for name, values in (("plain", (0.5, 0.6, 0.7)), ("fgm", (0.52, 0.63, 0.71))):
        runs = [{"values": {"seed": seed}, "metrics": {"test": {"accuracy": values[seed]}}} for seed in (2, 0, 1)]
        (tmp_path / name).mkdir()
        (tmp_path / name / "sweep.json").write_text(json.dumps({"runs": runs}), encoding="utf-8")
    plain, fgm = rows({name: scores_of(tmp_path / name, "accuracy") for name in ("plain", "fgm")})
    assert plain == ("plain", "0.6000", "0.1000", "", "")
    # Differences 0.02, 0.03, 0.01: 4.303 (Student's t, 2 degrees of freedom) * 0.01 / sqrt(3) = 0.0248.
    assert fgm == ("fgm", "0.6200", "0.0954", "+0.0200", "-0.0048 to +0.0448")


def test_the_rival_is_measured_on_each_rows_own_label(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: Callable[[str], Path]) -> None:
    """In batches of like length the Trainer orders the rows to measure by length too."""
    monkeypatch.syspath_prepend(str(FOLDER))
    from finetune_beside_trainer import train_with_trainer

    told = ("bar", "ban")
    rows = [" ".join([told[number % 2], *["den"] * (number % 13)]) + f",{'yes' if number % 2 == 0 else 'no'}" for number in range(104)]
    for name in ("train", "validation"):
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    splits = read_splits(str(tmp_path / "train.csv"), DataConfig(validation=str(tmp_path / "validation.csv")))
    found = train_with_trainer(str(start("bert")), splits, epochs=4, batch_size=8, learning_rate=1e-3, seed=0, quick=True)
    assert found["evaluations"][-1]["metrics"]["accuracy"] > 0.95

"""The loss curve."""

import json
import math
from pathlib import Path

import pytest

from bertwright.errors import InputError
from bertwright.reports.figures import draw_losses, draw_run, smooth

PNG = b"\x89PNG\r\n\x1a\n"


def records(*, pairs: bool) -> list[dict[str, float]]:
    found: list[dict[str, float]] = []
    for step in range(1, 60):
        found.append({"step": step, "loss": 9 - step / 20, "mlm_loss": 8 - step / 20, **({"nsp_loss": 0.7} if pairs else {})})
        if step % 20 == 0:
            found.append({"step": step, "eval_mlm_loss": 8 - step / 20, "eval_nsp_loss": 0.69, "chance_loss": 9.01, "unigram_entropy": 6.3})
    return found


@pytest.mark.parametrize("pairs", [True, False])
def test_a_curve_is_drawn(tmp_path: Path, pairs: bool) -> None:
    drawn = draw_losses(records(pairs=pairs), tmp_path / "loss.png", title="a run")
    assert drawn.read_bytes().startswith(PNG)


def test_a_run_is_drawn_from_its_metrics(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, records(pairs=True))) + "\n", encoding="utf-8")
    assert draw_run(tmp_path) == tmp_path / "loss.png"
    assert (tmp_path / "loss.png").read_bytes().startswith(PNG)


def test_one_step_or_a_loss_that_is_no_number_still_draws(tmp_path: Path) -> None:
    draw_losses([{"step": 1, "mlm_loss": 9.0}, {"step": 2, "mlm_loss": math.nan}], tmp_path / "run.png", title="a run")
    draw_losses([{"step": 1, "eval_mlm_loss": 9.0, "eval_nsp_loss": 0.7}], tmp_path / "evaluations.png", title="evaluations only")
    assert all((tmp_path / name).read_bytes().startswith(PNG) for name in ("run.png", "evaluations.png"))


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no metrics\.jsonl"):
        draw_run(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n', encoding="utf-8")
    with pytest.raises(InputError, match="no loss to draw"):
        draw_run(tmp_path)


def test_smoothing_keeps_a_line_and_both_ends() -> None:
    assert smooth([3.0] * 100) == pytest.approx([3.0] * 100)
    line = [float(value) for value in range(100)]
    assert smooth(line)[:95] == pytest.approx(line[:95])
    assert smooth([1.0]) == [1.0]
    assert smooth([0.0, 10.0] * 50)[50] == pytest.approx(5.0, abs=2)

"""A bench trains in processes of its own, scores by somebody else, and tells what came as numbers, a table and a picture."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bertwright.bench.bench import Contender, Training, contenders, run_all
from bertwright.bench.contest import Outcome, Point, Setting
from bertwright.bench.results import draw, table
from bertwright.cli.app import run
from bertwright.data.shards import TokenShards
from bertwright.errors import BertwrightError, InputError

RIVAL = """
import json, sys
setting = json.load(open(sys.argv[-2]))
points = [{"seconds": setting["seconds"] * part, "tokens": 100.0, "folder": f"{setting['seed']}-{part}"} for part in (0.5, 1.0)]
json.dump({"points": points, "tokens_per_second": 50.0, "peak_bytes": 10**8}, open(sys.argv[-1], "w"))
"""
SCORER = """
import sys
seed, part = sys.argv[-1].split("-")
print(f"masked loss {8 - 2 * float(part) - int(seed):.4f} nats, accuracy 0.2500")
"""


@pytest.fixture
def programs(tmp_path: Path) -> tuple[str, str]:
    for name, text in (("rival.py", RIVAL), ("scorer.py", SCORER)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return str(tmp_path / "rival.py"), str(tmp_path / "scorer.py")


def outcome(*points: tuple[float, float], **more: Any) -> Outcome:
    found = tuple(Point(seconds=seconds, tokens=1.0, folder="", loss=loss) for seconds, loss in points)
    return Outcome(points=found, **{"tokens_per_second": 100.0, "peak_bytes": 2 * 10**8, **more})


def test_seconds_to_a_loss_lie_on_the_line_between_two_points() -> None:
    found = outcome((10, 7.0), (20, 6.0), (40, 5.0))
    assert (found.seconds_to(6.5), found.seconds_to(5.5), found.seconds_to(7.5), found.seconds_to(4.0)) == (15, 30, 10, None)


def test_a_row_has_medians_ranges_and_what_was_not_reached() -> None:
    more = {"operations_per_token": 1e9, "matrix_rate": 2e11, "data_wait": 0.004, "steady_after": 2.5}
    ours = [Training("ours", "a", 40, seed, outcome((20, 6.5), (40, 6.0 - seed / 10), **more)) for seed in (0, 1, 2)]
    theirs = [Training("theirs", "a", 40, 0, outcome((20, 8.0), (40, 7.0)))]
    heading, rows = table([*ours, *theirs], until=(6.0, 5.85))
    speed = ["tokens/s", "Gflop/s", "of the matrix rate", "data wait", "steady after, s"]
    assert heading == ["", *speed, "peak memory, MB", "masked loss after 40 s", "seconds to 6", "seconds to 5.85"]
    assert rows[0] == [
        "ours",
        *["100 (100 to 100)", "100 (100 to 100)", "50.0% (50.0% to 50.0%)", "0.4% (0.4% to 0.4%)", "2.5 (2.5 to 2.5)", "200 (200 to 200)"],
        "5.900 (5.800 to 6.000)",
        "37 (34 to 40)",
        "1 of 3 seeds reached it",
    ]
    assert rows[1] == ["theirs", "100", "100", "50.0%", "", "", "200", "7.000", "not reached", "not reached"], "its operations are our model's of its shape"


def test_a_shape_is_held_against_its_own_matrix_rate() -> None:
    small, large = (outcome((40, 6.0), operations_per_token=1e9, matrix_rate=rate) for rate in (1e12, 4e12))
    _, rows = table([Training("small", "a", 40, 0, small), Training("large", "b", 40, 0, large)], until=())
    assert [row[3] for row in rows] == ["10.0%", "2.5%"]


def test_the_order_turns_round_with_each_seed(tmp_path: Path, programs: tuple[str, str]) -> None:
    rival, scorer = programs
    told: list[Training] = []
    racers = [Contender(name, (sys.executable, rival), "bert-tiny") for name in ("one", "other")]
    base = Setting(shards="shards", model="bert-tiny", seconds=0, seed=0, folder="")
    run_all(racers, base=base, seconds=[30.0], seeds=[0, 1, 2], points=1, scorer=scorer, out=tmp_path / "out", tell=told.append)
    assert [each.contender for each in told] == ["one", "other", "other", "one", "one", "other"]


def test_programs_of_anybody_are_run_and_scored(tmp_path: Path, programs: tuple[str, str]) -> None:
    rival, scorer = programs
    told: list[Training] = []
    base = Setting(shards="shards", model="bert-tiny", seconds=0, seed=0, folder="")
    racers = [racer for racer in contenders(["bert-tiny"], [f"{rival} --tuned"]) if racer.name == "rival --tuned"]
    done = run_all(racers, base=base, seconds=[30.0], seeds=[0, 1], points=4, scorer=scorer, out=tmp_path / "out", tell=told.append)
    assert [(each.seed, each.loss) for each in done] == [(0, 6.0), (1, 5.0)]
    assert told == done
    written = json.loads((tmp_path / "out" / "bench.json").read_text(encoding="utf-8"))
    assert [each["outcome"]["points"][0]["loss"] for each in written["trainings"]] == [7.0, 6.0]
    assert written["machine"]["processor"]
    draw(done, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise SystemExit('no shards here')", "rival failed with 1: no shards here"),
        ("pass", "left no outcome that can be read"),
        (RIVAL.replace("(0.5, 1.0)", "()"), "no points: nothing was saved"),
    ],
)
def test_a_rival_that_fails_is_said(tmp_path: Path, programs: tuple[str, str], text: str, message: str) -> None:
    rival, scorer = programs
    Path(rival).write_text(text, encoding="utf-8")
    base = Setting(shards="shards", model="bert-tiny", seconds=0, seed=0, folder="")
    racer = Contender("rival", (sys.executable, rival), "bert-tiny")
    with pytest.raises(BertwrightError, match=message):
        run_all([racer], base=base, seconds=[30.0], seeds=[0], points=1, scorer=scorer, out=tmp_path / "out", tell=lambda training: None)


def test_a_scorer_without_a_loss_is_said(tmp_path: Path, programs: tuple[str, str]) -> None:
    rival, scorer = programs
    Path(scorer).write_text("print('fine')", encoding="utf-8")
    base = Setting(shards="shards", model="bert-tiny", seconds=0, seed=0, folder="")
    with pytest.raises(BertwrightError, match="printed no loss"):
        run_all(
            [Contender("rival", (sys.executable, rival), "bert-tiny")],
            base=base,
            seconds=[3.0],
            seeds=[0],
            points=1,
            scorer=scorer,
            out=tmp_path / "o",
            tell=print,
        )


def test_the_command_trains_scores_by_transformers_and_shows(tmp_path: Path, shards: TokenShards, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench"
    run(
        [
            "bench",
            str(shards.folder),
            "--model",
            "bert-tiny",
            "--max_seq_length",
            "32",
            "--minutes",
            "0.05",
            "--until",
            "20",
            "--pretrain",
            "learning_rate=1e-3",
            "--out",
            str(out),
        ]
    )
    said = capsys.readouterr().out
    assert "| bertwright bert-tiny |" in said
    found = json.loads((out / "bench.json").read_text(encoding="utf-8"))["trainings"][0]["outcome"]
    assert found["points"][-1]["loss"] < 20
    assert found["matrix_rate"] > found["tokens_per_second"] * found["operations_per_token"] > 0
    assert 0 <= found["data_wait"] < 1
    assert 0 < found["steady_after"] < 60
    assert (out / "bench.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pretrain", "learning_rate"], "write it as KEY=VALUE"),
        (["--pretrain", "learnig_rate=1"], "no key 'learnig_rate'"),
        (["--pretrain", "learning_rate=-1"], "learning_rate is -1"),
        (["--minutes", "0"], "minutes is 0"),
    ],
)
def test_wrong_keys_are_said_before_anything_is_trained(tmp_path: Path, options: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(["bench", str(tmp_path), *options])

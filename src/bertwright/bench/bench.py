"""Runs contenders in turn, each training in a process of its own, and has what they saved scored."""

import dataclasses
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertwright.bench.contest import Outcome, Point, Setting, write
from bertwright.bench.machine import machine
from bertwright.errors import BertwrightError

LOSS, ACCURACY = re.compile(r"loss\D*?(\d+\.\d+)"), re.compile(r"accuracy\D*?(\d+\.\d+)")
RESULTS = "bench.json"
CHILD = (sys.executable, "-m", "bertwright.cli.bench_child")


@dataclass(frozen=True)
class Contender:
    """name: as it is told; command: called with a setting's path and an outcome's; model: the preset that it trains."""

    name: str
    command: tuple[str, ...]
    model: str


@dataclass(frozen=True)
class Training:
    """One contender's training with one seed."""

    contender: str
    model: str
    seconds: float
    seed: int
    outcome: Outcome

    @property
    def loss(self) -> float:
        return self.outcome.points[-1].loss


def contenders(models: Sequence[str], rivals: Sequence[str]) -> list[Contender]:
    """bertwright with each model, and each rival, a command line such as "benchmarks/rival.py --tuned", with the first."""
    ours = [Contender(f"bertwright {model}", (*CHILD, "train"), model) for model in models]
    theirs = []
    for line in rivals:
        script, *rest = shlex.split(line)
        theirs.append(Contender(" ".join([Path(script).stem, *rest]), _called(line), models[0]))
    return ours + theirs


def _called(line: str) -> tuple[str, ...]:
    """A command line, with Python before a script of its own."""
    script, *rest = shlex.split(line)
    return (*((sys.executable,) if script.endswith(".py") else ()), script, *rest)


def run_all(
    racers: Sequence[Contender],
    *,
    base: Setting,
    seconds: Sequence[float],
    seeds: Sequence[int],
    points: int,
    scorer: str | None,
    out: Path,
    tell: Callable[[Training], None],
) -> list[Training]:
    """Every contender with every budget and seed, the order turned round with each seed; what is there is written after each training.

    points: so many of what a training saved are scored, the last among them. scorer: a program that is called with a folder and prints "loss X"; None:
    transformers. Raises BertwrightError when a contender or the scorer fails.
    """
    judge = (*CHILD, "score", "{}", base.shards) if scorer is None else (*_called(scorer), "{}")
    done: list[Training] = []
    for place, seed in enumerate(seeds):
        for budget in seconds:
            for number, racer in enumerate(racers if place % 2 == 0 else reversed(racers)):
                folder = out / f"{number}-{budget:g}-{seed}"
                setting = dataclasses.replace(base, model=racer.model, seconds=budget, seed=seed, folder=str(folder))
                done.append(Training(racer.name, racer.model, budget, seed, _scored(_run(racer, setting, out), judge, points)))
                tell(done[-1])
                write_results(done, base=base, scorer=scorer, out=out)
    return done


def _run(racer: Contender, setting: Setting, out: Path) -> Outcome:
    asked, answered = out / "setting.json", out / "outcome.json"
    write(asked, setting)
    answered.unlink(missing_ok=True)
    _call(racer.name, [*racer.command, str(asked), str(answered)])
    try:
        return Outcome.read(answered)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BertwrightError(f"{racer.name} left no outcome that can be read ({error}): see benchmarks/README.md for what a rival writes") from None


def _scored(outcome: Outcome, judge: Sequence[str], points: int) -> Outcome:
    count = len(outcome.points)
    chosen = sorted({-(-count * (number + 1) // points) - 1 for number in range(points)})
    return dataclasses.replace(outcome, points=tuple(_score(outcome.points[place], judge) for place in chosen))


def _score(point: Point, judge: Sequence[str]) -> Point:
    said = _call("the scorer", [part.replace("{}", point.folder) for part in judge])
    if not (loss := LOSS.search(said)):
        raise BertwrightError(f"the scorer printed no loss for {point.folder}: {said.strip()[-500:]!r}")
    accuracy = ACCURACY.search(said)
    return dataclasses.replace(point, loss=float(loss[1]), accuracy=float(accuracy[1]) if accuracy else float("nan"))


def _call(name: str, command: Sequence[str]) -> str:
    """What a program prints. Raises BertwrightError with the end of what it said when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BertwrightError(f"{name} cannot be started: {error}") from None
    if done.returncode:
        raise BertwrightError(f"{name} failed with {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def write_results(done: Sequence[Training], *, base: Setting, scorer: str | None, out: Path) -> None:
    """bench.json: the machine, what all share, and every training with its points."""
    told: dict[str, Any] = {
        "machine": machine(),
        "setting": dataclasses.asdict(base),
        "scorer": scorer,
        "trainings": [dataclasses.asdict(each) for each in done],
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / RESULTS).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")

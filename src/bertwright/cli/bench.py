"""`bertwright bench`: trainings side by side on this machine."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from bertwright.cli.options import Flag
from bertwright.errors import InputError

if TYPE_CHECKING:
    from bertwright.bench.bench import Training

Several = Annotated[tuple[str, ...], Parameter(consume_multiple=True)]


def bench(
    shards: Path,
    *,
    model: Several = ("bert-mini",),
    minutes: Annotated[tuple[float, ...], Parameter(consume_multiple=True)] = (1.5,),
    seeds: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (0,),
    until: Annotated[tuple[float, ...], Parameter(consume_multiple=True)] = (),
    batch_size: int = 32,
    max_seq_length: int = 128,
    pretrain: Several = (),
    rival: Several = (),
    points: int = 4,
    scorer: str | None = None,
    out: Path = Path("runs/bench"),
    json: Flag = False,
) -> None:
    """Train side by side on one machine: tokens a second, share of the matrix rate, peak memory, loss after so many minutes, seconds to a loss.

    Every training has a process of its own. What it saved is scored by transformers, on the same masks for all, or by a program of yours.

    Args:
        shards: folder that `bertwright prepare` wrote, with held-out text.
        model: presets to train.
        minutes: budgets, each a training of its own.
        seeds: of weights, order and masks; each is a training of its own.
        until: losses whose seconds are told.
        batch_size: sequences per update.
        max_seq_length: tokens a row.
        pretrain: further keys of pretrain, such as learning_rate=0.001.
        rival: programs to race, such as "benchmarks/rival.py --tuned"; each trains the first model's shape.
        points: so many checkpoints of each training are scored, the last among them.
        scorer: a program that is called with a saved folder and prints "loss X".
        out: folder for what is trained, bench.json, bench.md and bench.png.
        json: the results as one JSON object on standard output; all else moves to standard error.
    """
    options = _keys(pretrain)
    _check(minutes, model, points, scorer)
    from bertwright.bench.bench import RESULTS, contenders, run_all
    from bertwright.bench.contest import Setting
    from bertwright.bench.machine import machine
    from bertwright.bench.results import draw, table
    from bertwright.bench.tables import markdown
    from bertwright.data.shards import TokenShards

    if not TokenShards.open(shards).validation.num_tokens:
        raise InputError(f"{shards} has no held-out text to measure on: prepare it with --validation_files or --validation_fraction")
    base = Setting(shards=str(shards), model=model[0], seconds=0.0, seed=0, folder="", batch_size=batch_size, max_seq_length=max_seq_length, options=options)
    screen = sys.stderr if json else sys.stdout
    print("\n".join(f"{name}: {value}" for name, value in machine().items()), file=screen, flush=True)
    done = run_all(
        contenders(model, rival),
        base=base,
        seconds=[60 * budget for budget in minutes],
        seeds=seeds,
        points=points,
        scorer=scorer,
        out=out,
        tell=lambda training: print(_line(training), file=screen, flush=True),
    )
    shown = markdown(*table(done, until=until))
    (out / "bench.md").write_text(shown + "\n", encoding="utf-8")
    draw(done, out / "bench.png")
    print(f"\n{shown}\n\nresults      {out / RESULTS}\ntable        {out / 'bench.md'}\nplot         {out / 'bench.png'}", file=screen)
    if json:
        print((out / RESULTS).read_text(encoding="utf-8"), end="")


def _line(training: "Training") -> str:
    outcome, last = training.outcome, training.outcome.points[-1]
    return (
        f"{training.contender}, seed {training.seed}: masked loss {last.loss:.4f} after {last.seconds:.0f} s and {last.tokens:,.0f} tokens, "
        f"{outcome.tokens_per_second:,.0f} tokens/s, {outcome.peak_bytes / 10**6:,.0f} MB"
    )


def _keys(given: tuple[str, ...]) -> dict[str, Any]:
    """`learning_rate=1e-3` as a key and a value. Raises InputError with one line for each thing wrong."""
    import dataclasses
    from ast import literal_eval
    from contextlib import suppress

    from bertwright.training.config import PretrainConfig

    problems = [f"pretrain {item}: write it as KEY=VALUE, such as learning_rate=0.001" for item in given if "=" not in item]
    found: dict[str, Any] = dict(item.split("=", 1) for item in given if "=" in item)
    known = {field.name for field in dataclasses.fields(PretrainConfig)}
    problems += [f"pretrain has no key {name!r}: see bertwright pretrain --help" for name in found if name not in known]
    for name, value in found.items():
        with suppress(ValueError, SyntaxError):  # what is no Python value is a text
            found[name] = literal_eval(value)
    if not problems:
        problems = PretrainConfig(**found).problems()
    if problems:
        raise InputError(*problems)
    return found


def _check(minutes: tuple[float, ...], models: tuple[str, ...], points: int, scorer: str | None) -> None:
    from importlib.util import find_spec

    problems = [f"minutes is {budget:g}: it must be above 0" for budget in minutes if not budget > 0]
    if points < 1:
        problems.append(f"points is {points}: it must be at least 1")
    if not models:
        problems.append("model needs at least one preset, such as bert-mini")
    if scorer is None and find_spec("transformers") is None:
        problems.append("what is trained is scored by transformers, which is not installed: pip install 'bertwright[bench]', or give --scorer")
    if problems:
        raise InputError(*problems)

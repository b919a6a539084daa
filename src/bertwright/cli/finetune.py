"""`bertwright finetune`: from a checkpoint and labelled data to a measured model and its report."""

import json as json_format
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from bertwright.cli.display import training_display
from bertwright.cli.options import Flag
from bertwright.training.finetune_config import FinetuneConfig, FinetuneResult

if TYPE_CHECKING:
    from bertwright.training.sweep import Comparison

NO_LISTS: Mapping[str, list[Any]] = MappingProxyType({})


def finetune(
    checkpoint: str,
    train: str,
    *,
    out: Path,
    config: Annotated[FinetuneConfig, Parameter(name="*")] = FinetuneConfig(),  # noqa: B008  # frozen, and cyclopts reads the defaults from it
    seeds: int | None = None,
    json: Flag = False,
    lists: Annotated[Mapping[str, list[Any]], Parameter(parse=False)] = NO_LISTS,
) -> None:
    """Train a checkpoint on labelled data, measure it, and write a report.

    Task and columns are found by looking at the file, and said. Stopped at any moment, the same command goes on from the newest complete checkpoint.
    Any key may have several values with commas between (--learning_rate 1e-5,3e-5): each is a run of its own, compared at the end.

    Args:
        checkpoint: run folder, checkpoint folder, Hugging Face folder or hub name.
        train: labelled file: .csv, .tsv, .jsonl, .json, .parquet, CoNLL columns, SQuAD, or a Hugging Face data set.
        out: run folder; goes on with what is in it.
        config: everything else.
        seeds: train so many times with seeds that follow each other, and give mean and spread.
        json: one JSON object on standard output at the end, or of a dry run the config; all else moves to standard error.
        lists: the keys with several values.
    """
    import yaml

    from bertwright.api import finetune as train_on
    from bertwright.training.devices import leads

    # Of a dry run the config alone goes to standard output, so that it can be kept as a file for --config.
    screen = sys.stderr if json or config.dry_run else sys.stdout
    options: dict[str, Any] = {**config.as_dict(), **lists}
    if not leads():
        train_on(checkpoint, train, out=out, seeds=seeds, **options)
        return
    with training_display(screen) as show:
        result = train_on(checkpoint, train, out=out, seeds=seeds, observers=(show,), **options)
    if config.dry_run and isinstance(result, FinetuneResult):
        resolved = {**result.details["config"], "dry_run": False}
        print(json_format.dumps({"config": resolved}) if json else yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True).rstrip("\n"))
    elif json:
        print(json_format.dumps(_as_json(result)))
    else:
        print("\n".join(closing_lines(result) if isinstance(result, FinetuneResult) else comparison_lines(result)))


def _as_json(result: "FinetuneResult | Comparison") -> dict[str, Any]:
    if isinstance(result, FinetuneResult):
        return {"run": str(result.run), "checkpoint": str(result.checkpoint), "metrics": result.metrics}
    return {"out": str(result.out), **result.to_json()}


def comparison_lines(comparison: "Comparison") -> list[str]:
    """The table of several runs, and where they lie."""
    return ["", *comparison.lines(), "", f"runs         {comparison.out}", f"report       {comparison.out / 'report.html'}"]


def closing_lines(result: FinetuneResult) -> list[str]:
    """What was reached, where everything lies, and what to type next."""
    run = shlex.quote(str(result.run))
    # One text is no question with its context, nor one with choices.
    asked = "--table more.jsonl" if result.details.get("task") in ("answer", "choice") else "'some text'"
    return [
        "",
        f"run          {result.run}",
        f"checkpoint   {result.checkpoint}   (the best on validation)",
        f"report       {result.run / 'report.html'}",
        "",
        "next:",
        f"  bertwright predict {run} {asked}",
        f"  bertwright evaluate {run} more.csv",
    ]

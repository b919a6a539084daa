"""`bertwright pretrain`: from shards to a run folder, shown as it goes."""

import json as json_format
import shlex
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bertwright.cli.display import evaluation_summary, plan_lines, training_display
from bertwright.cli.options import Flag
from bertwright.training.config import PretrainConfig, PretrainResult


def pretrain(
    shards: Path | None = None,
    *,
    out: Path,
    config: Annotated[PretrainConfig, Parameter(name="*", consume_multiple=True)] = PretrainConfig(),  # noqa: B008  # frozen, and cyclopts reads the defaults from it
    json: Flag = False,
) -> None:
    """Pre-train a model on prepared shards, from scratch or on from a checkpoint.

    Stopped at any moment, the same command goes on from the newest complete checkpoint.

    Args:
        shards: folder that `bertwright prepare` wrote; may be left out where --mix names all texts.
        out: run folder; goes on with what is in it.
        config: everything else.
        json: one JSON object on standard output at the end, or of a dry run the config; all else moves to standard error.
    """
    if config.dry_run:
        _print_plan(shards, config, json=json)
        return
    from bertwright.reports.figures import draw_run
    from bertwright.reports.page import write_report_if_possible
    from bertwright.training.curriculum import main_folder
    from bertwright.training.devices import leads
    from bertwright.training.pretrain import pretrain as train

    if not leads():
        train(shards, out=out, config=config)
        return
    screen = sys.stderr if json else sys.stdout
    with training_display(screen) as show:
        result = train(shards, out=out, config=config, observers=(show,))
        report = write_report_if_possible(result.run, tell=show)
    picture = draw_run(result.run)
    if json:
        files = {"run": result.run, "checkpoint": result.checkpoint, "loss_curve": picture, **({"report": report} if report else {})}
        print(json_format.dumps({**{name: str(path) for name, path in files.items()}, "metrics": result.metrics}))
        return
    print("\n".join(closing_lines(result, picture=picture, report=report, shards=Path(main_folder(None if shards is None else str(shards), config)))))


def _print_plan(shards: Path | None, config: PretrainConfig, *, json: bool) -> None:
    """The plan as comments and the resolved config as YAML that --config takes; with `json` the plan on standard error and the config as one object."""
    import yaml

    from bertwright.data.shards import TokenShards
    from bertwright.training.announce import plan_values
    from bertwright.training.curriculum import main_folder
    from bertwright.training.devices import device_of_this_process, leads
    from bertwright.training.plan import make_plan

    device = device_of_this_process(bf16=config.bf16, fp16=config.fp16)
    plan = make_plan(TokenShards.open(main_folder(None if shards is None else str(shards), config), verify=config.verify), config, device)
    values = plan_values(plan, device)
    if not leads():
        return
    resolved = plan.config.as_dict() | {"dry_run": False}
    print("\n".join(f"# {line}" for line in plan_lines(values)), file=sys.stderr if json else sys.stdout)
    print(json_format.dumps({"config": resolved}) if json else yaml.safe_dump(resolved, sort_keys=False).rstrip("\n"))


def closing_lines(result: PretrainResult, *, picture: Path, report: Path | None, shards: Path) -> list[str]:
    """Where everything lies, and what to type next."""
    run = shlex.quote(str(result.run))
    evaluated = "eval_loss" in result.metrics
    writes = "eval_perplexity" in result.metrics and "eval_mlm_loss" not in result.metrics
    finds = "eval_rtd_loss" in result.metrics  # replaced tokens, so that it fills no mask
    vectors = "eval_contrastive_loss" in result.metrics
    example = "'some text'" if vectors else "'how a text begins'" if writes else "'some text with a [MASK] in it'"
    return [
        "",
        *([f"at the end   {evaluation_summary(result.metrics)}"] if evaluated else []),
        f"run          {result.run}",
        f"checkpoint   {result.checkpoint}{'   (the best on validation)' if evaluated else ''}",
        f"loss curve   {picture}",
        *([f"report       {report}"] if report else []),
        "",
        "next:",
        f"  bertwright finetune {run} labelled.csv --out runs/b" if finds else f"  bertwright predict {run} {example}",
        f"  bertwright evaluate {run} {'pairs.csv' if vectors else shlex.quote(str(shards))}",
    ]

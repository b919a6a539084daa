"""`bertwright prepare`: text to tokenizer, token shards and corpus report."""

import json as json_format
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn, TextIO

import yaml
from cyclopts import Parameter

from bertwright.cli.options import Flag
from bertwright.data.prepare_config import PrepareConfig
from bertwright.errors import Interrupted

if TYPE_CHECKING:
    from bertwright.data.prepare import Progress

PLAIN_SECONDS = 10.0  # between lines of progress where there is no terminal


def prepare(
    inputs: Annotated[list[str], Parameter(name="INPUT")],
    /,
    *,
    out: Path,
    config: Annotated[PrepareConfig, Parameter(name="*", consume_multiple=True)] = PrepareConfig(),  # noqa: B008  # frozen, and cyclopts reads the defaults from it
    dry_run: Flag = False,
    json: Flag = False,
) -> None:
    """Text to tokenizer, token shards and corpus report.

    Reads .txt .md .rst .jsonl .json .csv .tsv .parquet, each also as .gz .bz2 .xz .zst.

    Args:
        inputs: files, folders, globs, - for standard input, or a Hugging Face data set (a saved folder, or OWNER/NAME[:CONFIG][@SPLIT] from the hub).
        out: folder of shards; it appears when it is complete.
        config: everything else.
        dry_run: print what would be read and how, and stop.
        json: the report, or of a dry run the settings, as one JSON object on standard output; all else moves to standard error.
    """
    from bertwright.data.prepare import plan
    from bertwright.data.prepare import prepare as prepare_shards
    from bertwright.inference.tokenizers import with_tokenizer

    settled = with_tokenizer(inputs, config)
    if settled.said:
        print(settled.said, file=sys.stderr)
    if dry_run:
        with tempfile.TemporaryDirectory() as spool:
            planned = plan(inputs, settled.config, spool=Path(spool))
        _print_plan(planned.lines(), settings(config), json=json)
        return
    with _stopped_by_signals(), _display(sys.stderr if json else sys.stdout) as show:
        report = prepare_shards(inputs, out=out, config=settled.config, progress=show)
    if json:
        print(json_format.dumps(report.to_json(), ensure_ascii=False))
        return
    start = _start(config.tokenizer, settled.config.tokenizer)
    objective = "" if report.nsp_possible else " --objective mlm"
    command = f"bertwright pretrain {shlex.quote(str(out))} {start or '--out runs/a'}{objective}"
    print("\n".join([*report.lines(), "", f"shards {out}", "", "next:", f"  {command}"]))


def _start(given: str | None, found: str | None) -> str:
    """The options that go on from the checkpoint whose tokenizer the shards have; empty where it came from a file or was trained."""
    if given is None or found is None or not (Path(found) / "config.json").is_file():
        return ""
    return f"--init_from {shlex.quote(given)} --out runs/b"


def _print_plan(lines: list[str], values: dict[str, object], *, json: bool) -> None:
    """The plan as comments and the settings as YAML that --config takes; with `json` the plan on standard error and the settings as one object."""
    print("\n".join(f"# {line}" for line in lines), file=sys.stderr if json else sys.stdout)
    print(json_format.dumps({"config": values}, ensure_ascii=False) if json else yaml.safe_dump(values, sort_keys=False).rstrip("\n"))


def settings(config: PrepareConfig) -> dict[str, object]:
    """The settings that are not left to be guessed, as --config takes them."""
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(config).items()}
    return {name: value for name, value in values.items() if value is not None and value != []}


class _Stop(BaseException):
    """Raised between any two instructions, so no Exception: the standard library's own clean-ups catch those."""


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGINT and SIGTERM end the work as an exception, so that what was begun is removed; a second one ends at once."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise _Stop(number)

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except _Stop as stopped:
        raise Interrupted(stopped.args[0], "interrupted: nothing was written") from None
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _display(stream: TextIO) -> Iterator["Callable[[Progress], None]"]:
    """Shows progress: a live bar on a terminal, a line now and then everywhere else."""
    if not stream.isatty():
        yield _PlainLines(stream)
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[count]}"),
    )
    with bars.Progress(*columns, console=Console(file=stream), transient=True) as bar:
        task = bar.add_task("reading", total=None, count="")

        def show(progress: "Progress") -> None:
            bar.update(task, description=progress.stage, completed=progress.done, total=progress.total or None, count=_count(progress))

        yield show


class _PlainLines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = time.monotonic()

    def __call__(self, progress: "Progress") -> None:
        if time.monotonic() - self._last >= PLAIN_SECONDS:
            self._last = time.monotonic()
            share = f" {min(progress.done / progress.total, 1):.0%}" if progress.total else ""
            print(f"{progress.stage}{share}   {_count(progress)}".rstrip(), file=self._stream, flush=True)


def _count(progress: "Progress") -> str:
    return f"{progress.documents:,} documents, {progress.tokens:,} tokens" if progress.tokens else ""

"""One table of commands. Nothing heavy is imported before a command runs: `bertwright --help` answers in a fraction of a second."""

import contextlib
import dataclasses
import difflib
import inspect
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, UnknownCommandError, UnusedCliTokensError

from bertwright import __version__
from bertwright.cli.config_file import ConfigFile
from bertwright.cli.help import in_sections
from bertwright.errors import InputError


@dataclass(frozen=True)
class Command:
    """A row of the table: its name, where its function lives ("module:function") and its one line of help."""

    name: str
    target: str
    summary: str


COMMANDS = (
    Command("demo", "bertwright.cli.demo:demo", "The whole journey in minutes, on text every Python has."),
    Command("prepare", "bertwright.cli.prepare:prepare", "Text to tokenizer, token shards and corpus report."),
    Command("pretrain", "bertwright.cli.pretrain:pretrain", "Pre-train a model on prepared shards, or train one on."),
    Command("finetune", "bertwright.cli.finetune:finetune", "Train a checkpoint on labelled data: classes, numbers, tags, answers, vectors, text."),
    Command("evaluate", "bertwright.cli.evaluate:evaluate", "Measure a checkpoint: on labelled rows what it was fine-tuned for, on text its masked loss."),
    Command("predict", "bertwright.cli.predict:predict", "Do what a checkpoint was trained for: classes, entities, answers, masks, text."),
    Command("report", "bertwright.cli.report:report", "An HTML page of a run, or of runs side by side."),
    Command("push", "bertwright.cli.push:push", "Upload a checkpoint with its card to the Hugging Face hub."),
    Command("summary", "bertwright.cli.summary:summary", "A model in numbers: parameters, size, operations, shapes."),
    Command("memory", "bertwright.cli.memory:memory", "What a pass will hold in memory, before it is run, and what fits on a card."),
    Command("plan", "bertwright.cli.plan:plan", "What a pre-training will take on paper: hours, memory, disk, money."),
    Command("bench", "bertwright.cli.bench:bench", "Train side by side on this machine: speed, memory, loss against seconds."),
    Command("tokenize", "bertwright.cli.tokenize:tokenize", "Show how a checkpoint's tokenizer cuts a text."),
)

HELP = "From raw text to a trained model, fine-tuned, measured and used, with Hugging Face files at every step."
START = "Start with:  bertwright demo"
CONFIG = "Any option can also stand in a YAML file, given with --config FILE.yaml: the same keys; the command line wins."


def build_app(config: ConfigFile | None = None, *, chosen: str | None = None) -> App:
    """The command line; `config` holds the values that the command line leaves open, `chosen` names the command about to run.

    The other commands keep their one line from the table, so that nothing of theirs is imported; the chosen one speaks through its docstring.
    """
    app = App(
        name="bertwright",
        help=HELP,
        help_epilogue=START,
        help_format="plaintext",
        help_formatter=in_sections,
        version=__version__,
        config=config or (),
        default_parameter=Parameter(negative_bool=("no_",), negative_iterable=(), name_transform=_as_written),
        verbose=False,
        suppress_keyboard_interrupt=False,
    )
    for place, command in enumerate(COMMANDS):
        app.command(command.target, name=command.name, help_epilogue=CONFIG, sort_key=place, help=None if command.name == chosen else command.summary)
    return app


def usage_problem(error: CycloptsError) -> str:
    """What is wrong with the command line, in one line that says what to type instead."""
    command = " ".join(["bertwright", *(error.command_chain or ())])
    if isinstance(error, MissingArgumentError) and error.argument is not None and not error.tokens_so_far:
        name = error.keyword or error.argument.name
        if not error.argument.tokens and error.keyword is None:
            needed = name.lstrip("-").upper() if error.argument.index is not None else name
            return f"{command} needs {needed}: see {command} --help"
        return f"{name} needs a value: see {command} --help"
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        extra = " ".join(error.unused_tokens)
        return f"{command} has no use for {extra!r}: see {command} --help (a text of several words goes in quotes)"
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        return _unknown_command(error.unused_tokens[0])
    return re.sub(r"\s*\n\s*", " ", str(error)).strip()


def run(tokens: Iterable[str], config: ConfigFile | None = None) -> object:
    """Runs the command that `tokens` names; raises CycloptsError for a wrong command line and BertwrightError from the command itself."""
    words, lists = _several_values(_standard_input_last(list(tokens)), config)
    app = build_app(config, chosen=words[0] if words else None)
    command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    if config is not None and config.problems:
        raise InputError(*config.problems, *_further_problems(command, bound))
    return command(*bound.args, **{**bound.kwargs, **({"lists": lists} if lists else {})})


def _several_values(words: list[str], config: ConfigFile | None) -> tuple[list[str], dict[str, list[Any]]]:
    """Takes the keys with several values out of the command line and the file, for the one command that has a use for them."""
    if words[:1] != ["finetune"]:
        return words, {}
    from bertwright.training.finetune_config import FinetuneConfig
    from bertwright.training.grid import lists_of_tokens

    rest, lists = lists_of_tokens(words, FinetuneConfig)
    options = words[: words.index("--")] if "--" in words else words
    given = {word.removeprefix("--").partition("=")[0].replace("-", "_") for word in options if word.startswith("--")}
    given |= {key.removeprefix("no_") for key in given}
    return rest, {**({} if config is None else config.take_lists("finetune", given=given)), **lists}


def _further_problems(command: Callable[..., object], bound: inspect.BoundArguments) -> list[str]:
    """What a dry run of the command, where it has one, finds wrong: a user with four mistakes should hear of four."""
    if not _make_dry(bound):
        return []
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            command(*bound.args, **bound.kwargs)
    except InputError as error:
        return list(error.problems)
    return []


def _make_dry(bound: inspect.BoundArguments) -> bool:
    """Sets `dry_run`, the command's own or a key of its config; whether there is one."""
    bound.apply_defaults()
    if "dry_run" in bound.arguments:
        bound.arguments["dry_run"] = True
        return True
    for name, value in bound.arguments.items():
        if dataclasses.is_dataclass(value) and not isinstance(value, type) and hasattr(value, "dry_run"):
            bound.arguments[name] = dataclasses.replace(value, dry_run=True)
            return True
    return False


def _standard_input_last(words: list[str]) -> list[str]:
    """Moves each lone "-" behind a "--", since cyclopts would take it for an option without a name."""
    if "-" not in words or "--" in words:
        return words
    return [*(word for word in words if word != "-"), "--", *("-" for word in words if word == "-")]


def _unknown_command(name: str) -> str:
    names = [command.name for command in COMMANDS]
    near = difflib.get_close_matches(name, names, n=1)
    mend = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    return f"bertwright knows no {name!r}: {mend}"


def _as_written(name: str) -> str:
    """Options keep the underscores of Hugging Face's words; cyclopts takes hyphens as well."""
    return name

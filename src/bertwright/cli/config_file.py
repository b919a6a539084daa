"""`--config FILE.yaml`: the same keys as the options. The command line wins; all the file's mistakes are named at once."""

import difflib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml
from cyclopts import App, ArgumentCollection, CycloptsError
from cyclopts.config import Dict

from bertwright.errors import InputError
from bertwright.training.settings import BUDGETS


def take_config_option(tokens: list[str]) -> tuple[list[str], Path | None]:
    """Takes `--config FILE` (or `--config=FILE`) out of the command line. Raises InputError when it is given twice or without a file."""
    rest: list[str] = []
    found: list[str] = []
    waiting = False
    for number, token in enumerate(tokens):
        if waiting:
            found.append(token)
            waiting = False
        elif token == "--":
            rest += tokens[number:]
            break
        elif token == "--config":
            waiting = True
        elif token.startswith("--config="):
            found.append(token.removeprefix("--config="))
        else:
            rest.append(token)
    if waiting or "" in found:
        raise InputError("--config needs a file: --config FILE.yaml")
    if len(found) > 1:
        raise InputError(f"--config is given {len(found)} times ({', '.join(found)}): give one file")
    return rest, Path(found[0]) if found else None


class ConfigFile:
    """The options of a YAML (or JSON) file, handed to cyclopts for whatever the command line leaves open.

    A file may also hold one section for each command (`prepare: {...}`, `pretrain: {...}`); a command reads its own and passes over the others.
    """

    def __init__(self, path: Path, *, commands: Collection[str]) -> None:
        self.path, self.commands = path, commands
        self.values = _read(path)
        self.problems: list[str] = []

    def __call__(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Fills `arguments`; adds to `problems` one line for each unknown key and each value of a wrong kind, so that they can be told with all others."""
        values = self._section(commands)
        names = {name.removeprefix("--").replace("-", "_") for argument in arguments if argument.parse for name in argument.names if name.startswith("--")}
        self.problems = [self._unknown(key, names) for key in values if key not in names]
        given = {name for name in BUDGETS if name in names and arguments.match(f"--{name}")[0].has_tokens}
        for key, value in values.items():
            if given and key in BUDGETS:  # a run has one budget: the command line's takes the place of the file's
                continue
            if key in names and value is not None:  # null leaves the default
                self.problems += self._fill(app, commands, arguments, key, value)

    def take_lists(self, command: str, *, given: Collection[str]) -> dict[str, list[Any]]:
        """Takes out the command's keys whose value is a list. given: the keys of the command line, in whose favour the file's are taken out too."""
        section = self.values[command] if isinstance(self.values.get(command), dict) else {}
        beaten = {*given, *(BUDGETS if set(given) & set(BUDGETS) else ())}  # a run has one budget
        lists: dict[str, list[Any]] = {}
        for part, over in ((self.values, {str(key).replace("-", "_") for key in section}), (section, set[str]())):
            for key in list(part):
                name = str(key).replace("-", "_")
                if name in beaten:
                    del part[key]
                elif isinstance(part[key], list):
                    lists |= {name: part.pop(key)} if name not in over else {}
        return lists

    def _section(self, commands: tuple[str, ...]) -> dict[str, Any]:
        command = commands[-1] if commands else ""
        sections = {key for key, value in self.values.items() if isinstance(value, dict) and key in self.commands}
        own = {key: value for key, value in self.values.items() if key not in sections}
        if command in sections:
            own |= self.values[command]
        return {str(key).replace("-", "_"): value for key, value in own.items()}

    def _unknown(self, key: str, names: set[str]) -> str:
        near = difflib.get_close_matches(key, sorted(names), n=1, cutoff=0.6)
        mend = f"did you mean {near[0]}?" if near else "--help lists them"
        return f"{self.path}: {key} is not an option of this command: {mend}"

    def _fill(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection, key: str, value: object) -> list[str]:
        argument, _, _ = arguments.match(f"--{key}")
        if argument.has_tokens:
            return []
        try:
            Dict({key: value}, source=str(self.path), use_commands_as_keys=False)(app, commands, arguments)
            argument.convert()
        except CycloptsError as error:
            argument.tokens.clear()
            return [f"{self.path}: {key} is {value!r}: {_reason(error)}"]
        return []


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"--config {path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--config {path}: cannot be read ({error})") from error
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise InputError(f"--config {path}: not YAML: {where}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"--config {path}: holds a {type(values).__name__}: write one `key: value` a line")
    return values


def _reason(error: CycloptsError) -> str:
    error.verbose = False
    text = " ".join(str(error).split())
    return text.split(": ", 1)[-1].rstrip(".") if text.startswith("Invalid value for ") else text.rstrip(".")

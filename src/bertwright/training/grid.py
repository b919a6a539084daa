"""Several values for a key: from the command line, a file or Python to the runs that they ask for; imports no torch."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from itertools import product
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from bertwright.errors import InputError
from bertwright.training.settings import TrainingConfig

Config = TypeVar("Config", bound=TrainingConfig)
Grid = dict[str, tuple[Any, ...]]

# Keys whose value is one text, commas and all, or that say what the runs have in common.
ONE_VALUE = (
    "task",
    "glue",
    "validation",
    "test",
    "text_column",
    "pair_column",
    "label_column",
    "label_names",
    "several_labels",
    "resume_from_checkpoint",
    "tensorboard",
    "dry_run",
)
YES_AND_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def lists_of_tokens(tokens: Sequence[str], kind: type[TrainingConfig]) -> tuple[list[str], dict[str, list[str]]]:
    """Takes `--key a,b` and `--key=a,b` out of a command line, for keys of `kind` that may have several values: the other tokens, and the values by key.

    A key given twice keeps the last of its lists, as the last of its values would count.
    """
    keys = {field.name for field in dataclasses.fields(kind)} - set(ONE_VALUE)
    rest: list[str] = []
    lists: dict[str, list[str]] = {}
    waiting = list(tokens)
    while waiting:
        token = waiting.pop(0)
        if token == "--":
            return [*rest, token, *waiting], lists
        name, sign, value = token.partition("=")
        key = name.removeprefix("--").replace("-", "_")
        if not name.startswith("--") or key not in keys:
            rest.append(token)
        elif sign and "," in value:
            lists[key] = value.split(",")
        elif not sign and waiting and "," in waiting[0]:
            lists[key] = waiting.pop(0).split(",")
        else:
            rest.append(token)
    return rest, lists


def lists_of_values(values: Mapping[str, Any], kind: type[TrainingConfig]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Parts the values of a YAML file or of Python's keywords into single ones and those that are lists or tuples, for keys of `kind`."""
    keys = {field.name for field in dataclasses.fields(kind)}
    lists = {key: list(value) for key, value in values.items() if key in keys and isinstance(value, list | tuple)}
    return {key: value for key, value in values.items() if key not in lists}, lists


def grid_of(lists: Mapping[str, Sequence[Any]], config: Config, *, seeds: int | None = None) -> Grid:
    """Every list with its values converted, and checked in each of the configs that they make of `config`; empty where there is nothing but one run.

    seeds: so many runs of each, from `config.seed` on. Raises InputError with one line for each value or key that cannot stand.
    """
    grid, problems = Grid(), list[str]()
    kinds = get_type_hints(type(config))
    for key, values in lists.items():
        if key in ONE_VALUE or key not in kinds:
            near = difflib.get_close_matches(key, kinds, n=1)
            problems.append(f"{key} takes one value: give one" if key in kinds else f"{key} is not an option" + (f": did you mean {near[0]}?" if near else ""))
            continue
        converted = [found for value in values for found in _converted(key, value, kinds[key], problems)]
        if not values:
            problems.append(f"{key} is an empty list: give one value or more")
        if twice := sorted({str(value) for number, value in enumerate(converted) if value in converted[:number]}):
            problems.append(f"{key} has {' and '.join(twice)} twice: once is enough")
        if converted:
            grid[key] = tuple(converted)
    if seeds is not None:
        problems += [f"seeds is {seeds}: it must be at least 1"] if seeds < 1 else []
        problems += [f"seeds is {seeds} and seed is a list: take one away"] if "seed" in lists else []
        grid["seed"] = tuple(range(config.seed, config.seed + max(seeds, 1)))
    problems += dict.fromkeys(line for one in configs_of(grid, config) for line in one.problems())
    if problems:
        raise InputError(*problems)
    return grid


def configs_of(grid: Grid, config: Config) -> list[Config]:
    """One config for each combination of values."""
    return [dataclasses.replace(config, **values) for values in combinations(grid)]


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of values, the last key's changing fastest."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def _converted(key: str, value: Any, hint: Any, problems: list[str]) -> list[Any]:
    """A value as the first kind of the key that can be made of it, or none; texts are read, other values must be of a kind already."""
    kinds = get_args(hint) or (hint,)
    if value is None and NoneType in kinds:
        return [None]
    for kind in (bool, int, float, str):
        if kind not in kinds:
            continue
        if isinstance(value, str):
            try:
                return [YES_AND_NO[value.lower()] if kind is bool else kind(value.strip())]
            except (KeyError, ValueError):
                continue
        if kind is type(value) or (kind is float and type(value) is int):
            return [kind(value)]
    wanted = " or ".join({bool: "yes or no", int: "a whole number", float: "a number", str: "a word"}[kind] for kind in kinds if kind is not NoneType)
    problems.append(f"{key} is {value!r}: give {wanted}")
    return []

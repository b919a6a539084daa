"""Whether a checkpoint is measured on text, and with which objective."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from bertwright.architecture import LM
from bertwright.checkpoints.huggingface import load_model
from bertwright.data.samples import Vocabulary
from bertwright.data.sources import DATASET_MARKERS, FORMATS, TEXT
from bertwright.errors import InputError
from bertwright.models import Model
from bertwright.objectives.config import OBJECTIVES, ObjectiveConfig
from bertwright.objectives.objective import Objective
from bertwright.objectives.registry import objective
from bertwright.objectives.suitable import misfit
from bertwright.objectives.together import Companion, Together
from bertwright.tasks.task import Task


def chosen_objective(model: Model, checkpoint: Path, vocabulary: Vocabulary, *, mlm_probability: float, name: str | None = None) -> Objective:
    """The named one; else what a model that writes was trained for, where its run says so; else the one with the most terms that the checkpoint has heads for.

    Raises InputError where the named one does not suit the checkpoint, or none does.
    """
    if name is not None:
        found = objective(ObjectiveConfig(objective=name, mlm_probability=mlm_probability), vocabulary)
        if problem := misfit(found, model.architecture, vocabulary, name=name):
            raise InputError(problem)
        if lacking := [head for head in found.heads if head not in model.head_kinds]:
            raise InputError(f"{checkpoint} has no {' and no '.join(lacking)} head, which {name} needs: take another objective, or leave it out")
        return found
    if LM in model.head_kinds and (trained := _of_its_run(checkpoint)):
        return objective(trained, vocabulary)
    if served := list(_served(model, checkpoint, vocabulary, mlm_probability=mlm_probability)):
        return max(served, key=lambda one: len(one.terms))
    raise InputError(f"{checkpoint} has no language-modelling head to measure: take a checkpoint that `bertwright pretrain` wrote")


def with_companion(one: Objective, model: Model, checkpoint: Path) -> nn.Module:
    """What an objective measures: the model, with the second one that lies in the checkpoint's folder where it needs one. Raises InputError where none does."""
    wanted = one.companion(model.architecture)
    if wanted is None:
        return model
    if not _holds(checkpoint, wanted):
        raise InputError(
            f"{checkpoint} holds no {wanted.name}, which measuring it needs: take a checkpoint that `bertwright pretrain` wrote, or another objective"
        )
    like = model.tokens.weight
    return Together(model, {wanted.name: load_model(checkpoint / wanted.name, heads=wanted.heads, dtype=like.dtype).model.to(like.device)})


def _holds(checkpoint: Path, wanted: Companion) -> bool:
    return wanted.architecture is not None and (checkpoint / wanted.name / "config.json").is_file()


def measures_text(task: Task | None, inputs: Sequence[str], *, asked: bool) -> bool:
    """Whether a checkpoint of this task, None for none, is to be measured on text and not on labelled rows.

    A model that writes can do both: text is what stands in files and folders of text, in shards and on standard input, or was `asked` for.
    """
    if task is None or task.name != "generate":
        return task is None
    return asked or len(inputs) > 1 or any(_is_text(name) for name in inputs)


def _is_text(name: str) -> bool:
    path = Path(name)
    if path.is_dir():
        return not any((path / marker).is_file() for marker in DATASET_MARKERS)
    return name == "-" or any(FORMATS.get(ending) == TEXT for ending in path.suffixes[-2:])


def _served(model: Model, checkpoint: Path, vocabulary: Vocabulary, *, mlm_probability: float) -> Iterator[Objective]:
    """Those that the checkpoint's heads, stacks and vocabulary serve, and that need no second model but one in its folder."""
    architecture = model.architecture
    for name in OBJECTIVES:
        if name == "span_corruption" and not vocabulary.sentinels:
            continue
        try:
            one = objective(ObjectiveConfig(objective=name, mlm_probability=mlm_probability), vocabulary)
            wanted = one.companion(architecture)
        except InputError:  # it asks for tokens or keys that are not there
            continue
        whole = wanted is None or _holds(checkpoint, wanted)
        if whole and one.heads and set(one.heads) <= set(model.head_kinds) and one.stacks == tuple(architecture.stacks):
            yield one


def _of_its_run(checkpoint: Path) -> ObjectiveConfig | None:
    """The objective and its keys in the config.yaml of the run that a checkpoint lies in; None where there is none, or not of a pre-training."""
    try:
        said: Any = yaml.safe_load((checkpoint.resolve().parents[1] / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, IndexError, ValueError, yaml.YAMLError):
        return None
    keys = {field.name for field in fields(ObjectiveConfig)}
    if not isinstance(said, dict) or said.get("objective") not in OBJECTIVES:
        return None
    return ObjectiveConfig(**{key: value for key, value in said.items() if key in keys})

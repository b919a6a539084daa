"""Files of labelled rows, whatever their kind, as what is trained on, evaluated on while training, and tested on; rows held out where no file says which."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bertwright.data.labelled.bad_rows import listed, many_rows
from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.content import group_of, labels_of
from bertwright.data.labelled.examples import LabelledData, LabelledSplits, TaskName
from bertwright.data.labelled.files import find_files
from bertwright.data.labelled.glue import GlueTask, glue_task
from bertwright.data.labelled.known import Known, Made
from bertwright.data.labelled.labels import split_names
from bertwright.data.labelled.making import make
from bertwright.data.labelled.opening import first_of, open_all
from bertwright.data.sources import TSV, Source, find_source
from bertwright.errors import InputError

MOST = 2  # times the share asked for: labels of few rows may raise it so far


def read_splits(train: str, config: DataConfig) -> LabelledSplits:
    """The rows to train on, to evaluate on while training and, where there are any, to test on.

    train: a file, a folder with files for training, validation and test, a saved Hugging Face data set, or one on the hub.
    Without validation rows some are held out, by label and the config's split_seed. Raises InputError with all that is wrong with the files.
    """
    glue = glue_task(config.glue)
    files = find_files(train, config, glue)
    first = _read(files.train, config, glue, known=None)
    data, said = first.data, [*first.said, *files.said]
    known = Known.of(data)
    if files.validation is None:
        data, validation, line = _held_out(data, config.validation_fraction, config.split_seed)
        said.append(line)
    else:
        validation = _read(files.validation, config, glue, known=known).data
        said += validation.said
    test = None
    if files.test is not None and config.test is not None:
        test = _read(files.test, config, glue, known=known).data
    elif files.test is not None:
        test, why = _found_test(files.test, config, glue, known)
        said += why
    said += test.said if test is not None else ()
    metric = None if glue is None or glue.task != data.task else glue.metric
    return LabelledSplits(train=data, validation=validation, test=test, metric=metric, said=tuple(said))


def read_labelled(
    path: str, *, task: TaskName, config: DataConfig, labels: Sequence[str] | None = None, several: bool = False, known: Mapping[str, Any] | None = None
) -> LabelledData:
    """The labelled rows of one further file, for a model that knows the task and its labels.

    labels: the model's, in the order of their ids; numbers in the file that are no names count as ids. known: `decisions` of the training data, which the file
    is read by: columns, header, what each value stands for. Raises InputError for a label that is none of them, and for a config that cannot stand.
    """
    if problems := config.problems():
        raise InputError(*problems)
    trained = Known.decided(known, task=task, labels=labels or (), several=several)
    return _read(path, replace(config, task=task), glue_task(config.glue), known=trained).data


def _read(path: str, config: DataConfig, glue: GlueTask | None, *, known: Known | None) -> Made:
    config = config if glue is None else with_glue(config, glue, find_source(first_of(path)))
    if known is not None:
        config = as_trained(config, known)
    return make(open_all(path, config, known), config, known=known)


def as_trained(config: DataConfig, known: Known) -> DataConfig:
    """The config of a later file: what training was told of several labels holds for it too."""
    label = known.columns.get("label", "")
    joined = label if len(split_names(label)) > 1 and label not in known.file_columns else None
    return replace(config, several_labels=config.several_labels or known.separator, label_column=config.label_column or joined)


def _found_test(path: str, config: DataConfig, glue: GlueTask | None, known: Known) -> tuple[LabelledData | None, list[str]]:
    """The test file that lay beside the training data, None and why where it cannot be measured on: it must not stop a training that did not ask for it."""
    try:
        if not _has_labels(path, config, known):
            return None, [f"test: {path} has no labels, so nothing is measured on it"]
        return _read(path, config, glue, known=known).data, []
    except InputError as error:
        return None, [f"test: nothing is measured on {path}: {problem}" for problem in error.problems]


def _has_labels(path: str, config: DataConfig, known: Known) -> bool:
    """Whether the first rows of a file that lay beside the training data have labels: test files are often published without."""
    if "label" not in known.columns:
        return True
    table = open_all(path, config, known)
    sample, table = table.peek()
    column = known.roles(table.columns, table.header).get("label")
    none = {None, ""} if "-1" in (*known.labels, *known.values) else {None, "", -1, "-1"}
    cells = [row.get(part) for row in sample for part in (column or "", *split_names(column or ""))]
    return column is None or any(isinstance(cell, list | dict) or cell not in none for cell in cells)


def with_glue(config: DataConfig, glue: GlueTask, source: Source) -> DataConfig:
    """What GLUE says of its own files; the user's word comes first."""
    found: dict[str, Any] = {"task": config.task or glue.task, "label_names": config.label_names or ",".join(glue.label_names) or None}
    if source.format == TSV:
        found |= {f"{role}_column": getattr(config, f"{role}_column") or getattr(glue, role) for role in ("text", "pair", "label")}
        found["header"] = glue.header if config.header is None else config.header
    return replace(config, **found)


def _held_out(data: LabelledData, fraction: float, seed: int) -> tuple[LabelledData, LabelledData, str]:
    """Training and validation rows, and what to say of them."""
    groups, strata = [group_of(example) for example in data.examples], _strata(data)
    held = hold_out(groups, strata, fraction=fraction, seed=seed)
    if not held:
        raise InputError(f"{data.name}: {many_rows(len(data.examples))}, none of which can be held out for validation: give more rows, or --validation FILE")
    chosen = set(held)
    train = replace(data, examples=[example for number, example in enumerate(data.examples) if number not in chosen])
    validation = replace(data, examples=[data.examples[number] for number in held], left_out={}, said=())
    line = f"validation: {many_rows(len(held))} of {data.name}, drawn {'by label ' if data.labels and data.task == 'classify' else ''}with seed {seed}"
    evaluated = {strata[number] for number in held}
    if data.task == "classify" and not data.several and (alone := sorted({label for label in strata if label not in evaluated})):
        line += f"; {len(alone)} label{' of few rows stays' if len(alone) == 1 else 's of few rows stay'} in training, unmeasured ({listed(alone)})"
    return train, validation, f"{line}: --validation names a file"


def _strata(data: LabelledData) -> list[str]:
    """What each row is drawn by: its label; of several the rarest, so that each label is held out; nothing where there are no classes."""
    if data.task != "classify":
        return [""] * len(data.examples)
    counts = Counter(label for example in data.examples for label in labels_of(example))
    return [min(labels_of(example), key=lambda label: (counts[label], label), default="") for example in data.examples]


def hold_out(groups: Sequence[Hashable], strata: Sequence[Hashable], *, fraction: float, seed: int) -> list[int]:
    """The rows to hold out, ascending: of each stratum (a label) a share of `fraction`, and one group of those too small for that.

    Such single groups are taken of the larger strata first, and only until twice `fraction` of all groups is held out. A stratum of one group stays in
    training whole. groups: rows of one group (the same text, the same paragraph) stay together; a group counts for the stratum of its first row.
    """
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    by_stratum: dict[Hashable, list[list[int]]] = {}
    for rows in members.values():
        by_stratum.setdefault(strata[rows[0]], []).append(rows)
    random = np.random.default_rng(seed)
    held: list[int] = []
    counts = {name: min(round(len(each) * fraction), len(each) - 1) for name, each in by_stratum.items()}
    room = max(round(MOST * fraction * len(members)), 1) - sum(counts.values())
    small = sorted((name for name, each in by_stratum.items() if counts[name] < 1 < len(each)), key=lambda name: -len(by_stratum[name]))
    for name in small[: max(room, 0)]:
        counts[name] = 1
    for name, each in by_stratum.items():
        for index in random.permutation(len(each))[: counts[name]]:
            held += each[index]
    return sorted(held)

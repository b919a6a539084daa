"""Which task labelled data asks for, and which one a saved folder serves."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertwright.architecture import CHOICE, CLASSIFY, LM, SPAN, TAG, Architecture, HeadKind
from bertwright.checkpoints.generation import read_settings, said_about_generation, write_said
from bertwright.checkpoints.huggingface import SavableModel, read_architecture, read_config
from bertwright.checkpoints.sentence_transformers import POOLINGS, Pooling, read_sentence_folder, write_sentence_folder
from bertwright.data.labelled.examples import LabelledData
from bertwright.errors import InputError
from bertwright.families import Config, family_of
from bertwright.models import Model
from bertwright.tasks.answering import Answering
from bertwright.tasks.choice import Choice
from bertwright.tasks.classification import Classification, balanced_weights
from bertwright.tasks.embedding import Embedding
from bertwright.tasks.regression import Regression
from bertwright.tasks.tagging import Tagging, balanced_tag_weights
from bertwright.tasks.task import Task
from bertwright.tasks.writing import Writing
from bertwright.text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """How a task is trained, by the keys of fine-tuning; None and 0 mean: as the task does by itself."""

    metric: str | None = None
    label_smoothing: float = 0.0
    class_weights: str | None = None
    r_drop: float = 0.0
    pooling: str | None = None
    doc_stride: int | None = None


# The options that a task has a use for; all have a metric.
OPTIONS = {
    "classify": ("label_smoothing", "class_weights", "r_drop"),
    "regress": (),
    "tag": ("label_smoothing", "class_weights", "doc_stride"),
    "answer": ("doc_stride",),
    "choice": (),
    "embed": ("pooling",),
    "generate": ("label_smoothing",),
}


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a training begins with, or a saved folder is: its folder, config.json, what this describes, and its tokenizer."""

    folder: Path
    config: Config
    architecture: Architecture
    tokenizer: Tokenizer

    @classmethod
    def of(cls, folder: Path) -> "Start":
        """Raises CheckpointError or InputError for a folder that cannot be read."""
        config = read_config(folder)
        return cls(folder=folder, config=config, architecture=read_architecture(folder, config=config), tokenizer=Tokenizer.load(folder))

    def padded(self) -> "Start":
        """With the end of text for padding, where the tokenizer has none: transformers finds a row's last token, which GPT-2's head reads, by its padding."""
        if self.tokenizer.has("pad") or not self.tokenizer.has("eos"):
            return self
        config = {**self.config, "pad_token_id": self.tokenizer.eos_id}
        special = dataclasses.replace(self.tokenizer.special, pad=self.tokenizer.special.eos)
        architecture = dataclasses.replace(self.architecture, pad_id=self.tokenizer.eos_id)
        return Start(folder=self.folder, config=config, architecture=architecture, tokenizer=dataclasses.replace(self.tokenizer, special=special))


def task_for(data: LabelledData, options: TaskOptions, start: Start, *, max_length: int) -> Task:
    """The task that training data is for, from this start. Raises InputError for each option without a use, and for a start that cannot learn it."""
    problems = [
        f"{field.name} is {getattr(options, field.name)}, and task {data.task} has no use for it: leave it out"
        for field in dataclasses.fields(options)
        if field.name not in (*OPTIONS[data.task], "metric") and getattr(options, field.name)
    ]
    task = None
    try:
        task = _build(data, options, start, max_length=max_length)
        problems += _lacks(task, start)
    except InputError as error:
        problems += error.problems
    if problems or task is None:
        raise InputError(*problems)
    return task if options.metric is None else dataclasses.replace(task, metric=options.metric)  # type: ignore[type-var]  # every task is a dataclass


def _build(data: LabelledData, options: TaskOptions, start: Start, *, max_length: int) -> Task:
    labels, smoothing = data.labels, options.label_smoothing
    match data.task:
        case "classify":
            if data.several and len(labels) < 2:
                raise InputError(
                    f"rows may have several labels, and {data.name} has {len(labels)} to learn: give rows of two or more, or a column of yes and no"
                )
            weights = balanced_weights(labels, data.examples, several=data.several) if options.class_weights else None
            return Classification(labels=labels, several=data.several, smoothing=smoothing, weights=weights, r_drop=options.r_drop)
        case "regress":
            return Regression.of(data.examples, bias=any(head.kind == CLASSIFY and bool(head.bias) for head in start.architecture.heads))
        case "tag":
            weights = balanced_tag_weights(labels, data.examples) if options.class_weights else None
            return Tagging(labels=labels, stride=options.doc_stride, smoothing=smoothing, weights=weights)
        case "answer":
            return Answering(stride=options.doc_stride, no_answer=any(not example.answers for example in data.examples))
        case "choice":
            return Choice()
        case "embed":
            return Embedding.of(data.examples, pooling=_pooling(options.pooling), start=read_sentence_folder(start.folder))
        case "generate":
            return _writing(start, smoothing=smoothing).fitted(data.examples, max_length=max_length)


def _pooling(name: str | None) -> Pooling | None:
    return next((pooling for pooling in POOLINGS if pooling == name), None)


def _writing(start: Start, *, smoothing: float = 0.0) -> Writing:
    settings = read_settings(start.folder, start.architecture, start.tokenizer)
    return Writing.of(start.architecture, start.tokenizer, settings, smoothing=smoothing)


def _lacks(task: Task, start: Start) -> list[str]:
    """One line for what keeps a start from a task; empty when nothing does."""
    if isinstance(task, Embedding):
        return task.problems(start.architecture)
    family = family_of(start.config)
    if not (lacking := [head for head in task.heads if head not in family.heads]):
        return []
    return [
        f"task {task.name} needs a {' and a '.join(lacking)} head, and {start.folder} is of the {family.name} family, which has none: "
        "take a checkpoint of another family"
    ]


def task_of(folder: Path) -> Task | None:
    """The task that a saved folder serves, by its config.json; None where it is one of pre-training. Raises CheckpointError for one that cannot be read."""
    start = Start.of(folder)
    config, heads = start.config, declared_heads(start.config)
    labels = label_names(config)
    if CLASSIFY in heads:
        if config.get("problem_type") == "regression" or len(labels) == 1:
            return Regression(unit=float(_own_keys(config).get("unit", 1.0)))
        return Classification(labels=labels, several=config.get("problem_type") == "multi_label_classification")
    if TAG in heads:
        return Tagging(labels=labels)
    if SPAN in heads:
        return Answering(no_answer=bool(_own_keys(config).get("no_answer")))
    if CHOICE in heads:
        return Choice()
    if LM in heads:
        return _writing(start)
    sentences = read_sentence_folder(folder)
    return None if sentences is None else Embedding.of_folder(sentences, config)


def write_beside(task: Task, start: Start, folder: Path, *, max_length: int) -> None:
    """What a task's checkpoints hold beside model and tokenizer: how vectors are pooled, how text is generated."""
    if isinstance(task, Embedding):
        write_sentence_folder(folder, task.folder(max_length=max_length), size=start.architecture.hidden_size)
    if isinstance(task, Writing):
        write_said(folder, task.generation_config(said_about_generation(start.folder)))


def decisions_of(model: Model) -> Mapping[str, Any]:
    """How the values of a model's training data were read, which its config.json keeps; empty where it keeps nothing."""
    decided = _own_keys(model.config).get("data") if isinstance(model, SavableModel) else None
    return decided if isinstance(decided, dict) else {}


def _own_keys(config: Config) -> Mapping[str, Any]:
    """What a config.json holds that Hugging Face has no key for."""
    own = config.get("bertwright")
    return own if isinstance(own, dict) else {}


def declared_heads(config: Config) -> tuple[HeadKind, ...]:
    """The heads of the class that a config.json names; none where it names none of its family's."""
    family = family_of(config)
    return next((tuple(family.classes[name]) for name in family.declared(config)), ())


def label_names(config: Config) -> tuple[str, ...]:
    """The labels of a config.json in the order of their ids; where it names none, Hugging Face's two."""
    named = config.get("id2label")
    if not isinstance(named, dict):
        return tuple(f"LABEL_{number}" for number in range(int(config.get("num_labels", 2))))
    return tuple(str(named[key]) for key in sorted(named, key=int))

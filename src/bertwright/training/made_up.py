"""Passes of a model over rows that are made up, to count what they hold."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from bertwright.analysis.subject import Subject, of_preset_or_config
from bertwright.architecture import Architecture, HeadKind
from bertwright.data import keys as draws
from bertwright.data.batch import Batch
from bertwright.data.samples import Vocabulary
from bertwright.data.shards import Split
from bertwright.errors import InputError
from bertwright.families import FAMILIES
from bertwright.models import Model
from bertwright.objectives.config import ObjectiveConfig
from bertwright.objectives.objective import Objective
from bertwright.objectives.registry import objective as objective_of
from bertwright.objectives.suitable import misfit
from bertwright.training.rehearsal import InferenceRehearsal, Memory, Setting, TrainingRehearsal, rehearsal

# What is tried where nobody names an objective: the first that the model can learn.
USUAL = ("mlm+nsp", "mlm", "clm", "denoising", "span_corruption")
# The name of none.
PREDICT = "predict"
# Of a made-up vocabulary: its special entries at its beginning, and sentinels at its end.
SPECIAL, SENTINELS = 5, 100
# Of a made-up text: tokens a sentence, the fewest sentences a document, and the rows that one fills at least: a pair takes its row from two of them.
SENTENCE, DOCUMENT, FILLED = 20, 10, 2


@dataclass(frozen=True, kw_only=True)
class MadeUpRun:
    """Passes over made-up rows. objective: None where nothing is trained."""

    subject: Subject
    setting: Setting
    objective: Objective | None
    vocabulary: Vocabulary
    name: str = PREDICT

    @property
    def models(self) -> list[tuple[Architecture, tuple[HeadKind, ...]]]:
        """Its own model, and the one that its objective trains along, where there is one."""
        companion = None if self.objective is None else self.objective.companion(self.subject.architecture)
        beside = [] if companion is None or companion.architecture is None else [(companion.architecture, companion.heads)]
        return [(self.subject.architecture, self.subject.heads), *beside]

    def build(self) -> nn.Module:
        """What is trained or predicts, with new weights."""
        model, *beside = (Model(architecture, heads) for architecture, heads in self.models)
        return model if self.objective is None else self.objective.together(model, beside[0] if beside else None)

    def batch(self, *, rows: int, length: int) -> Batch:
        """A batch of the objective's. Raises ValueError where nothing is trained."""
        if self.objective is None:
            raise ValueError("nothing is trained")
        return made_up_batch(self.objective, self.vocabulary, rows=rows, length=length)

    def memories(self, shapes: Sequence[tuple[int, int]]) -> list[Memory]:
        """What a pass holds for each (rows, length)."""
        if self.objective is None:
            with rehearsal(self.setting) as held:
                predicting = InferenceRehearsal(self.build, self.setting, held)
                return [predicting.memory(rows=rows, length=length) for rows, length in shapes]
        batches = [self.batch(rows=rows, length=length) for rows, length in shapes]
        with rehearsal(self.setting) as held:
            training = TrainingRehearsal(self.build, self.setting, held)
            return [training.memory(self.objective, batch) for batch in batches]

    def with_(self, **changed: Any) -> "MadeUpRun":
        """The same with other settings."""
        return dataclasses.replace(self, setting=dataclasses.replace(self.setting, **changed))


def made_up_run(
    model: str,
    *,
    objective: str | None = None,
    length: int,
    bf16: bool,
    optimizer: Literal["muon", "adamw"],
    gradient_checkpointing: bool = False,
    vocab_size: int | None = None,
    kept: bool | None = None,
) -> MadeUpRun:
    """Passes of a model with new weights, by a preset's name or the path of a config.json. objective: its name, `predict` for none; length: the most.

    Raises InputError with one line for each thing wrong.
    """
    subject = of_preset_or_config(model, vocab_size=vocab_size)
    limit = subject.architecture.max_length
    given = (("max_seq_length", length, 8), ("vocab_size", subject.architecture.vocab_size, 2 * (SPECIAL + SENTINELS)))
    problems = [f"{name} is {value}: it must be at least {least}" for name, value, least in given if value < least]
    if limit is not None and length > limit:
        problems.append(f"max_seq_length {length} is longer than the {limit} positions of {model}: take {limit} or less")
    if problems:
        raise InputError(*problems)
    vocabulary = _vocabulary(subject.architecture.vocab_size)
    dtype = torch.bfloat16 if bf16 else torch.float32
    setting = Setting(dtype=dtype, optimizer=optimizer, recompute=gradient_checkpointing, kept=kept)
    if objective == PREDICT:
        return MadeUpRun(subject=subject, setting=setting, objective=None, vocabulary=vocabulary)
    name, built = _objective(objective, subject, vocabulary)
    family = next(family for family in FAMILIES if family.name == subject.family)
    architecture = subject.architecture.with_dropout(built.dropout)
    trained = dataclasses.replace(subject, architecture=architecture, heads=family.complete_heads(built.heads))
    return MadeUpRun(subject=trained, setting=setting, objective=built, vocabulary=vocabulary, name=name)


def _objective(name: str | None, subject: Subject, vocabulary: Vocabulary) -> tuple[str, Objective]:
    """By its name, or the first usual one that the model can learn. Raises InputError where it cannot."""
    if name == "distill":
        raise InputError("objective distill reads a teacher, which is not counted: take another, such as mlm, and add the teacher's weights to it")
    said = ""
    for tried in USUAL if name is None else (name,):
        built = objective_of(ObjectiveConfig(objective=tried), vocabulary)
        said = misfit(built, subject.architecture, vocabulary, name=tried) or ""
        if not said:
            return tried, built
    raise InputError(said)


def _vocabulary(size: int) -> Vocabulary:
    """A made-up one, with every token that an objective may need."""
    pad, unknown, cls, sep, mask = range(SPECIAL)
    return Vocabulary(size, pad, cls, sep, mask, tuple(range(SPECIAL)), unknown, cls, sep, tuple(range(size - SENTINELS, size)))


def made_up_batch(objective: Objective, vocabulary: Vocabulary, *, rows: int, length: int) -> Batch:
    """A batch of an objective from random tokens, of full rows."""
    document = max(DOCUMENT, -(-FILLED * length // SENTENCE))  # sentences
    sentences = np.arange(0, 4 * rows * document * SENTENCE + 1, SENTENCE, dtype=np.int64)
    ids = np.random.default_rng(0).choice(np.flatnonzero(vocabulary.maskable), size=int(sentences[-1])).astype(np.uint32)
    split = Split(
        tokens=ids,
        sentences=sentences,
        documents=np.append(np.arange(0, len(sentences) - 1, document), len(sentences) - 1).astype(np.int64),
        word_starts=np.ones(len(ids), np.uint8),
        token_counts=np.bincount(ids, minlength=vocabulary.size).astype(np.int64),
    )
    numbers = np.arange(rows)
    source = objective.source(split, vocabulary, length=length, seed=0)
    return objective.batch(source.take(0, numbers), draws.draw(draws.key_of(0, 0), numbers, draws.DROPOUT), numbers)

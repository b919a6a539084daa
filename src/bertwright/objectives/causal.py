"""Causal language modelling: the next token, GPT's objective (Radford et al. 2018, section 3.1)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from bertwright.architecture import LM, HeadKind
from bertwright.blocks.layout import Packed, Padded
from bertwright.data.batch import LENGTH_STEP, Batch
from bertwright.data.keys import KeyArray
from bertwright.data.running_text import RunningText
from bertwright.data.samples import BoolArray, IntArray, Samples, Source, Vocabulary
from bertwright.data.shards import Split
from bertwright.objectives.mlm import scored
from bertwright.objectives.objective import Losses, Objective, Term


def worth_predicting(labels: IntArray, vocabulary: Vocabulary) -> BoolArray:
    """False on tokens that nobody wants written: the unknown one, where it is not also what a text begins or ends with, as GPT-2's is."""
    if vocabulary.unk_id in (vocabulary.begin_id, vocabulary.end_id):
        return np.ones(labels.shape, dtype=bool)
    known: BoolArray = labels != vocabulary.unk_id
    return known


@dataclass(frozen=True)
class CausalLanguageModel(Objective):
    """Predicts each token from those before it in its document. Rows are full of documents, none of which sees or predicts another."""

    vocabulary: Vocabulary
    heads: tuple[HeadKind, ...] = (LM,)
    terms: tuple[str, ...] = ("clm",)
    segments: int = 0
    stacks: tuple[str, ...] = ("decoder",)
    tokens: tuple[str, ...] = ()

    def source(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> Source:
        return RunningText(split, vocabulary, length=length, seed=seed)

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> Batch:
        read = np.maximum(samples.lengths - 1, 1)
        width = min(samples.ids.shape[1] - 1, -(-int(read.max()) // LENGTH_STEP) * LENGTH_STEP)
        ids, labels = samples.ids[:, :width], samples.ids[:, 1 : width + 1]
        within = (np.arange(width) < samples.lengths[:, None] - 1) & worth_predicting(labels, self.vocabulary)
        if samples.sequences is not None:
            within &= samples.sequences[:, :width] == samples.sequences[:, 1 : width + 1]
        chosen = np.flatnonzero(within)
        return Batch(
            input_ids=torch.from_numpy(ids.copy()),
            # Padding at a row's end is behind all that is scored, and no token looks ahead.
            layout=Padded() if samples.sequences is None else Packed(torch.from_numpy(samples.sequences[:, :width].copy())),
            predict_positions=torch.from_numpy(chosen),
            prediction_labels=torch.from_numpy(labels.reshape(-1)[chosen]),
            weights={"clm": float(len(chosen))},
            numbers=numbers,
            tokens=int(read.sum()),
        )

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        output = model(batch.input_ids, layout=batch.layout, predict_positions=batch.predict_positions, prediction_labels=batch.prediction_labels)
        return {"clm": Term(output.prediction_loss)}

    def measures(self, model: nn.Module, batch: Batch) -> Losses:
        output = model(batch.input_ids, layout=batch.layout, predict_positions=batch.predict_positions)
        return {"clm": scored(output.prediction_logits, batch.prediction_labels)}

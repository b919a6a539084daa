"""What objectives of models with two stacks share: an encoder reads one row, a decoder writes another."""

from abc import ABC
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import nn

from bertwright.architecture import LM, HeadKind
from bertwright.blocks.layout import Padded
from bertwright.data.batch import LENGTH_STEP, Batch
from bertwright.data.running_text import filler
from bertwright.data.samples import ABSENT, BoolArray, IntArray, Vocabulary
from bertwright.models import Model
from bertwright.objectives.causal import worth_predicting
from bertwright.objectives.mlm import scored
from bertwright.objectives.noise import NOTHING, compact
from bertwright.objectives.objective import Losses, Objective, Term


@dataclass(frozen=True)
class Rewriting(Objective, ABC):
    """Base of objectives that have a decoder write what an encoder's row stands for. Its one term has the objective's name."""

    vocabulary: Vocabulary
    heads: tuple[HeadKind, ...] = (LM,)
    segments: int = 0
    stacks: tuple[str, ...] = ("encoder", "decoder")
    tokens: tuple[str, ...] = ("pad", "end")

    def made_of(self, read: IntArray, written: IntArray, numbers: IntArray, *, longest: int, framed: bool = False) -> Batch:
        """A batch of [batch, places] ids to be read and to be written, with NOTHING where a place has none. Every row gets its end token, and with `framed`
        its begin token where the vocabulary has one. longest: tokens that no row is filled up beyond, since the model may have no more places.
        """
        read_ids, read_lengths = self._ended(read, longest=longest, framed=framed)
        ids, lengths = self._ended(written, longest=longest, framed=framed)
        real = np.arange(ids.shape[1]) < lengths[:, None]
        chosen = np.flatnonzero(real & worth_predicting(ids, self.vocabulary))
        mask = np.arange(read_ids.shape[1]) < read_lengths[:, None]
        return Batch(
            input_ids=torch.from_numpy(read_ids),
            layout=Padded(None if mask.all() else torch.from_numpy(mask)),
            target_ids=torch.from_numpy(ids),
            predict_positions=torch.from_numpy(chosen),
            prediction_labels=torch.from_numpy(ids.reshape(-1)[chosen]),
            weights={self.terms[0]: float(len(chosen))},
            numbers=numbers,
            tokens=int(read_lengths.sum() + lengths.sum()),
        )

    def _ended(self, ids: IntArray, *, longest: int, framed: bool) -> tuple[IntArray, IntArray]:
        vocabulary = self.vocabulary
        begin = [np.full((len(ids), 1), vocabulary.begin_id)] if framed and vocabulary.begin_id != ABSENT else []
        rows, lengths = compact(np.concatenate([*begin, ids, np.full((len(ids), 1), vocabulary.end_id)], axis=1), fill=filler(vocabulary))
        width = max(rows.shape[1], min(longest, -(-rows.shape[1] // LENGTH_STEP) * LENGTH_STEP))
        return np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=filler(vocabulary)), lengths

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        output = model(
            batch.input_ids,
            layout=batch.layout,
            decoder_input_ids=_shifted(model, batch),
            predict_positions=batch.predict_positions,
            prediction_labels=batch.prediction_labels,
        )
        return {self.terms[0]: Term(output.prediction_loss)}

    def measures(self, model: nn.Module, batch: Batch) -> Losses:
        output = model(batch.input_ids, layout=batch.layout, decoder_input_ids=_shifted(model, batch), predict_positions=batch.predict_positions)
        return {self.terms[0]: scored(output.prediction_logits, batch.prediction_labels)}


def _shifted(model: nn.Module, batch: Batch) -> torch.Tensor:
    """What the decoder reads. It looks at nothing ahead, so that padding behind a row's end needs no mask."""
    if batch.target_ids is None:
        raise ValueError("this batch has nothing to be written")
    return cast(Model, model).shifted(batch.target_ids)


def gone(ids: IntArray, absent: BoolArray) -> IntArray:
    """Ids with NOTHING where `absent` is true."""
    return np.where(absent, NOTHING, ids)

"""Masked language modelling (Devlin et al. 2018, section 3.1)."""

from abc import ABC
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import MLM, HeadKind
from bertwright.data.batch import Batch, layout_of, shown_length
from bertwright.data.keys import KeyArray
from bertwright.data.packed_rows import PackedRows
from bertwright.data.samples import BoolArray, IntArray, Samples, Source, Vocabulary
from bertwright.data.shards import Split
from bertwright.models.output import Output
from bertwright.objectives.masking import BERTS, Masking, mask_tokens
from bertwright.objectives.objective import Losses, Objective, Term

# Logits of one pass over scored tokens that are measured: 16 Mi values.
LOGIT_VALUES = 16 * 2**20


@dataclass(frozen=True)
class MaskedLanguageModel(Objective):
    """Predicts masked tokens in full rows of packed documents. `masking`: which are masked, and how."""

    vocabulary: Vocabulary
    masking: Masking = BERTS
    heads: tuple[HeadKind, ...] = (MLM,)
    terms: tuple[str, ...] = ("mlm",)
    segments: int = 0

    def over(self, samples: float) -> "MaskedLanguageModel":
        return replace(self, masking=self.masking.over(samples))

    @property
    def measured(self) -> "MaskedLanguageModel":
        return replace(self, masking=self.masking.at_the_end)

    @cached_property
    def candidates(self) -> IntArray:
        """The ids that a random token is drawn from: all but special ones."""
        return np.flatnonzero(self.maskable)

    @cached_property
    def maskable(self) -> BoolArray:
        """bool [vocab_size]."""
        return self.vocabulary.maskable

    def check(self, *, length: int, special: int) -> None:
        """Raises InputError where rows of `length` tokens, `special` of which are no text, cannot be masked."""
        self.masking.check(length=length, special=special)

    def source(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> Source:
        self.check(length=length, special=2)
        return PackedRows(split, vocabulary, length=length, seed=seed, words=self.masking.needs_words)

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> Batch:
        length = shown_length(samples)
        ids = samples.ids[:, :length]
        corrupted, chosen = mask_tokens(
            ids,
            self.maskable[ids],
            keys,
            rate=self.masking.rates(numbers),
            candidates=self.candidates,
            mask_id=self.vocabulary.mask_id,
            masking=self.masking,
            word_starts=None if samples.word_starts is None else samples.word_starts[:, :length],
        )
        types = None if samples.token_type_ids is None else torch.from_numpy(samples.token_type_ids[:, :length].copy())
        return Batch(
            input_ids=torch.from_numpy(corrupted),
            token_type_ids=types,
            layout=layout_of(samples, length),
            predict_positions=torch.from_numpy(chosen),
            prediction_labels=torch.from_numpy(ids.reshape(-1)[chosen]),
            weights={"mlm": float(len(chosen))},
            numbers=numbers,
            tokens=int(samples.lengths.sum()),
        )

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        return {"mlm": masked_loss(model, batch)[1]}

    def measures(self, model: nn.Module, batch: Batch) -> Losses:
        return {"mlm": masked_measure(model, batch)[1]}


@dataclass(frozen=True)
class BuiltOnMasks(Objective, ABC):
    """Base of objectives that learn from masked rows and something more. `mlm`: which tokens are masked, and how."""

    mlm: MaskedLanguageModel

    def over(self, samples: float) -> Self:
        return replace(self, mlm=self.mlm.over(samples))

    @property
    def measured(self) -> Self:
        return replace(self, mlm=self.mlm.measured)

    def source(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> Source:
        return self.mlm.source(split, vocabulary, length=length, seed=seed)


def masked_loss(model: nn.Module, batch: Batch) -> tuple[Output, Term]:
    """What a model makes of a masked batch, and the loss of its masked tokens, without their logits. Raises ValueError where the batch has no labels."""
    output = _output(model, batch, labels=batch.prediction_labels)
    if output.prediction_loss is None:
        raise ValueError("this batch has no labels")
    return output, Term(output.prediction_loss)


def masked_measure(model: nn.Module, batch: Batch) -> tuple[Output, Term]:
    """As `masked_loss`, with hits. Raises ValueError where the batch has no labels, or the model no head for them."""
    output = _output(model, batch, labels=None)
    if output.prediction_logits is None:
        raise ValueError("the model has no masked-language head")
    return output, scored(output.prediction_logits, batch.prediction_labels)


def _output(model: nn.Module, batch: Batch, *, labels: Tensor | None) -> Output:
    found: Output = model(
        batch.input_ids,
        token_type_ids=batch.token_type_ids,
        layout=batch.layout,
        predict_positions=batch.predict_positions,
        prediction_labels=labels,
    )
    return found


def scored(logits: Tensor, labels: Tensor | None) -> Term:
    """logits: [scored, vocab_size], labels: [scored] -> cross-entropy and hits, a part of the scored tokens at a time."""
    if labels is None:
        raise ValueError("this batch has no labels")
    loss, hits, part = torch.zeros((), device=logits.device), torch.zeros((), device=logits.device), max(1, LOGIT_VALUES // logits.shape[-1])
    for some, right in zip(torch.split(logits, part), torch.split(labels, part), strict=True):
        loss += F.cross_entropy(some.float(), right, reduction="sum")
        hits += (some.argmax(-1) == right).sum()
    return Term(loss, hits=hits)

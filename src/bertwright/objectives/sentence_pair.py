"""Masked language modelling of pairs of segments: with next-sentence prediction (BERT's own objective), or with the order of the two (ALBERT's)."""

from abc import ABC
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from bertwright.architecture import MLM, NSP, POOLER, SOP, HeadKind
from bertwright.data.batch import Batch
from bertwright.data.keys import KeyArray
from bertwright.data.samples import IntArray, Samples, Source, Vocabulary
from bertwright.data.sentence_pairs import SentencePairs
from bertwright.data.shards import Split
from bertwright.models.output import Output
from bertwright.objectives.mlm import BuiltOnMasks, MaskedLanguageModel, masked_loss, masked_measure
from bertwright.objectives.objective import Losses, Term


@dataclass(frozen=True)
class OfPairs(BuiltOnMasks, ABC):
    """Base: predicts masked tokens, and one of two things of each pair of segments, whose term is the second.

    ordered: whether the segments of a pair always follow each other; label: the name, in samples and batches, of which of the two it is; logits: of the output
    that says it, [batch, 2].
    """

    segments: int = 2
    ordered: ClassVar[bool]
    label: ClassVar[str]
    logits: ClassVar[str]

    @property
    def simpler(self) -> MaskedLanguageModel:
        return self.mlm

    def source(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> Source:
        self.mlm.check(length=length, special=3)
        return SentencePairs(split, vocabulary, length=length, seed=seed, ordered=self.ordered, words=self.mlm.masking.needs_words)

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> Batch:
        label = getattr(samples, self.label)
        if label is None:
            raise ValueError(f"these samples are no pairs with a {self.label}")
        masked = self.mlm.batch(samples, keys, numbers)
        told: dict[str, Any] = {self.label: torch.from_numpy(label)}
        return replace(masked, weights={**masked.weights, self.terms[1]: float(len(label))}, **told)

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        output, masked = masked_loss(model, batch)
        return {"mlm": masked, self.terms[1]: self._told(output, batch)}

    def measures(self, model: nn.Module, batch: Batch) -> Losses:
        output, masked = masked_measure(model, batch)
        return {"mlm": masked, self.terms[1]: self._told(output, batch)}

    def _told(self, output: Output, batch: Batch) -> Term:
        logits, label = getattr(output, self.logits), getattr(batch, self.label)
        if logits is None or label is None:
            raise ValueError("this batch holds no pairs, or the model has no head for them")
        return Term(F.cross_entropy(logits.float(), label, reduction="sum"), hits=(logits.argmax(-1) == label).sum())


@dataclass(frozen=True)
class NextSentence(OfPairs):
    """Predicts masked tokens, and whether B follows A (Devlin et al. 2018, section 3.1)."""

    heads: tuple[HeadKind, ...] = (POOLER, MLM, NSP)
    terms: tuple[str, ...] = ("mlm", "nsp")
    ordered: ClassVar[bool] = False
    label: ClassVar[str] = "next_sentence_label"
    logits: ClassVar[str] = "seq_relationship_logits"


@dataclass(frozen=True)
class SentenceOrder(OfPairs):
    """Predicts masked tokens, and whether two segments that follow each other were swapped (Lan et al. 2019, ALBERT, section 3.1)."""

    heads: tuple[HeadKind, ...] = (POOLER, MLM, SOP)
    terms: tuple[str, ...] = ("mlm", "sop")
    ordered: ClassVar[bool] = True
    label: ClassVar[str] = "sentence_order_label"
    logits: ClassVar[str] = "sop_logits"

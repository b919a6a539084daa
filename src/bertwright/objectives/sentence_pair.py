"""Masked language modelling of pairs of segments: with next-sentence prediction (BERT's own objective), or with the order of the two (ALBERT's)."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import MLM, NSP, POOLER, SOP, HeadKind
from bertwright.data.batch import Batch
from bertwright.data.keys import KeyArray
from bertwright.data.samples import IntArray, Samples, Source, Vocabulary
from bertwright.data.sentence_pairs import SentencePairs
from bertwright.data.shards import Split
from bertwright.models.output import Output
from bertwright.objectives.mlm import MaskedLanguageModel, scored
from bertwright.objectives.objective import Losses, Objective, Term


@dataclass(frozen=True)
class NextSentence(Objective):
    """Predicts masked tokens, and whether B follows A (Devlin et al. 2018, section 3.1)."""

    mlm: MaskedLanguageModel
    heads: tuple[HeadKind, ...] = (POOLER, MLM, NSP)
    terms: tuple[str, ...] = ("mlm", "nsp")
    segments: int = 2

    @property
    def simpler(self) -> MaskedLanguageModel:
        return self.mlm

    @property
    def measured(self) -> "NextSentence":
        return replace(self, mlm=self.mlm.measured)

    def over(self, samples: float) -> "NextSentence":
        return replace(self, mlm=self.mlm.over(samples))

    def source(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> Source:
        self.mlm.check(length=length, special=3)
        return SentencePairs(split, vocabulary, length=length, seed=seed, words=self.mlm.masking.needs_words)

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> Batch:
        if samples.next_sentence_label is None:
            raise ValueError("these samples are no pairs")
        masked, label = self.mlm.batch(samples, keys, numbers), torch.from_numpy(samples.next_sentence_label)
        return replace(masked, next_sentence_label=label, weights={**masked.weights, "nsp": float(len(label))})

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        output, masked = _trained(model, batch)
        return {"mlm": masked, "nsp": _pairs(output.seq_relationship_logits, batch.next_sentence_label)}

    def measures(self, model: nn.Module, batch: Batch) -> Losses:
        output, masked = _measured(model, batch)
        return {"mlm": masked, "nsp": _pairs(output.seq_relationship_logits, batch.next_sentence_label)}


@dataclass(frozen=True)
class SentenceOrder(Objective):
    """Predicts masked tokens, and whether two segments that follow each other were swapped (Lan et al. 2019, ALBERT, section 3.1)."""

    mlm: MaskedLanguageModel
    heads: tuple[HeadKind, ...] = (POOLER, MLM, SOP)
    terms: tuple[str, ...] = ("mlm", "sop")
    segments: int = 2

    @property
    def simpler(self) -> MaskedLanguageModel:
        return self.mlm

    @property
    def measured(self) -> "SentenceOrder":
        return replace(self, mlm=self.mlm.measured)

    def over(self, samples: float) -> "SentenceOrder":
        return replace(self, mlm=self.mlm.over(samples))

    def source(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> Source:
        self.mlm.check(length=length, special=3)
        return SentencePairs(split, vocabulary, length=length, seed=seed, ordered=True, words=self.mlm.masking.needs_words)

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> Batch:
        if samples.sentence_order_label is None:
            raise ValueError("these samples are no pairs whose order is known")
        masked, label = self.mlm.batch(samples, keys, numbers), torch.from_numpy(samples.sentence_order_label)
        return replace(masked, sentence_order_label=label, weights={**masked.weights, "sop": float(len(label))})

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        output, masked = _trained(model, batch)
        return {"mlm": masked, "sop": _pairs(output.sop_logits, batch.sentence_order_label)}

    def measures(self, model: nn.Module, batch: Batch) -> Losses:
        output, masked = _measured(model, batch)
        return {"mlm": masked, "sop": _pairs(output.sop_logits, batch.sentence_order_label)}


def _trained(model: nn.Module, batch: Batch) -> tuple[Output, Term]:
    output = _output(model, batch, labels=batch.prediction_labels)
    if output.prediction_loss is None:
        raise ValueError("this batch has no labels")
    return output, Term(output.prediction_loss)


def _measured(model: nn.Module, batch: Batch) -> tuple[Output, Term]:
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


def _pairs(logits: Tensor | None, label: Tensor | None) -> Term:
    """logits: [batch, 2], label: [batch]. Raises ValueError where one of them is missing."""
    if logits is None or label is None:
        raise ValueError("this batch holds no pairs, or the model has no head for them")
    return Term(F.cross_entropy(logits.float(), label, reduction="sum"), hits=(logits.argmax(-1) == label).sum())

"""Masked language modelling with next-sentence prediction, BERT's own objective (Devlin et al. 2018, section 3.1)."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import MLM, NSP, POOLER, HeadKind
from bertwright.data.batch import Batch
from bertwright.data.keys import KeyArray
from bertwright.data.samples import IntArray, Samples, SentencePairs, Source, Vocabulary
from bertwright.data.shards import Split
from bertwright.objectives.mlm import MaskedLanguageModel, scored
from bertwright.objectives.objective import Losses, Objective, Term


@dataclass(frozen=True)
class NextSentence(Objective):
    """Pairs of segments: predicts their masked tokens, and whether B follows A."""

    mlm: MaskedLanguageModel
    heads: tuple[HeadKind, ...] = (POOLER, MLM, NSP)
    terms: tuple[str, ...] = ("mlm", "nsp")
    segments: int = 2

    @property
    def simpler(self) -> MaskedLanguageModel:
        return self.mlm

    def source(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> Source:
        return SentencePairs(split, vocabulary, length=length, seed=seed)

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> Batch:
        if samples.next_sentence_label is None:
            raise ValueError("these samples are no pairs")
        masked = self.mlm.batch(samples, keys, numbers)
        label = torch.from_numpy(samples.next_sentence_label)
        return replace(masked, next_sentence_label=label, weights={**masked.weights, "nsp": float(len(label))})

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        if batch.next_sentence_label is None:
            raise ValueError("this batch holds no pairs")
        output = model(
            batch.input_ids,
            token_type_ids=batch.token_type_ids,
            layout=batch.layout,
            predict_positions=batch.predict_positions,
            prediction_labels=batch.prediction_labels,
        )
        return {"mlm": Term(output.prediction_loss), "nsp": _pairs(output.seq_relationship_logits, batch.next_sentence_label)}

    def measures(self, model: nn.Module, batch: Batch) -> Losses:
        if batch.next_sentence_label is None:
            raise ValueError("this batch holds no pairs")
        output = model(batch.input_ids, token_type_ids=batch.token_type_ids, layout=batch.layout, predict_positions=batch.predict_positions)
        pairs = _pairs(output.seq_relationship_logits, batch.next_sentence_label)
        return {"mlm": scored(output.prediction_logits, batch.prediction_labels), "nsp": pairs}


def _pairs(logits: Tensor, label: Tensor) -> Term:
    return Term(F.cross_entropy(logits.float(), label, reduction="sum"), hits=(logits.argmax(-1) == label).sum())

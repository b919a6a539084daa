"""Masked language modelling (Devlin et al. 2018, section 3.1)."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import MLM, HeadKind
from bertwright.data import keys as draws
from bertwright.data.batch import Batch, layout_of, shown_length
from bertwright.data.keys import KeyArray
from bertwright.data.samples import BoolArray, IntArray, PackedRows, Samples, Source, Vocabulary
from bertwright.data.shards import Split
from bertwright.objectives.objective import Losses, Objective, Term

# Logits of one pass over scored tokens that are measured: 16 Mi values.
LOGIT_VALUES = 16 * 2**20
# Of the chosen tokens: 80% become [MASK], 10% a random token, 10% stay.
MASKED, REPLACED = 0.8, 0.1


def mask_tokens(ids: IntArray, maskable: BoolArray, keys: KeyArray, *, rate: float, candidates: IntArray, mask_id: int) -> tuple[IntArray, IntArray]:
    """Masks `rate` of the maskable tokens of each row: 80% [MASK], 10% random, 10% kept (Devlin et al. 2018, section 3.1).

    ids, maskable: [batch, length]; keys: uint64 [batch], one per sample; candidates: the ids a random token is drawn from.
    A row with n maskable tokens gives rate * n of them, rounded up or down by a coin so that the rate holds in the mean.
    Returns the corrupted ids and the flat positions to predict, ascending. A row with nothing maskable yields no positions.
    """
    count = maskable.sum(1) * rate
    count = np.floor(count + draws.uniform(keys, 0, draws.MASK_COUNT)).astype(np.int64)
    places = np.arange(ids.shape[1])
    rank = np.where(maskable, draws.draw(keys[:, None], places, draws.MASK_CHOICE) >> np.uint64(1), np.uint64(2**64 - 1))
    order = np.argsort(rank, axis=1, kind="stable")
    chosen = np.zeros_like(maskable)
    np.put_along_axis(chosen, order, places < count[:, None], axis=1)
    kind = draws.uniform(keys[:, None], places, draws.MASK_KIND)
    random = candidates[draws.below(len(candidates), keys[:, None], places, draws.MASK_TOKEN)]
    corrupted = np.where(chosen & (kind < MASKED), mask_id, ids)
    corrupted = np.where(chosen & (kind >= MASKED) & (kind < MASKED + REPLACED), random, corrupted)
    return corrupted, np.flatnonzero(chosen)


@dataclass(frozen=True)
class MaskedLanguageModel(Objective):
    """Predicts masked tokens in full rows of packed documents. `rate`: share of the maskable tokens that are chosen."""

    vocabulary: Vocabulary
    rate: float = 0.15
    heads: tuple[HeadKind, ...] = (MLM,)
    terms: tuple[str, ...] = ("mlm",)
    segments: int = 0

    def source(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> Source:
        return PackedRows(split, vocabulary, length=length, seed=seed)

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> Batch:
        length = shown_length(samples)
        ids = samples.ids[:, :length]
        table = self.vocabulary.maskable
        corrupted, chosen = mask_tokens(ids, table[ids], keys, rate=self.rate, candidates=np.flatnonzero(table), mask_id=self.vocabulary.mask_id)
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
        output = model(
            batch.input_ids,
            token_type_ids=batch.token_type_ids,
            layout=batch.layout,
            predict_positions=batch.predict_positions,
            prediction_labels=batch.prediction_labels,
        )
        return {"mlm": Term(output.prediction_loss)}

    def measures(self, model: nn.Module, batch: Batch) -> Losses:
        output = model(batch.input_ids, token_type_ids=batch.token_type_ids, layout=batch.layout, predict_positions=batch.predict_positions)
        return {"mlm": scored(output.prediction_logits, batch.prediction_labels)}


def scored(logits: Tensor, labels: Tensor | None) -> Term:
    """logits: [scored, vocab_size], labels: [scored] -> cross-entropy and hits, a part of the scored tokens at a time."""
    if labels is None:
        raise ValueError("this batch has no labels")
    loss, hits, part = torch.zeros((), device=logits.device), torch.zeros((), device=logits.device), max(1, LOGIT_VALUES // logits.shape[-1])
    for some, right in zip(torch.split(logits, part), torch.split(labels, part), strict=True):
        loss += F.cross_entropy(some.float(), right, reduction="sum")
        hits += (some.argmax(-1) == right).sum()
    return Term(loss, hits=hits)

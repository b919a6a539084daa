"""Masked loss, accuracy and next-sentence accuracy on held-out text, with masks fixed by a seed."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from bertwright.data.batch import Batch
from bertwright.data.samples import Vocabulary
from bertwright.data.shards import Split
from bertwright.data.stream import Stream
from bertwright.errors import InputError
from bertwright.models import Model
from bertwright.objectives import Objective

# Masks and pairs of every evaluation are drawn from this seed, so that numbers of any run and step compare.
SEED = 1234
# Logits of one pass over scored tokens: 16 Mi values.
LOGIT_VALUES = 16 * 2**20


@dataclass(frozen=True)
class HeldOut:
    """Held-out samples and the objective they are measured with; `note` says where that is less than was asked for."""

    objective: Objective
    stream: Stream
    note: str = ""


def held_out_text(objective: Objective, split: Split, vocabulary: Vocabulary, *, length: int, samples: int | None) -> HeldOut | None:
    """How a held-out split can be measured: with the objective, with its simpler one where the text cannot serve it, or, None, not at all."""
    note, tried = "", objective
    while True:
        try:
            stream = Stream(tried.source(split, vocabulary, length=length, seed=SEED), seed=SEED)
            if _has_something_to_predict(tried, stream, samples=samples):
                return HeldOut(tried, stream, note)
            problem = "it has nothing to predict"
        except InputError as error:
            problem = str(error).partition(":")[0]  # what is wrong; its mend is one for text to train on
        if tried.simpler is None:
            return None
        note = note or f"the held-out text cannot serve the whole objective ({problem}): only {', '.join(tried.simpler.terms)} is measured on it"
        tried = tried.simpler


def _has_something_to_predict(objective: Objective, stream: Stream, *, samples: int | None) -> bool:
    missing = set(objective.terms)
    for batch in held_out(objective, stream, samples=samples, batch_size=32):
        missing -= {name for name, weight in batch.weights.items() if weight}
        if not missing:
            return True
    return False


def held_out(objective: Objective, stream: Stream, *, samples: int | None, batch_size: int) -> Iterator[Batch]:
    """The first `samples` of the stream's first epoch (all where None), in batches."""
    last = stream.epoch_end(0) if samples is None else min(samples, stream.epoch_end(0))
    for start in range(0, last, batch_size):
        yield objective.batch(*stream.take(start, min(start + batch_size, last)))


@torch.no_grad()
def score(model: Model, batch: Batch) -> dict[str, float]:
    """Sums over one batch: mlm_loss, mlm_hits, mlm_count and, with an NSP head, nsp_loss, nsp_hits, nsp_count."""
    output = model(batch.input_ids, token_type_ids=batch.token_type_ids, layout=batch.layout, predict_positions=batch.predict_positions)
    logits, labels = output.prediction_logits, batch.prediction_labels
    sums = dict.fromkeys(("mlm_loss", "mlm_hits", "mlm_count"), 0.0)
    if logits is not None and labels is not None:
        for part in range(0, len(labels), max(1, LOGIT_VALUES // logits.shape[-1])):
            chunk = slice(part, part + max(1, LOGIT_VALUES // logits.shape[-1]))
            sums["mlm_loss"] += F.cross_entropy(logits[chunk].float(), labels[chunk], reduction="sum").item()
            sums["mlm_hits"] += (logits[chunk].argmax(-1) == labels[chunk]).sum().item()
        sums["mlm_count"] = float(len(labels))
    pairs = output.seq_relationship_logits
    if pairs is not None and batch.next_sentence_label is not None:
        sums["nsp_loss"] = F.cross_entropy(pairs.float(), batch.next_sentence_label, reduction="sum").item()
        sums["nsp_hits"] = float((pairs.argmax(-1) == batch.next_sentence_label).sum().item())
        sums["nsp_count"] = float(len(pairs))
    return sums


def evaluate(model: Model, objective: Objective, stream: Stream, *, samples: int | None = None, batch_size: int = 32) -> dict[str, float]:
    """Scores held-out samples, in the precision the model is in; leaves its mode as it was.

    Returns masked_loss (nats), masked_accuracy, perplexity, masked_tokens, samples and, for pairs, nsp_loss and nsp_accuracy.
    Raises InputError on text without a token that could be masked.
    """
    device = next(model.parameters()).device
    totals: dict[str, float] = {}
    count, was_training = 0, model.training
    model.eval()
    for batch in held_out(objective, stream, samples=samples, batch_size=batch_size):
        count += len(batch.numbers)
        for name, value in score(model, batch.to(device)).items():
            totals[name] = totals.get(name, 0.0) + value
    model.train(was_training)
    if not (masked := totals.get("mlm_count", 0.0)):
        raise InputError("the text has nothing to predict: give more of it")
    loss = totals["mlm_loss"] / masked
    metrics = {
        "masked_loss": loss,
        "masked_accuracy": totals["mlm_hits"] / masked,
        "perplexity": math.exp(min(loss, 700.0)),
        "masked_tokens": totals["mlm_count"],
        "samples": float(count),
    }
    if "nsp_count" in totals:
        metrics |= {"nsp_loss": totals["nsp_loss"] / totals["nsp_count"], "nsp_accuracy": totals["nsp_hits"] / totals["nsp_count"]}
    return metrics


def chance(vocab_size: int, split: Split) -> dict[str, float]:
    """What a model that knows nothing reaches: chance_loss = ln V, and unigram_entropy, that of the split's token frequencies; nats."""
    counts = np.asarray(split.token_counts, dtype=np.float64)
    shares = counts[counts > 0] / max(counts.sum(), 1.0)
    return {"chance_loss": math.log(vocab_size), "unigram_entropy": float(-(shares * np.log(shares)).sum())}

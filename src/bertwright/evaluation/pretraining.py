"""The losses and accuracies of an objective on held-out text, with every random choice fixed by a seed."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from bertwright.data.batch import Batch
from bertwright.data.samples import Vocabulary
from bertwright.data.shards import Split
from bertwright.data.stream import Stream
from bertwright.errors import InputError
from bertwright.objectives.objective import Objective

# Masks and pairs of every evaluation are drawn from this seed, so that numbers of any run and step compare.
SEED = 1234
# Terms whose loss is that of a token, so that its exponent is a perplexity.
PREDICT_TOKENS = ("mlm", "clm", "span_corruption", "prefix_lm", "denoising")


@dataclass(frozen=True)
class HeldOut:
    """Held-out samples and the objective they are measured with; `note` says where that is less than was asked for."""

    objective: Objective
    stream: Stream
    note: str = ""


def held_out_text(objective: Objective, split: Split, vocabulary: Vocabulary, *, length: int, samples: int | None) -> HeldOut | None:
    """How a held-out split can be measured: with the objective, with its simpler one where the text cannot serve it, or, None, not at all."""
    note, tried = "", objective.measured
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
def evaluate(model: nn.Module, objective: Objective, stream: Stream, *, samples: int | None = None, batch_size: int = 32) -> dict[str, float]:
    """Scores held-out samples, in the precision the model is in; leaves its mode as it was.

    Returns loss (of all terms, each times its coefficient); of each term <name>_loss (nats, a mean), <name>_accuracy where right and wrong have a meaning, and
    <name>_count of what it scored; perplexity where tokens are predicted; samples. Raises InputError on text that has nothing to predict.
    """
    device, was_training = next(model.parameters()).device, model.training
    totals, coefficients, number = defaultdict[str, float](float), dict[str, float](), 0
    model.eval()
    for batch in held_out(objective, stream, samples=samples, batch_size=batch_size):
        number += len(batch.numbers)
        for name, term in objective.measures(model, batch.to(device)).items():
            totals[f"{name}_loss"] += term.sum.item()
            totals[f"{name}_count"] += batch.weights[name]
            if term.hits is not None:
                totals[f"{name}_accuracy"] += term.hits.item()
            if term.trained:
                coefficients[name] = term.coefficient
    model.train(was_training)
    if not totals[f"{objective.terms[0]}_count"]:
        raise InputError("the text has nothing to predict: give more of it")
    means = {key: value if key.endswith("_count") else value / (totals[f"{key.rpartition('_')[0]}_count"] or 1.0) for key, value in totals.items()}
    found = {"loss": sum(coefficient * means[f"{name}_loss"] for name, coefficient in coefficients.items()), **means}
    if objective.terms[0] in PREDICT_TOKENS:
        found["perplexity"] = math.exp(min(means[f"{objective.terms[0]}_loss"], 700.0))
    return {**found, "samples": float(number)}


def saying_none(replaced: Sequence[float]) -> tuple[float, float]:
    """What a discriminator reaches that takes no token for a replaced one: the share it gets right, and its loss in nats where it knows that share.

    replaced: the shares of replaced tokens that a training logged, the later half of which count; one at least.
    """
    share = float(np.mean(replaced[len(replaced) // 2 :]))
    return 1 - share, -sum(part * math.log(part) for part in (share, 1 - share) if part > 0)


def as_masked(found: Mapping[str, float]) -> dict[str, float]:
    """What `evaluate` found under the names that users know: masked_loss, masked_accuracy, masked_tokens; predicted_tokens of a model that writes; other terms
    under their own, without counts."""
    names = {"mlm_loss": "masked_loss", "mlm_accuracy": "masked_accuracy", "mlm_count": "masked_tokens"}
    names |= {f"{name}_count": "predicted_tokens" for name in PREDICT_TOKENS if name != "mlm"}
    shown = {names.get(key, key): value for key, value in found.items()}
    return {key: value for key, value in shown.items() if not key.endswith("_count") and key != "loss"}


def chance(vocab_size: int, split: Split) -> dict[str, float]:
    """What a model that knows nothing reaches: chance_loss = ln V, and unigram_entropy, that of the split's token frequencies; nats."""
    counts = np.asarray(split.token_counts, dtype=np.float64)
    shares = counts[counts > 0] / max(counts.sum(), 1.0)
    return {"chance_loss": math.log(vocab_size), "unigram_entropy": float(-(shares * np.log(shares)).sum())}

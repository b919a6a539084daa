"""Replaced token detection (Clark et al. 2020, ELECTRA, arXiv 2003.10555): a small generator fills the masks, the model tells which tokens it replaced."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import MLM, RTD, Architecture, HeadKind
from bertwright.data import keys as draws
from bertwright.data.batch import Batch
from bertwright.data.keys import KeyArray
from bertwright.data.samples import IntArray, Samples
from bertwright.errors import InputError
from bertwright.models import Model
from bertwright.models.heads import LanguageModelling
from bertwright.objectives.mlm import LOGIT_VALUES, BuiltOnMasks
from bertwright.objectives.objective import Losses, Term
from bertwright.objectives.together import Companion, Disentangled, Together, together


@dataclass(frozen=True, kw_only=True)
class ReplacedBatch(Batch):
    """A masked batch with what its masks are filled by. chances: [scored], in [0, 1), where in the generator's distribution each filling lies; real:
    [batch, length], false on padding.
    """

    chances: Tensor
    real: Tensor


@dataclass(frozen=True)
class ReplacedTokenDetection(BuiltOnMasks):
    """Trains a model to find the tokens that a generator, trained beside it as a masked language model, put in the place of others.

    size, layers: the generator's width and depth as shares of the model's; weight: of the model's own loss (50 in the paper). embeddings: `shared` (one
    table for both, section 3.2 of the paper), `disentangled` (the model's is the generator's, whose gradient stops there, plus a difference of its own:
    DeBERTa-v3) or `own`. The term `replaced` is told beside the loss: the share of tokens that were replaced, so what saying "none" gets wrong.
    """

    size: float = 0.25
    layers: float = 1.0
    weight: float = 50.0
    embeddings: str = "shared"
    heads: tuple[HeadKind, ...] = (RTD,)
    terms: tuple[str, ...] = ("mlm", "rtd", "replaced")
    segments: int = 0

    def companion(self, architecture: Architecture) -> Companion:
        return Companion(name="generator", heads=(MLM,), architecture=generator(architecture, size=self.size, layers=self.layers))

    def together(self, model: Model, companion: Model | None) -> nn.Module:
        if companion is None:
            raise ValueError("replaced token detection needs a generator: give what `companion` describes")
        if self.embeddings == "shared":
            share_embeddings(model, companion)
        elif self.embeddings == "disentangled":
            model.tokens = Disentangled(model.tokens, companion.tokens)
        return Together(model, {"generator": companion})

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> ReplacedBatch:
        masked = self.mlm.batch(samples, keys, numbers)
        if masked.predict_positions is None:
            raise ValueError("this batch has no masks")
        length = masked.input_ids.shape[1]
        row, place = np.divmod(masked.predict_positions.numpy(), length)
        real = np.arange(length) < samples.lengths[:, None]
        shown = {field.name: getattr(masked, field.name) for field in dataclasses.fields(Batch)}
        shown["weights"] = {"mlm": masked.weights["mlm"], "rtd": float(real.sum()), "replaced": float(real.sum())}
        return ReplacedBatch(**shown, chances=torch.from_numpy(draws.uniform(keys[row], place, draws.RTD_FILL)), real=torch.from_numpy(real))

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        return self._scored(together(model), batch)

    def measures(self, model: nn.Module, batch: Batch) -> Losses:
        both = together(model)
        found = {name: term for name, term in self._scored(both, batch).items() if term.trained}
        return {**found, **self.mlm.measures(both.of("generator"), batch)}

    def _scored(self, both: Together, batch: Batch) -> Losses:
        if not isinstance(batch, ReplacedBatch) or batch.predict_positions is None or batch.prediction_labels is None:
            raise ValueError("this batch was not made for replaced token detection")
        given = {"token_type_ids": batch.token_type_ids, "layout": batch.layout}
        filler = both.of("generator")
        found = filler(batch.input_ids, **given, predict_positions=batch.predict_positions, prediction_labels=batch.prediction_labels)
        filled = fill(filler, found.last_hidden_state, batch.chances)
        # Not where the masks were but what they hid: a filling that is right counts as no replacement (section 2).
        replaced = torch.zeros_like(batch.input_ids, dtype=torch.bool).flatten().index_copy(0, batch.predict_positions, filled != batch.prediction_labels)
        replaced = replaced.view_as(batch.input_ids)
        shown = batch.input_ids.flatten().index_copy(0, batch.predict_positions, filled).view_as(batch.input_ids)
        logits = both.model(shown, **given).logits.float()
        loss = F.binary_cross_entropy_with_logits(logits, replaced.float(), weight=batch.real.float(), reduction="sum")
        return {
            "mlm": Term(found.prediction_loss),
            "rtd": Term(loss, coefficient=self.weight, hits=(((logits > 0) == replaced) & batch.real).sum()),
            "replaced": Term(replaced.sum().float(), trained=False),
        }


def generator(architecture: Architecture, *, size: float, layers: float) -> Architecture:
    """A model of the same family, vocabulary and embeddings that is `size` as wide and `layers` as deep: heads as large as the model's, one at least.

    Raises InputError where the model is no encoder alone.
    """
    if architecture.encoder is None or architecture.decoder is not None:
        raise InputError("objective rtd needs a model that is an encoder alone: take a model of electra")
    stack = architecture.encoder
    block = stack.block
    heads = max(1, round(block.num_heads * size))
    width = heads * max(2, round(block.hidden_size * size / heads))
    smaller = dataclasses.replace(block, hidden_size=width, num_heads=heads, intermediate_size=max(1, round(block.intermediate_size * size)))
    stack = dataclasses.replace(stack, block=smaller, num_layers=max(1, round(stack.num_layers * layers)), projection=width != architecture.embedding_size)
    return dataclasses.replace(architecture, encoder=stack)


def share_embeddings(model: Model, companion: Model) -> None:
    """Has the companion use the model's own tables of tokens, positions and segments, and the norm over them (section 3.2; the released code shares all)."""
    companion.tokens = model.tokens
    if model.encoder is None or companion.encoder is None:
        raise ValueError("there are embeddings to share in encoders alone")
    for part in ("positions", "segments", "embedding_norm"):
        setattr(companion.encoder, part, getattr(model.encoder, part))


@torch.no_grad()
def fill(filler: Model, hidden: Tensor, chances: Tensor) -> Tensor:
    """A token for each of [scored, hidden_size], drawn from the filler's distribution over the vocabulary: the first at which the cumulated probability is
    above its chance, [scored], so that a draw hangs on the sample's key alone. The logits of a part of the rows are held at a time.
    """
    head, table = filler.heads[MLM], filler.tokens.weight
    if not isinstance(head, LanguageModelling):
        raise ValueError("this model has no masked-language-modelling head")
    rows = max(1, LOGIT_VALUES // len(table))
    found = [torch.empty(0, dtype=torch.int64, device=hidden.device)]
    for some, chance in zip(torch.split(hidden, rows), torch.split(chances, rows), strict=True):
        cumulated = head(some, table).float().softmax(-1).cumsum(-1, dtype=torch.float64)
        # Of the sum that there is, which rounding leaves a little off 1.
        found.append(torch.searchsorted(cumulated, chance[:, None] * cumulated[:, -1:], right=True).squeeze(1).clamp_(max=len(table) - 1))
    return torch.cat(found)

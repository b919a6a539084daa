"""A student learns from a teacher's outputs: DistilBERT (Sanh et al. 2019, arXiv 1910.01108, section 2) and MiniLM's relations (Wang et al. 2021)."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bertwright.architecture import MLM, Architecture, HeadKind
from bertwright.blocks.attention import at
from bertwright.blocks.scores import Scores
from bertwright.data.batch import Batch
from bertwright.data.keys import KeyArray
from bertwright.data.samples import IntArray, Samples
from bertwright.errors import InputError
from bertwright.models import Model
from bertwright.models.heads import LanguageModelling
from bertwright.models.relations import last_projections, relation_loss
from bertwright.objectives.companion_config import DISTILLED
from bertwright.objectives.mlm import LOGIT_VALUES, BuiltOnMasks
from bertwright.objectives.objective import Losses, Term
from bertwright.objectives.together import Companion, Together, together


@dataclass(frozen=True, kw_only=True)
class DistilledBatch(Batch):
    """A batch whose `real`, [batch, length], is false on padding."""

    real: Tensor


@dataclass(frozen=True)
class Distillation(BuiltOnMasks):
    """Trains a model to do as a frozen teacher does on the same rows.

    teacher: its checkpoint. weights: of each term that is learnt from. `mlm`: the masked tokens. `soft`: the teacher's distribution over each masked token,
    both at `temperature`, times its square, so that gradients do not shrink with it (Hinton et al. 2015, section 2.1). `cosine`: one minus the cosine of the
    last hidden states, through a learned projection where widths differ. `relations`: queries', keys' and values' relations of the last layers, in
    `relation_heads` parts (None: the teacher's heads, where they divide both widths). Rows are masked where a term scores masks; `mlm` is then always told.
    """

    teacher: str
    weights: tuple[tuple[str, float], ...]
    temperature: float = 2.0
    relation_heads: int | None = None
    segments: int = 0

    @property
    def heads(self) -> tuple[HeadKind, ...]:
        return (MLM,) if self._masks else ()

    @property
    def terms(self) -> tuple[str, ...]:
        learnt = dict(self.weights)
        return tuple(name for name in DISTILLED if name in learnt or (name == "mlm" and self._masks))

    @property
    def _masks(self) -> bool:
        return not dict(self.weights).keys().isdisjoint(("mlm", "soft"))

    def companion(self, architecture: Architecture) -> Companion:
        return Companion(name="teacher", heads=(MLM,) if "soft" in dict(self.weights) else (), checkpoint=self.teacher)

    def together(self, model: Model, companion: Model | None) -> nn.Module:
        if companion is None:
            raise ValueError("distillation needs a teacher: give what `companion` describes")
        beside: dict[str, nn.Module] = {"teacher": companion}
        if "relations" in dict(self.weights):
            self.parts(model.architecture, companion.architecture)
        if "cosine" in dict(self.weights) and model.architecture.hidden_size != companion.architecture.hidden_size:
            beside["projection"] = nn.Linear(model.architecture.hidden_size, companion.architecture.hidden_size)
        return Together(model, beside)

    def parts(self, own: Architecture, taught: Architecture) -> int:
        """Into how many parts queries, keys and values are cut for their relations. Raises InputError where widths cannot be cut so."""
        widths = [architecture.last.block.num_heads * architecture.last.block.head_size for architecture in (own, taught)]
        usual = [architecture.last.block.num_heads for architecture in (taught, own)]
        if self.relation_heads is None:
            return next((heads for heads in usual if not any(width % heads for width in widths)), math.gcd(*widths))
        if any(width % self.relation_heads for width in widths):
            whole = math.gcd(*widths)
            raise InputError(f"relation_heads {self.relation_heads} does not divide the widths {widths[0]} and {widths[1]}: take a divisor of {whole}")
        return self.relation_heads

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> DistilledBatch:
        masked = self.mlm.batch(samples, keys, numbers)
        real = torch.from_numpy(np.arange(masked.input_ids.shape[1]) < samples.lengths[:, None])
        shown: dict[str, Any] = {field.name: getattr(masked, field.name) for field in dataclasses.fields(Batch)}
        counts = {"mlm": masked.weights["mlm"], "soft": masked.weights["mlm"], "cosine": float(real.sum()), "relations": float(real.sum())}
        shown["weights"] = {name: counts[name] for name in self.terms}
        if not self._masks:
            shown |= {"input_ids": torch.from_numpy(samples.ids[:, : real.shape[1]].copy()), "predict_positions": None, "prediction_labels": None}
        return DistilledBatch(**shown, real=real)

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        return self._scored(together(model), batch)

    def measures(self, model: nn.Module, batch: Batch) -> Losses:
        return self._scored(together(model), batch)

    def _scored(self, both: Together, batch: Batch) -> Losses:
        if not isinstance(batch, DistilledBatch):
            raise ValueError("this batch was not made for distillation")
        student, teacher, learnt = both.model, both.of("teacher"), dict(self.weights)
        # The heads run on no token here: what they say of the masked ones is worked out a part at a time.
        none = torch.empty(0, dtype=torch.int64, device=batch.input_ids.device)
        given: dict[str, Any] = {"token_type_ids": batch.token_type_ids, "layout": batch.layout, "predict_positions": none}
        with last_projections(teacher) as taught, torch.no_grad():
            theirs = teacher(batch.input_ids, **given).last_hidden_state
        with last_projections(student) as own:
            hidden = student(batch.input_ids, **given).last_hidden_state
        found = dict[str, Tensor]()
        if self._masks:
            found["mlm"], found["soft"], hits = self._predictions(student, teacher, hidden, theirs, batch)
        if "cosine" in learnt:
            projected = both.beside["projection"](hidden) if "projection" in both.beside else hidden
            found["cosine"] = ((1 - F.cosine_similarity(projected.float(), theirs.float(), dim=-1)) * batch.real).sum()
        if "relations" in learnt:
            queries = own["query"][:, None]  # [batch, 1, length, size]: places alone matter here
            allowed = batch.layout.allowed(Scores(scale=1.0), queries, queries)
            heads = self.parts(student.architecture, teacher.architecture)
            found["relations"] = relation_loss(own, taught, heads=heads, allowed=allowed, real=batch.real)
        terms = {name: Term(found[name], coefficient=learnt.get(name, 1.0), trained=name in learnt) for name in self.terms}
        return terms if "mlm" not in terms else {**terms, "mlm": dataclasses.replace(terms["mlm"], hits=hits)}

    def _predictions(self, student: Model, teacher: Model, hidden: Tensor, theirs: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Of the masked tokens: the summed cross-entropy, the summed soft loss (0 where it is not learnt from), and how many are right.

        Parts of the tokens go through the heads one after the other and, where there are several, once more in the backward pass: the logits of few are held.
        """
        if batch.predict_positions is None or batch.prediction_labels is None:
            raise ValueError("this batch has no masks")
        size = max(1, LOGIT_VALUES // student.architecture.vocab_size)
        parts = list(zip(torch.split(batch.predict_positions, size), torch.split(batch.prediction_labels, size), strict=True))
        score: Callable[..., tuple[Tensor, Tensor, Tensor]] = partial(self._part, student, teacher)
        if len(parts) > 1 and torch.is_grad_enabled():
            score = partial(checkpoint, score, use_reentrant=False)
        totals = [torch.zeros((), device=hidden.device) for _ in range(3)]
        for places, labels in parts:
            for number, value in enumerate(score(at(hidden, places), at(theirs, places), labels)):
                totals[number] = totals[number] + value
        return totals[0], totals[1], totals[2]

    def _part(self, student: Model, teacher: Model, hidden: Tensor, theirs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits = cast(LanguageModelling, student.heads[MLM])(hidden, student.tokens.weight).float()
        hits = (logits.detach().argmax(-1) == labels).sum()
        hard, soft = F.cross_entropy(logits, labels, reduction="sum"), torch.zeros((), device=logits.device)
        if "soft" in dict(self.weights):
            with torch.no_grad():
                taught = cast(LanguageModelling, teacher.heads[MLM])(theirs, teacher.tokens.weight).float()
            common = min(logits.shape[1], taught.shape[1])  # either may have rows that no entry of the vocabulary has
            soft = soft_loss(logits[:, :common], taught[:, :common], temperature=self.temperature)
        return hard, soft, hits


def soft_loss(logits: Tensor, taught: Tensor, *, temperature: float) -> Tensor:
    """[rows, classes] twice -> the divergence of softmax(logits / T) from the teacher's, summed over the rows, times T squared (Hinton et al. 2015)."""
    mine, theirs = ((scores.float() / temperature).log_softmax(-1) for scores in (logits, taught))
    return F.kl_div(mine, theirs, reduction="sum", log_target=True) * temperature**2

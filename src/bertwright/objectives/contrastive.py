"""Sentence vectors without labels (Gao et al. 2021, SimCSE, arXiv 2104.08821, section 3): a sentence is told from all others by another dropout of itself."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import HeadKind
from bertwright.blocks.layout import Padded
from bertwright.data.batch import Batch, shown_length
from bertwright.data.keys import KeyArray
from bertwright.data.samples import IntArray, Samples, Source, Vocabulary
from bertwright.data.shards import Split
from bertwright.data.single_sentences import SingleSentences
from bertwright.models import Model
from bertwright.models.heads import read
from bertwright.objectives.objective import Losses, Objective, Term, Vectors
from bertwright.objectives.together import Together, main_model


@dataclass(frozen=True, kw_only=True)
class TwiceBatch(Batch):
    """Every sentence twice: rows n to 2n - 1 repeat rows 0 to n - 1. mask: [2n, length], true on real tokens."""

    mask: Tensor


@dataclass(frozen=True)
class Contrastive(Objective):
    """Each sentence goes through the model twice, with two dropout masks, and finds its other vector among those of the whole batch.

    temperature: that cosines are divided by; pooling: `cls`, the first token's vector, in training through a dense layer and tanh that the checkpoint has not
    (section 3 and appendix of the paper), or `mean`, of all. The loss of a sentence hangs on the others of its batch, so it does not decompose. Held-out
    sentences are measured with dropout too, drawn from their numbers: without it both vectors would be the same.
    """

    vocabulary: Vocabulary
    temperature: float = 0.05
    pooling: Vectors = "cls"
    heads: tuple[HeadKind, ...] = ()
    terms: tuple[str, ...] = ("contrastive",)
    segments: int = 0
    decomposes: bool = False
    dropout: float = 0.1
    tokens: tuple[str, ...] = ("pad", "cls", "sep")

    @property
    def vectors(self) -> Vectors:
        return self.pooling

    def together(self, model: Model, companion: Model | None) -> nn.Module:
        size = model.architecture.hidden_size
        return Together(model, {"projection": nn.Linear(size, size)} if self.pooling == "cls" else {})

    def source(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> Source:
        return SingleSentences(split, vocabulary, length=length, seed=seed)

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> TwiceBatch:
        length = shown_length(samples)
        ids = torch.from_numpy(samples.ids[:, :length].copy())
        mask = torch.arange(length) < torch.from_numpy(samples.lengths)[:, None]
        twice = torch.cat([mask, mask])
        return TwiceBatch(
            input_ids=torch.cat([ids, ids]),
            layout=Padded(twice),
            mask=twice,
            weights={"contrastive": float(len(ids)) if len(ids) > 1 else 0.0},  # a sentence alone has none to be told from
            numbers=numbers,
            tokens=2 * int(samples.lengths.sum()),
        )

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        if not isinstance(batch, TwiceBatch):
            raise ValueError("this batch does not hold every sentence twice")
        first, second = self._vectors(model, batch).chunk(2)
        similar = F.normalize(first, dim=-1) @ F.normalize(second, dim=-1).T / self.temperature
        own = torch.arange(len(first), device=first.device)
        return {"contrastive": Term(F.cross_entropy(similar, own, reduction="sum"), hits=(similar.detach().argmax(1) == own).sum() * (len(own) > 1))}

    def measures(self, model: nn.Module, batch: Batch) -> Losses:
        device = batch.input_ids.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(batch.numbers[0]))
            model.train()
            try:
                return self.losses(model, batch)
            finally:
                model.eval()

    def _vectors(self, model: nn.Module, batch: TwiceBatch) -> Tensor:
        hidden = main_model(model)(batch.input_ids, layout=batch.layout).last_hidden_state
        pooled = read("first" if self.pooling == "cls" else "mean", hidden, input_ids=batch.input_ids, mask=batch.mask, pad_id=None, eos_id=None)
        if isinstance(model, Together) and "projection" in model.beside:
            pooled = torch.tanh(model.beside["projection"](pooled))
        return pooled.float()

"""Embedding: texts as vectors whose cosine says how alike they are, learnt from pairs, triplets or scored pairs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import Architecture, HeadKind
from bertwright.checkpoints.sentence_transformers import Pooling, SentenceFolder
from bertwright.data.labelled.examples import EmbedExample, TaskName
from bertwright.data.samples import IntArray
from bertwright.errors import InputError
from bertwright.metrics.regression import regression_metrics
from bertwright.metrics.retrieval import rank_scores
from bertwright.objectives.objective import Losses, Term
from bertwright.tasks.predictions import Embedded
from bertwright.tasks.ranking import ranked
from bertwright.tasks.running import Apart
from bertwright.tasks.task import Item, Items, Reading, Row, TaskBatch, call, pad_rows, refuse
from bertwright.text.tokenizer import Tokenizer

Kind = Literal["pairs", "triplets", "scored"]
KINDS: tuple[Kind, ...] = ("pairs", "triplets", "scored")

# What cosines are multiplied by before the softmax: a temperature of 0.05, as in sentence-transformers and in SimCSE (Gao et al. 2021).
SCALE = 20.0
# What is compared of each kind to choose the best checkpoint.
METRICS: Mapping[Kind, str] = {"pairs": "mrr", "triplets": "triplet_accuracy", "scored": "spearman"}


@dataclass(frozen=True, kw_only=True)
class EmbedBatch(TaskBatch):
    """Each distinct text is one row. places: [items, texts], the row of each text; of an item with fewer texts than others its first one again."""

    places: Tensor


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Vectors of texts: `pooling` of the last layer, of length 1 where `normalised`.

    pairs, triplets: each text finds its partner among all second and third texts of the batch, by the cross-entropy of SCALE times the cosines (Henderson et
    al. 2017, section 4; MultipleNegativesRankingLoss). A text that equals the partner or the text itself is no negative, nor is another partner of the same
    text. scored: the cosine shall be the score scaled to [0, 1], by squared error (Reimers and Gurevych 2019, section 3). lowest, highest: the scores that 0
    and 1 stand for.
    """

    kind: Kind = "pairs"
    pooling: Pooling = "mean"
    normalised: bool = True
    lowest: float = 0.0
    highest: float = 1.0
    metric: str = "spearman"
    name: TaskName = "embed"
    heads: tuple[HeadKind, ...] = ()
    num_labels: int | None = None
    terms: tuple[str, ...] = ("loss",)

    @classmethod
    def of(cls, examples: Sequence[EmbedExample], *, pooling: Pooling | None = None, start: SentenceFolder | None = None) -> Self:
        """For training data, from a start's folder. Without either the pooling is the mean, the best of the three in Reimers and Gurevych 2019, table 6.

        Raises InputError for data of several kinds at once, or of none.
        """
        kind = _kind(examples)
        lowest, highest = _range([example.score for example in examples if example.score is not None])
        normalised = True if start is None else start.normalised
        pooled = pooling or ("mean" if start is None else start.pooling)
        return cls(kind=kind, pooling=pooled, normalised=normalised, lowest=lowest, highest=highest, metric=METRICS[kind])

    @classmethod
    def of_folder(cls, start: SentenceFolder, config: Mapping[str, Any]) -> Self:
        """For a saved folder with this config.json, whoever wrote it."""
        said = config.get("bertwright")
        said = said.get("embed", {}) if isinstance(said, dict) else {}
        kind: Kind = next((kind for kind in KINDS if kind == said.get("kind")), "scored")
        known = {name: said[name] for name in ("lowest", "highest") if name in said}
        return cls(kind=kind, pooling=start.pooling, normalised=start.normalised, metric=METRICS[kind], **known)

    @property
    def decomposes(self) -> bool:
        return self.kind == "scored"

    @property
    def config(self) -> Mapping[str, Any]:
        scored = {"lowest": self.lowest, "highest": self.highest} if self.kind == "scored" else {}
        return {"bertwright": {"embed": {"kind": self.kind, **scored}}}

    def folder(self, *, max_length: int | None) -> SentenceFolder:
        """What is to be written beside its checkpoints. max_length: tokens that texts are cut to."""
        return SentenceFolder(pooling=self.pooling, normalised=self.normalised, max_length=max_length)

    def problems(self, architecture: Architecture) -> list[str]:
        """One line for what keeps a model from this task; empty when nothing does."""
        if architecture.encoder is not None and architecture.decoder is None:
            return []
        kind = "a decoder, whose tokens see only those before them" if architecture.encoder is None else "of two stacks, of which the second writes"
        return [f"embed reads an encoder, and this model is {kind}: take one such as BERT, RoBERTa, ModernBERT or T5's encoder alone"]

    def items(self, examples: Sequence[EmbedExample], tokenizer: Tokenizer, *, max_length: int) -> Items:
        refuse([f"{example.place or f'row {number + 1}'}: a text is empty: give some words" for number, example in enumerate(examples) if _blank(example)])
        texts = list(dict.fromkeys(text for example in examples for text in example.texts))
        framed = dict(zip(texts, tokenizer.frame(texts, max_length=max_length), strict=True))
        rows = {text: Row(found.ids, found.type_ids) for text, found in framed.items()}
        items = [
            Item(rows=tuple(rows[text] for text in example.texts), target=self._target(example), example=number) for number, example in enumerate(examples)
        ]
        return Items(items=items, truncated=sum(any(framed[text].truncated for text in example.texts) for example in examples))

    def _target(self, example: EmbedExample) -> float | None:
        """The score scaled to [0, 1]; 1 of texts that belong together."""
        if self.kind != "scored":
            return 1.0 if len(example.texts) > 1 and example.score is None else None
        return None if example.score is None or len(example.texts) != 2 else (example.score - self.lowest) / (self.highest - self.lowest)

    def apart(self, items: Sequence[Item]) -> Apart:
        """The items' distinct texts, so that each goes through the model once, among texts of its own length."""
        numbers: dict[tuple[int, ...], int] = {}
        places = [tuple(numbers.setdefault(tuple(row.ids), len(numbers)) for row in item.rows) for item in items]
        return Apart(items=[Item(rows=(Row(list(ids)),), target=None, example=number) for ids, number in numbers.items()], places=places)

    def batch(self, items: Sequence[Item], *, numbers: IntArray, reading: Reading) -> EmbedBatch:
        apart = self.apart(items)
        texts = max(map(len, apart.places))
        places = torch.tensor([[*found, *[found[0]] * (texts - len(found))] for found in apart.places])
        known = all(item.target is not None for item in items)
        targets = {"scores": torch.tensor([item.target for item in items], dtype=torch.float32)} if known else {}
        padded = pad_rows([item.rows[0] for item in apart.items], reading)
        return EmbedBatch(**padded, targets=targets, numbers=numbers, weights={"loss": float(len(items))}, places=places)

    def losses(self, model: nn.Module, batch: TaskBatch) -> Losses:
        places = _places(batch)
        vectors = F.normalize(self._vectors(model, batch), dim=-1)[places]
        if self.kind != "scored":
            return {"loss": Term(in_batch_negatives(vectors, places))}
        cosines = (vectors[:, 0] * vectors[:, 1]).sum(-1)
        # From MiniLM, one seed and one pass over 2,000 pairs of STS-B: Spearman 86.7 before, 86.7 by CoSENT (Huang et al. 2024), 88.3 by this.
        return {"loss": Term(F.mse_loss(cosines, batch.targets["scores"], reduction="sum"))}

    def _vectors(self, model: nn.Module, batch: TaskBatch) -> Tensor:
        """[rows, hidden_size], float32, not yet normalised."""
        # A head that scores words, of a checkpoint that still has one, would be work for nothing.
        hidden: Tensor = call(model, batch, predict_positions=batch.input_ids.new_zeros(0)).last_hidden_state.float()
        mask = batch.mask.unsqueeze(-1)
        if self.pooling == "cls":
            return hidden[:, 0]
        if self.pooling == "max":
            return hidden.masked_fill(~mask, -math.inf).amax(1)
        return hidden.masked_fill(~mask, 0).sum(1) / mask.sum(1)

    def outputs(self, model: nn.Module, batch: TaskBatch) -> list[Any]:
        found = self._vectors(model, batch)
        vectors = (F.normalize(found, dim=-1) if self.normalised else found).cpu().numpy()
        return list(vectors[_places(batch).cpu().numpy()])

    def predictions(self, examples: Sequence[EmbedExample], items: Sequence[Item], outputs: Sequence[Any]) -> list[Embedded]:
        """Ranks, and the losses of pairs and triplets, are among the examples that are given together."""
        vectors = [output[: len(item.rows)] for item, output in zip(items, outputs, strict=True)]
        cosines = [_cosines(found) for found in vectors]
        ranks: Sequence[int | None] = [None] * len(items)
        losses: Sequence[float | None] = [None] * len(items)
        if self.kind == "scored":
            pairs = zip(items, cosines, strict=True)
            losses = [None if item.target is None else (found[0] - item.target) ** 2 for item, found in pairs]
        chosen = [number for number, example in enumerate(examples) if example.score is None and len(example.texts) > 1]
        if len(chosen) > 1:
            found = ranked([vectors[number] for number in chosen], self.apart([items[number] for number in chosen]).places, scale=SCALE)
            ranks = _spread(chosen, found.ranks, len(items))
            losses = _spread(chosen, found.losses, len(items)) if self.kind != "scored" else losses
        return [Embedded(vectors=vectors[number], similarities=cosines[number], rank=ranks[number], loss=losses[number]) for number in range(len(items))]

    def metrics(self, examples: Sequence[EmbedExample], predictions: Sequence[Embedded]) -> dict[str, float]:
        """Of scored pairs correlations of cosine and score; of others where the partner stands among all, and triplets in the right order."""
        scored = [(example.score, found.similarities[0]) for example, found in zip(examples, predictions, strict=True) if example.score is not None]
        measured: dict[str, float] = {}
        if scored:
            scores, cosines = np.array(scored, dtype=np.float64).T
            correlations = regression_metrics(scores, cosines)
            measured |= {name: correlations[name] for name in ("pearson", "spearman")}
        if ranks := [found.rank for found in predictions if found.rank is not None]:
            measured |= {name: float(values.mean()) for name, values in rank_scores([[rank] for rank in ranks]).items()}
        if triplets := [found.similarities for found in predictions if len(found.similarities) > 1]:
            measured["triplet_accuracy"] = float(np.mean([found[0] > max(found[1:]) for found in triplets]))
        return measured


def in_batch_negatives(vectors: Tensor, places: Tensor, *, scale: float = SCALE) -> Tensor:
    """Summed cross-entropy of each item's second text among the second, third ... texts of all.

    vectors: [items, texts, size] of length 1; places: [items, texts], equal for equal texts.
    """
    items = len(vectors)
    scores = vectors[:, 0] @ vectors[:, 1:].transpose(0, 1).flatten(0, 1).T * scale
    candidates, anchors, partners = places[:, 1:].T.flatten(), places[:, 0], places[:, 1]
    of_anchor = (anchors[:, None] == anchors).float() @ (partners[:, None] == candidates).float()
    spared = (of_anchor > 0) | (anchors[:, None] == candidates)
    own = torch.arange(items, device=scores.device)
    spared[own, own] = False
    return F.cross_entropy(scores.masked_fill(spared, -math.inf), own, reduction="sum")


def _places(batch: TaskBatch) -> Tensor:
    if not isinstance(batch, EmbedBatch):
        raise ValueError("this batch is none of texts to embed")
    return batch.places


def _cosines(vectors: Any) -> tuple[float, ...]:
    """Of the first with each of the others."""
    normed = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return tuple((normed[1:] @ normed[0]).tolist())


def _spread(numbers: Sequence[int], values: Sequence[Any], size: int) -> list[Any]:
    spread: list[Any] = [None] * size
    for number, value in zip(numbers, values, strict=True):
        spread[number] = value
    return spread


def _blank(example: EmbedExample) -> bool:
    return not example.texts or any(not text.strip() for text in example.texts)


def _kind(examples: Sequence[EmbedExample]) -> Kind:
    shapes: dict[tuple[int, bool], EmbedExample] = {}
    for example in examples:
        shapes.setdefault((len(example.texts), example.score is not None), example)
    kinds: Mapping[tuple[int, bool], Kind] = {(2, True): "scored", (2, False): "pairs", (3, False): "triplets"}
    if len(shapes) == 1 and (found := kinds.get(next(iter(shapes)))):
        return found
    seen = "; ".join(f"{example.place or 'a row'} has {_told(*shape)}" for shape, example in shapes.items()) or "there are none"
    raise InputError(f"embed learns from rows that all have two texts, two and a score, or three: {seen}")


def _told(texts: int, scored: bool) -> str:
    return f"{texts} text{'' if texts == 1 else 's'}{' and a score' if scored else ''}"


def _range(scores: Sequence[float]) -> tuple[float, float]:
    """The scores that stand for 0 and 1: the whole numbers around them all; cosines, which lie in [-1, 1], stay as they are."""
    if not scores or (min(scores) >= -1 and max(scores) <= 1):
        return 0.0, 1.0
    lowest, highest = math.floor(min(scores)), math.ceil(max(scores))
    return float(lowest), float(highest if highest > lowest else lowest + 1)

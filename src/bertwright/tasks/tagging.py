"""Tagging: a label for each word, and the entities that the labels make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from bertwright.architecture import TAG, HeadKind
from bertwright.checkpoints.huggingface import label_keys
from bertwright.data.labelled.examples import TagExample, TaskName
from bertwright.data.samples import IntArray
from bertwright.errors import InputError
from bertwright.metrics.entities import entity_metrics, word_metrics
from bertwright.objectives.objective import Losses, Term
from bertwright.tasks.alignment import Alignment, align
from bertwright.tasks.bio import OUTSIDE, complete, entities, kind_of
from bertwright.tasks.predictions import Tagged
from bertwright.tasks.task import IGNORED, Item, Items, Reading, Row, TaskBatch, call, pad_rows
from bertwright.tasks.windows import shared_tokens, windows
from bertwright.tasks.words import whole
from bertwright.text.pieces import Template
from bertwright.text.tokenizer import Tokenizer


class Scored(NamedTuple):
    """What a window says of its example: the numbers of the words whose labels it gives, and their places in the row; following: words of the example that
    have their piece in common with the word before them."""

    words: Sequence[int]
    places: Sequence[int]
    following: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Tagging:
    """Softmax over `labels` at the first piece of each word; its other pieces are not scored (Devlin et al. 2018, section 5.3).

    A text is tokenized as it stands, words with the spaces between them, and pieces find their words by characters. A text longer than a row becomes windows
    that share `stride` pieces (by default 128, at most a third of a row), and each word counts in the one where it has most context.
    The likeliest label of each word is taken, as transformers' pipeline does with aggregation_strategy="first", and an "I-" that nothing began is its
    entity's "B-", which leaves the entities as they are. A word without a piece, of control characters alone, is "O" unless an entity goes on around it;
    one whose piece began in the word before goes on with its label.
    smoothing: share of the target spread evenly over all labels. weights: of each label in the loss. metric: by default f1, or accuracy where no label has a
    prefix, such as parts of speech.
    """

    labels: tuple[str, ...]
    stride: int | None = None
    smoothing: float = 0.0
    weights: tuple[float, ...] | None = None
    metric: str = ""
    name: TaskName = "tag"
    heads: tuple[HeadKind, ...] = (TAG,)
    terms: tuple[str, ...] = ("loss",)
    decomposes: bool = True

    def __post_init__(self) -> None:
        if not self.metric:
            object.__setattr__(self, "metric", "f1" if self._of_entities else "accuracy")

    @property
    def _of_entities(self) -> bool:
        return any(kind_of(label) != label for label in self.labels)

    @property
    def num_labels(self) -> int:
        return len(self.labels)

    @property
    def config(self) -> Mapping[str, Any]:
        return label_keys(list(self.labels))

    def items(self, examples: Sequence[TagExample], tokenizer: Tokenizer, *, max_length: int) -> Items:
        """One item a window; none of a text without pieces. A tag that is none of `labels` is not scored, and counted in `said`.

        Raises InputError naming every example whose tags, or spans, are not as many as its words, and where `max_length` has no room for a text.
        """
        template = tokenizer.template(pair=False)
        room = max_length - template.size
        if room < 1:
            raise InputError(f"max_seq_length {max_length} has no room for a text beside the {template.size} special tokens: take a larger one")
        _check(examples)
        located = [whole(example) for example in examples]
        numbers = {label: number for number, label in enumerate(self.labels)}
        found: list[Item] = []
        bare = following = unknown = 0
        for number, (example, pieces) in enumerate(zip(located, tokenizer.pieces([example.text for example in located]), strict=True)):
            alignment = align(example.spans, pieces.offsets)
            target = None if example.tags is None else [numbers.get(tag, IGNORED) for tag in example.tags]
            found += self._windows(number, pieces.ids, alignment, target, template, room=room)
            bare += len(example.words) - len(alignment.words) - len(alignment.following)
            following += len(alignment.following)
            unknown += 0 if target is None else target.count(IGNORED)
        said = (
            (bare, "words without a piece in this vocabulary are taken for no part of an entity, unless one goes on around them"),
            (following, "words have their piece in common with the word before them, and go on with its tag"),
            (unknown, "words have a tag that is none of the model's: they are not scored by the loss, and wrong by the metrics"),
        )
        return Items(items=found, said=tuple(f"{count} {what}" for count, what in said if count))

    def _windows(self, example: int, ids: list[int], alignment: Alignment, target: list[int] | None, template: Template, *, room: int) -> list[Item]:
        words, pieces, before = alignment.words, np.array(alignment.pieces), len(template.before.ids)
        items: list[Item] = []
        for window in windows(len(ids), room=room, shared=shared_tokens(self.stride, room)):
            begin, end = np.searchsorted(pieces, (window.first, window.last)).tolist()
            if begin == end:
                continue
            own = words[begin:end]
            kept = Scored(own, (pieces[begin:end] - window.start + before).tolist(), () if items else alignment.following)
            row = Row(*template.around(ids[window.start : window.stop]))
            items.append(Item(rows=(row,), target=None if target is None else [target[word] for word in own], example=example, kept=kept))
        return items

    def batch(self, items: Sequence[Item], *, numbers: IntArray, reading: Reading) -> TaskBatch:
        """targets: labels [rows, length], IGNORED where nothing is scored; the weight is the number of scored pieces, or the sum of their labels' weights."""
        padded = pad_rows([item.rows[0] for item in items], reading)
        if any(item.target is None for item in items):
            return TaskBatch(**padded, numbers=numbers, weights={"loss": float(sum(len(item.kept.words) for item in items))})
        labels = np.full(tuple(padded["input_ids"].shape), IGNORED)
        for row, item in zip(labels, items, strict=True):
            row[item.kept.places] = item.target
        scored = labels[labels != IGNORED]
        weight = float(len(scored)) if self.weights is None else float(np.array(self.weights)[scored].sum())
        return TaskBatch(**padded, targets={"labels": torch.from_numpy(labels)}, numbers=numbers, weights={"loss": weight})

    def losses(self, model: nn.Module, batch: TaskBatch) -> Losses:
        logits = call(model, batch).logits.float()
        weights = None if self.weights is None else torch.tensor(self.weights, device=logits.device)
        labels = batch.targets["labels"].flatten()
        asked: dict[str, Any] = {"weight": weights, "label_smoothing": self.smoothing, "ignore_index": IGNORED, "reduction": "sum"}
        return {"loss": Term(F.cross_entropy(logits.flatten(0, 1), labels, **asked))}

    def outputs(self, model: nn.Module, batch: TaskBatch) -> list[Any]:
        """Log-probabilities of each item, [length of its row, labels]."""
        found = call(model, batch).logits.float().log_softmax(-1).cpu().numpy()
        return [row[:length] for row, length in zip(found, batch.mask.sum(1).tolist(), strict=True)]

    def predictions(self, examples: Sequence[TagExample], items: Sequence[Item], outputs: Sequence[Any]) -> list[Tagged]:
        """As the class says; an entity's score is the mean probability of the likeliest labels of its words."""
        of_example: list[list[tuple[Item, NDArray[np.float32]]]] = [[] for _ in examples]
        for item, output in zip(items, outputs, strict=True):
            of_example[item.example].append((item, output[item.kept.places]))
        return [self._prediction(whole(example), found) for example, found in zip(examples, of_example, strict=True)]

    def _prediction(self, example: TagExample, found: list[tuple[Item, NDArray[np.float32]]]) -> Tagged:
        tags: list[str | None] = [None] * len(example.words)
        scores: list[float | None] = [None] * len(example.words)
        losses: list[float] = []
        for item, logs in found:
            best = logs.argmax(1)
            for word, label, score in zip(item.kept.words, best.tolist(), np.exp(logs.max(1)).tolist(), strict=True):
                tags[word], scores[word] = self.labels[label], score
            if item.target is not None:
                losses += [-float(logs[row, label]) for row, label in enumerate(item.target) if label != IGNORED]
        legal = complete(tags, following=found[0][0].kept.following if found else ())
        spans = entities(legal, text=example.text, spans=example.spans, scores=scores)
        return Tagged(text=example.text, words=example.words, tags=legal, entities=spans, loss=sum(losses) / len(losses) if losses else None)

    def metrics(self, examples: Sequence[TagExample], predictions: Sequence[Tagged]) -> dict[str, float]:
        """precision, recall and f1 of entities, and the accuracy of tags; where no label has a prefix, f1_macro and accuracy of words."""
        gold, said = [example.tags or (OUTSIDE,) * len(example.words) for example in examples], [found.tags for found in predictions]
        return entity_metrics(gold, said) if self._of_entities else word_metrics(gold, said)


def balanced_tag_weights(labels: tuple[str, ...], examples: Sequence[TagExample]) -> tuple[float, ...]:
    """Weights as the inverse of the tags' counts, their mean over the words 1, as scikit-learn's "balanced"."""
    counts = dict.fromkeys(labels, 0)
    for example in examples:
        for tag in example.tags or ():
            counts[tag] += 1
    return tuple(sum(counts.values()) / (len(labels) * max(count, 1)) for count in counts.values())


def _check(examples: Sequence[TagExample]) -> None:
    problems = []
    for number, example in enumerate(examples):
        where = example.place or f"example {number + 1}"
        if example.tags is not None and len(example.tags) != len(example.words):
            problems.append(f"{where}: {len(example.words)} words and {len(example.tags)} tags: give one tag for each word")
        if example.text and len(example.spans) != len(example.words):
            problems.append(f"{where}: {len(example.words)} words and {len(example.spans)} spans: give one span for each word, or no text")
    if problems:
        raise InputError(*problems)

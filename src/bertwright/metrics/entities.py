"""How well spans of words are found and named: entity-level precision, recall and F1 of BIO tags (IOB2); and how well words are, one by one."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from bertwright.errors import InputError
from bertwright.metrics.arrays import FloatArray
from bertwright.metrics.classification import ClassScores
from bertwright.metrics.weighted import Weighted, divided, scores

Tags = Sequence[str]
Span = tuple[str, int, int]
Found = TypeVar("Found", bound=Hashable)
WORD_METRICS = ("accuracy", "f1_macro")


def spans(tags: Tags) -> list[Span]:
    """The entities of a sentence: (type, first word, word after the last one), in order.

    Strict, equal to seqeval's `mode="strict", scheme=IOB2`: an entity begins with B and goes on with every I of its type. An I that follows nothing of its type
    (`O I-PER`, `B-LOC I-PER`) belongs to no entity. seqeval's default mode, like conlleval, lets such an I begin an entity, and so forgives a wrong B.
    Raises InputError for a tag that is neither O nor B- or I- with a type.
    """
    found: list[Span] = []
    start, type_ = 0, None
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if prefix not in ("B", "I") if name else tag != "O":
            raise InputError(f"the tag {tag!r} of word {place + 1} is not BIO: it must be O, or B- or I- and a type, such as B-PER")
        if prefix == "I" and name == type_:
            continue
        if type_ is not None:
            found.append((type_, start, place))
        start, type_ = place, name if prefix == "B" else None
    return found


@dataclass(frozen=True, kw_only=True)
class EntityCounts:
    """What the metrics of entities follow from, by sentence.

    types: of the entities on either side, sorted. hits, gold, predicted: entities of each type found right, there, and said to be: [sentences, types].
    right, words: tags: [sentences].
    """

    types: tuple[str, ...]
    hits: FloatArray
    gold: FloatArray
    predicted: FloatArray
    right: FloatArray
    words: FloatArray


def count_entities(gold: Sequence[Tags], predicted: Sequence[Tags]) -> EntityCounts:
    """Counts of each sentence. An entity is right when type, start and end are.

    Raises InputError where there are no sentences or a tag is not BIO, ValueError where the two sides differ in length.
    """
    return _count(gold, predicted, lambda tags: set(spans(tags)), lambda span: span[0])


def count_words(gold: Sequence[Tags], predicted: Sequence[Tags]) -> EntityCounts:
    """Counts of each sentence whose tags name words, such as parts of speech: every word is an entity, and its tag the type. Raises as `count_entities`."""
    return _count(gold, predicted, lambda tags: set(enumerate(tags)), lambda word: word[1])


def _count(gold: Sequence[Tags], predicted: Sequence[Tags], found_in: Callable[[Tags], set[Found]], type_of: Callable[[Found], str]) -> EntityCounts:
    if not gold:
        raise InputError("there are no labelled rows to measure: give data with labels")
    wrong = [place for place, (one, other) in enumerate(zip(gold, predicted, strict=True)) if len(one) != len(other)]
    if wrong:
        raise ValueError(f"sentence {wrong[0]} has {len(gold[wrong[0]])} tags and {len(predicted[wrong[0]])} predicted ones, and so {len(wrong)} in all")
    pairs = [(found_in(one), found_in(other)) for one, other in zip(gold, predicted, strict=True)]
    types = tuple(sorted({type_of(each) for pair in pairs for side in pair for each in side}))
    number = {type_: place for place, type_ in enumerate(types)}
    counts = np.zeros((3, len(pairs), len(types)))
    for row, (there, said) in enumerate(pairs):
        for which, side in enumerate((there & said, there, said)):
            for each in side:
                counts[which, row, number[type_of(each)]] += 1
    right = [sum(map(str.__eq__, one, other)) for one, other in zip(gold, predicted, strict=True)]
    words = [len(one) for one in gold]
    return EntityCounts(
        types=types, hits=counts[0], gold=counts[1], predicted=counts[2], right=np.array(right, dtype=float), words=np.array(words, dtype=float)
    )


def entity_metrics(gold: Sequence[Tags], predicted: Sequence[Tags]) -> dict[str, float]:
    """precision, recall and f1 of all entities together, f1_macro (the mean over the types on either side), and accuracy (the share of right tags), strict.

    gold, predicted: BIO tags by sentence; see `spans` for what strict means. All are 0 where undefined. Raises as `count_entities`.
    """
    counts = count_entities(gold, predicted)
    return {name: float(value[0]) for name, value in weighted_entities(counts)(np.ones((1, len(counts.words)))).items()}


def word_metrics(gold: Sequence[Tags], predicted: Sequence[Tags]) -> dict[str, float]:
    """accuracy, the share of right tags, and f1_macro, the mean F1 over the tags on either side: of tags that name words. Raises as `count_entities`."""
    counts = count_words(gold, predicted)
    found = weighted_entities(counts)(np.ones((1, len(counts.words))))
    return {name: float(found[name][0]) for name in WORD_METRICS}


def per_type(gold: Sequence[Tags], predicted: Sequence[Tags]) -> list[ClassScores]:
    """Precision, recall, F1 and numbers of entities of each type, by name."""
    counts = count_entities(gold, predicted)
    hits, there, said = (each.sum(axis=0) for each in (counts.hits, counts.gold, counts.predicted))
    return [
        ClassScores(name=name, precision=float(p), recall=float(r), f1=float(f1), support=int(support), predicted=int(number))
        for name, p, r, f1, support, number in zip(counts.types, *scores(hits, there, said), there, said, strict=True)
    ]


def weighted_entities(counts: EntityCounts) -> Weighted:
    """`entity_metrics` of sentences that count several times or not at all."""
    types = len(counts.types)
    sums = np.hstack([counts.hits, counts.gold, counts.predicted, counts.right[:, None], counts.words[:, None]])

    def weighted(weights: FloatArray) -> Mapping[str, FloatArray]:
        hits, there, said, right, words = np.split(weights @ sums, np.cumsum([types, types, types, 1]), axis=1)
        precision, recall, f1 = scores(hits.sum(axis=1), there.sum(axis=1), said.sum(axis=1))
        by_type, occurring = scores(hits, there, said)[2], ((there + said) > 0).sum(axis=1)
        macro = divided(by_type.sum(axis=1), occurring)
        return {"precision": precision, "recall": recall, "f1": f1, "f1_macro": macro, "accuracy": divided(right, words)[:, 0]}

    return weighted

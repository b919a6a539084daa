"""What answering without reading would reach: the numbers that a model's are to be held against."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from bertwright.data.labelled.content import labels_of
from bertwright.data.labelled.examples import LabelledData
from bertwright.tasks.bio import OUTSIDE, kind_of
from bertwright.tasks.predictions import Answered, Chosen, Classified, Regressed, Tagged
from bertwright.tasks.task import Task


def blind_predictions(task: Task, data: LabelledData, train: LabelledData) -> list[Any]:
    """What a model that reads nothing says of each row of `data`, knowing only the labels of `train`; empty where no answer stands out.

    The labels' shares as probabilities, and so the commonest label; the mean of numbers; no entity, or of tags that name words the commonest; no answer; the
    commonest place among choices.
    """
    rows, known = data.examples, train.examples
    match data.task:
        case "classify":
            return [_commonest(known, [str(name) for name in task.config["label2id"]], several=data.several)] * len(rows)
        case "regress":
            return [Regressed(value=float(np.mean([float(example.label) for example in known])))] * len(rows)
        case "tag":
            tag = _commonest_tag(known)
            return [Tagged(text=example.text, words=example.words, tags=(tag,) * len(example.words), entities=()) for example in rows]
        case "answer":
            return [Answered(text="", start=None, end=None, score=1.0)] * len(rows)
        case "choice":
            return _commonest_choice(rows, known)
    return []


def takes_labels(data: LabelledData) -> bool:
    """Whether `blind_predictions` follow from the labels it knows; else they are the same whatever those are."""
    return data.task in ("classify", "regress", "choice") or (data.task == "tag" and _commonest_tag(data.examples) != OUTSIDE)


def _commonest(known: Sequence[Any], names: Sequence[str], *, several: bool) -> Classified:
    counts = Counter(name for example in known for name in labels_of(example))
    shares = {name: counts[name] / len(known) for name in names}
    if several:
        return Classified(label=None, labels=tuple(name for name in shares if shares[name] >= 1 / 2), probabilities=shares)
    best = max(shares, key=lambda name: shares[name])
    return Classified(label=best, labels=(best,), probabilities=shares)


def _commonest_tag(known: Sequence[Any]) -> str:
    counts = Counter(tag for example in known for tag in example.tags)
    return OUTSIDE if any(kind_of(tag) != tag for tag in counts) else max(counts, key=counts.__getitem__, default=OUTSIDE)


def _commonest_choice(rows: Sequence[Any], known: Sequence[Any]) -> list[Chosen]:
    place, _ = Counter(example.label for example in known).most_common(1)[0]
    chosen = []
    for example in rows:
        count = len(example.choices)
        choice = min(place, count - 1)
        chosen.append(Chosen(choice=choice, text=example.choices[choice], probabilities=tuple(float(number == choice) for number in range(count))))
    return chosen

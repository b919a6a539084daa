"""Which examples a report explains, half of them right and half hard, and which scores of theirs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from bertwright.analysis.attribution import Target
from bertwright.errors import BertwrightError
from bertwright.reports.answered import question_example
from bertwright.reports.classified import text_example
from bertwright.reports.content import Example, Line
from bertwright.reports.predicted import Row, labelled, loss_of, names_of
from bertwright.reports.reading import RunFiles
from bertwright.reports.tagged import entities, tagged_example
from bertwright.reports.wording import number
from bertwright.tasks.words import joined
from bertwright.text.tokenizer import Encoding

LONGEST = 128  # tokens explained: enough for a paragraph, and seconds of a base model on a laptop
LONGEST_CONTEXT = 256  # of a question with its context, which is of no use without its answer
CONTEXT = 900  # characters of a context that mostly fit into these
WORDS = range(3, 41)  # of a right example: long enough to show something, short enough to be read


@dataclass(frozen=True)
class Asked:
    """A score to explain. target: from the text's encoding; None where what it is of was cut off."""

    title: str
    target: Callable[[Encoding], Target | None]


@dataclass(frozen=True, kw_only=True)
class Case:
    """text, pair: as the model reads them; shown: the example as the report shows it elsewhere, without its text."""

    text: str
    pair: str | None
    asked: Sequence[Asked]
    shown: Example
    longest: int = LONGEST


def cases(run: RunFiles, split: str, count: int) -> list[Case]:
    """At most `count` examples of a split; none for tasks whose answers are not one score of one text."""
    rows = run.predictions.get(split, ())
    choose = {"classify": _classified, "regress": _regressed, "tag": _tagged, "answer": _answered}.get(run.task or "")
    return [] if choose is None or count < 1 else choose(rows, run.labels, count)


def sides(encoding: Encoding) -> list[int]:
    """0 for tokens of the first text and 1 for those of the second; tokens the template added belong to the text before them."""
    found, side, met = list[int](), 0, False
    for place, special in enumerate(encoding.special_mask):
        if not special and met and encoding.special_mask[place - 1]:
            side = 1
        met = met or not special
        found.append(side)
    return found


def _half(right: Iterable[Row], hard: Iterable[Row], count: int) -> list[tuple[Row, bool]]:
    """Half of each; where there are too few hard ones, more that are right, and the other way round."""
    first, last = list(right), list(hard)
    last = last[: max(count // 2, count - len(first))]
    return [*((row, True) for row in first[: count - len(last)]), *((row, False) for row in last)]


def _by_loss(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -(loss_of(row) or 0.0))


def _classified(rows: Sequence[Row], labels: Sequence[str], count: int) -> list[Case]:
    found = labelled(rows, tuple(labels))
    if found is None:
        return []
    sure, seen = list[Row](), set[str]()
    for place in np.argsort(-found.probabilities.max(1), kind="stable"):
        row = found.rows[place]
        if found.right[place] and str(row["label"]) not in seen and len(str(row.get("text", "")).split()) in WORDS:
            seen.add(str(row["label"]))
            sure.append(row)
    hard = _by_loss(row for row, right in zip(found.rows, found.right, strict=True) if not right)
    return [_of_labels(row, right, labels) for row, right in _half(sure, hard, count)]


def _of_labels(row: Row, right: bool, labels: Sequence[str]) -> Case:
    """The predicted label's logit, and that of the right one where it is another."""
    prediction, given = row["prediction"], names_of(row["label"])
    said = str(prediction.get("label") or max(prediction["probabilities"], key=prediction["probabilities"].get))
    names = [said, *([] if right else [name for name in given if name != said][:1])]
    asked = [Asked(f"for {name}", _always(_logit(labels.index(name)))) for name in names if name in labels]
    return Case(text=str(row.get("text", "")), pair=row.get("pair"), asked=asked, shown=_without(text_example(row, labels, right=right), "text", "with"))


def _regressed(rows: Sequence[Row], labels: Sequence[str], count: int) -> list[Case]:
    known = _by_loss(row for row in rows if loss_of(row) is not None and row.get("text"))
    middle = len(known) // 2
    chosen = _half(reversed(known[middle:]), known[:middle], count)
    return [
        Case(text=str(row["text"]), pair=row.get("pair"), asked=[Asked("the number", _always(_logit(0)))], shown=_number(row, good)) for row, good in chosen
    ]


def _number(row: Row, good: bool) -> Example:
    lines = [Line.plain("right", number(row.get("label"))), Line.plain("predicted", number(row["prediction"].get("value")))]
    return Example(lines=lines, badge="close" if good else "far off", good=good)


def _tagged(rows: Sequence[Row], labels: Sequence[str], count: int) -> list[Case]:
    """Sentences with an entity, right or predicted; the beginning of one that is wrong, or else of the first one, is explained."""
    told = [(row, *entities(row)) for row in rows if len(row.get("words") or ()) in WORDS]
    right = [row for row, gold, said in told if gold and gold == said]
    hard = _by_loss(row for row, gold, said in told if gold != said)
    found = list[Case]()
    for row, _ in _half(right, hard, count):
        gold, said = entities(row)
        wrong = sorted(said - gold, key=lambda one: one[1]) or sorted(gold - said, key=lambda one: one[1]) or sorted(gold, key=lambda one: one[1])
        kind, first, last = wrong[0]
        text, spans = joined(row["words"])
        text = str(row.get("text") or text)
        start = spans[first][0] if text == joined(row["words"])[0] else text.find(str(row["words"][first]))
        if f"B-{kind}" in labels:
            title = f"{kind} of {joined(row['words'][first:last])[0]}"
            found.append(Case(text=text, pair=None, asked=[Asked(title, _of_tag(start, labels.index(f"B-{kind}")))], shown=tagged_example(row)))
    return found


def _answered(rows: Sequence[Row], labels: Sequence[str], count: int) -> list[Case]:
    short = [row for row in rows if isinstance(row.get("context"), str) and len(row["context"]) <= CONTEXT]
    short = [row for row in short if isinstance(row["prediction"].get("start"), int) and isinstance(row["prediction"].get("end"), int)]
    shown = {id(row): question_example(row) for row in short}
    ordered = _by_loss(short)
    chosen = _half((row for row in reversed(ordered) if shown[id(row)].good), (row for row in ordered if not shown[id(row)].good), count)
    return [
        Case(
            text=str(row.get("question", "")),
            pair=row["context"],
            asked=[Asked("its answer", _of_span(row["prediction"]["start"], row["prediction"]["end"]))],
            shown=_without(shown[id(row)], "question", "context"),
            longest=LONGEST_CONTEXT,
        )
        for row, _ in chosen
    ]


def _without(example: Example, *names: str) -> Example:
    return replace(example, lines=[line for line in example.lines if line.name not in names])


def _always(target: Target) -> Callable[[Encoding], Target | None]:
    return lambda encoding: target


def _logit(place: int) -> Target:
    return lambda output: _of(output.logits)[:, place]


def _of_tag(start: int, tag: int) -> Callable[[Encoding], Target | None]:
    """The logit of a tag at the token in which a character lies."""

    def target(encoding: Encoding) -> Target | None:
        token = _token_at(encoding, start, side=0)
        return None if token is None else lambda output: _of(output.logits)[:, token, tag]

    return target


def _of_span(start: int, end: int) -> Callable[[Encoding], Target | None]:
    """The sum of the two logits of a span of characters of the second text."""

    def target(encoding: Encoding) -> Target | None:
        first, last = _token_at(encoding, start, side=1), _token_at(encoding, end - 1, side=1)
        if first is None or last is None:
            return None
        return lambda output: _of(output.start_logits)[:, first] + _of(output.end_logits)[:, last]

    return target


def _token_at(encoding: Encoding, character: int, *, side: int) -> int | None:
    for place, (own, special, (start, end)) in enumerate(zip(sides(encoding), encoding.special_mask, encoding.offsets, strict=True)):
        if own == side and not special and start <= character < end:
            return place
    return None


def _of(scores: Tensor | None) -> Tensor:
    if scores is None:
        raise BertwrightError("the checkpoint has no head whose answers could be explained")
    return scores

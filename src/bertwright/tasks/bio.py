"""Tags of the BIO scheme: made whole, and read as entities."""

from collections.abc import Sequence

from bertwright.tasks.predictions import Entity
from bertwright.tasks.words import Span

OUTSIDE = "O"
BEGIN, INSIDE = "B-", "I-"


def kind_of(tag: str) -> str:
    """What an entity's tag names: PER of B-PER and of I-PER; a tag without a prefix is its own."""
    return tag[2:] if tag.startswith((BEGIN, INSIDE)) else tag


def complete(tags: Sequence[str | None], *, following: Sequence[int] = ()) -> tuple[str, ...]:
    """A legal tag for each word, whose entities are those that the tags given make; None stands where nothing is known.

    A word of `following` goes on with the one before it; another unknown one with the entity that goes on behind it, else it is outside. An "I-" that nothing
    began becomes "B-", as seqeval and transformers' pipeline read it.
    """
    whole = list(tags)
    for word in following:
        whole[word] = _going_on(whole[word - 1])
    behind = OUTSIDE
    open_kinds = _kinds_before(whole)
    for word in range(len(whole) - 1, -1, -1):
        if whole[word] is None:
            whole[word] = behind if behind.startswith(INSIDE) and kind_of(behind) == open_kinds[word] else OUTSIDE
        behind = whole[word] or OUTSIDE
    return _legal([tag or OUTSIDE for tag in whole])


def entities(tags: Sequence[str], *, text: str, spans: Sequence[Span], scores: Sequence[float | None]) -> tuple[Entity, ...]:
    """The entities of legal tags; a tag without a prefix goes on as long as it is repeated. Words without a score do not count in an entity's."""
    found = []
    begin = None
    for word, tag in enumerate([*tags, OUTSIDE]):
        goes_on = word > 0 and not tag.startswith(BEGIN) and tag != OUTSIDE and kind_of(tag) == kind_of(tags[word - 1])
        if begin is not None and not goes_on:
            known = [score for score in scores[begin:word] if score is not None]
            start, end = spans[begin][0], spans[word - 1][1]
            label, score = kind_of(tags[begin]), sum(known) / len(known) if known else 0.0
            found.append(Entity(label=label, text=text[start:end], start=start, end=end, score=score))
            begin = None
        if tag != OUTSIDE and not goes_on:
            begin = word
    return tuple(found)


def _going_on(tag: str | None) -> str | None:
    return INSIDE + tag[2:] if tag is not None and tag.startswith(BEGIN) else tag


def _kinds_before(tags: Sequence[str | None]) -> list[str | None]:
    """For each word what the last known tag before it names, None where that is outside."""
    found: list[str | None] = []
    last: str | None = None
    for tag in tags:
        found.append(last)
        if tag is not None:
            last = None if tag == OUTSIDE else kind_of(tag)
    return found


def _legal(tags: list[str]) -> tuple[str, ...]:
    before = OUTSIDE
    legal = []
    for tag in tags:
        begun = before != OUTSIDE and kind_of(before) == kind_of(tag)
        before = BEGIN + tag[2:] if tag.startswith(INSIDE) and not begun else tag
        legal.append(before)
    return tuple(legal)

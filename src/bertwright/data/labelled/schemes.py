"""Schemes of tags (BIO, IOB1, IOBES, BMES, BMEWO, BILOU): told from the tags, and turned into BIO.

IOB1 is the scheme of Ramshaw and Marcus 1995 (arXiv cmp-lg/9505040), in which B- stands only between two entities of one type that touch; BIO (IOB2) has it at
the beginning of each (Tjong Kim Sang and Veenstra 1999, arXiv cs/9907006).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from bertwright.data.places import Place
from bertwright.errors import InputError

OUTSIDE = "O"
BEGINS, ENDS, GOES_ON = frozenset("BSUW"), frozenset("ESLUW"), frozenset("IMEL")
SCHEMES = {"BIO": "BI", "IOBES": "BIES", "BMES": "BMES", "BMEWO": "BMEW", "BILOU": "BILU"}
PLAIN = "plain"
MANY_SLIPS = 0.1  # share of entities: slips are rarer

_tag = re.compile(r"([BIMESLUW])[-_](.+)", re.DOTALL)


@lru_cache(maxsize=1 << 12)
def split_tag(tag: str) -> tuple[str, str] | None:
    """("B", "PER") of B-PER or B_PER; None for O and for a tag without a prefix."""
    match = _tag.fullmatch(tag)
    return (match[1], match[2]) if match else None


@dataclass
class Scheme:
    """What the tags of a file follow. name: a key of SCHEMES, "IOB1", or "plain" for tags without prefixes, such as parts of speech.

    entities: how many there are; illegal: tags that stand where the scheme does not allow them, as BIO where it is BIO or IOB1; unneeded: of those of BIO that
    IOB1 has no use for, a B- that follows no entity of its type; places: of the first of each.
    """

    name: str
    entities: int = 0
    illegal: int = 0
    unneeded: int = 0
    places: dict[str, Place] = field(default_factory=dict)

    def slip(self, kind: str, place: Place, lines: int) -> None:
        """Counts a tag that stands where it should not, so many lines below a place."""
        if kind == "illegal":
            self.illegal += 1
        else:
            self.unneeded += 1
        if kind not in self.places:
            self.places[kind] = Place(place.name, place.unit, place.number + lines)


def find_scheme(tags: Iterable[tuple[str, Place]], *, file: str) -> Scheme:
    """The scheme of a file by its different tags, each with a place where it stands.

    Raises InputError naming the tags that no one scheme has together, and tags without a prefix among those that have one.
    """
    first: dict[str, Place] = {}
    for tag, place in tags:
        first.setdefault(tag, place)
    split = {tag: parts for tag in first if (parts := split_tag(tag))}
    bare = [tag for tag in first if tag != OUTSIDE and tag not in split]
    if len(split) < len(bare) or not split:
        return Scheme(PLAIN)
    if bare:
        with_prefix = next(iter(split))
        raise InputError(
            f"{file}: tags with and without a prefix are mixed ({with_prefix}, {_at(first[with_prefix])}; {bare[0]}, {_at(first[bare[0]])}): "
            "write B- or I- before each type, and O for no entity"
        )
    by_prefix = {prefix: tag for tag, (prefix, _) in reversed(split.items())}
    for name, prefixes in SCHEMES.items():
        if by_prefix.keys() <= set(prefixes):
            return Scheme(name)
    shown = ", ".join(f"{tag} ({_at(first[tag])})" for _, tag in sorted(by_prefix.items()))
    raise InputError(f"{file}: tags of several schemes are mixed: {shown}: no one of {', '.join(SCHEMES)} has them all, so convert the file to one of them")


def _at(place: Place) -> str:
    return f"{place.unit} {place.number:,}"


def to_bio(tags: Sequence[str], scheme: Scheme, *, place: Place, by_word: bool) -> tuple[str, ...]:
    """The same entities in BIO. A tag that may not stand where it does begins an entity, or ends the one before it, as in seqeval and conlleval.

    Counts into `scheme`; by_word: whether each word has a line of its own, so that `place` is the first word's.
    """
    if scheme.name == PLAIN:
        return tuple(tags)
    found: list[str] = []
    closes = scheme.name != "BIO"
    before: str | None = None  # the type of the word before
    open_type: str | None = None  # of the entity that the word before may go on
    for index, tag in enumerate([*tags, OUTSIDE]):
        parts = split_tag(tag)
        prefix, kind = parts if parts else (OUTSIDE, None)
        goes_on = prefix in GOES_ON and kind is not None and kind == open_type
        word = min(index, len(tags) - 1) if by_word else 0
        if kind is not None and not goes_on:
            scheme.entities += 1
            if prefix not in BEGINS:
                scheme.slip("illegal", place, word)
            elif prefix == "B" and kind != before:
                scheme.slip("unneeded", place, word)
        if closes and open_type is not None and not goes_on:
            scheme.slip("illegal", place, word)
        found.append(OUTSIDE if kind is None else f"{'I' if goes_on else 'B'}-{kind}")
        before, open_type = kind, None if prefix in ENDS else kind
    return tuple(found[:-1])


def settle(scheme: Scheme, *, file: str) -> str:
    """What to say of a file's scheme once all tags are read; names BIO "IOB1" where it is.

    Raises InputError where so many tags are out of place that the file must follow two schemes whose entities differ.
    """
    if scheme.name == PLAIN:
        return f"{file}: the tags have no B- or I-, so each word's tag counts for itself"
    illegal = f"{scheme.illegal:,} in {scheme.entities:,} entities (the first at {_at(scheme.places['illegal'])})" if scheme.illegal else ""
    if scheme.name == "BIO":
        if scheme.illegal and scheme.unneeded <= MANY_SLIPS * scheme.entities:
            scheme.name = "IOB1"
            slips = f"; {scheme.unneeded:,} of {scheme.entities:,} entities begin with a B- that IOB1 has no use for" if scheme.unneeded else ""
            return f"{file}: the tags are IOB1, where entities begin with I- unless they follow one of their type; read as BIO{slips}"
        return f"{file}: the tags are BIO" + (f"; I- without a B- before it: {illegal}, read as B-" if scheme.illegal else "")
    if scheme.illegal > MANY_SLIPS * scheme.entities:
        raise InputError(
            f"{file}: tags that stand where {scheme.name} does not allow them: {illegal}: sentences of another scheme are mixed in, so convert the file to one"
        )
    return f"{file}: the tags are {scheme.name}, read as BIO" + (f"; tags out of place: {illegal}, each begins or ends one" if scheme.illegal else "")

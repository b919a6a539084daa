"""Two-way name rules: one table reads a family's tensor names and, inverted, writes them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

_GROUP = re.compile(r"\{([^}]*)\}")
_LEAF = r"(\.weight|\.bias)?"


@dataclass(frozen=True)
class Fused:
    """Our side of a rule whose tensor holds several of ours, one behind the other: the group of `ours` lists them. transposed: as in `Conv1d`."""

    ours: str
    transposed: bool = False


@dataclass(frozen=True)
class Conv1d:
    """Our side of a rule whose matrix is stored transposed, as GPT's released code has it."""

    ours: str


Ours = str | Fused | Conv1d


@dataclass(frozen=True)
class Claim:
    """Which tensors of ours one of theirs holds: their names, in the order they lie in it; `transposed` where its matrix is."""

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False


class NameRules:
    """Translates tensor names by rows of `theirs: ours`.

    `*` stands for an index and `{a,b}` for alternatives; the n-th star or group of one side belongs to the n-th of the other, save in a `Fused` side, whose
    group names the parts. A row names a module, whose `weight` and `bias` follow, or one tensor. Raises ValueError when a row does not pair up or two rows
    claim one name.
    """

    def __init__(self, rows: Mapping[str, Ours]) -> None:
        claims = [claim for theirs, ours in rows.items() for claim in _expand(theirs, ours)]
        self._reading = _compile([(claim.theirs, claim) for claim in claims])
        self._writing = _compile([(name, claim) for claim in claims for name in claim.ours])

    def of_theirs(self, name: str) -> Claim | None:
        """What their tensor holds, or None when no row claims it."""
        return _translate(self._reading, name)

    def of_ours(self, name: str) -> Claim | None:
        """The tensor of theirs that holds ours, or None when no row claims it."""
        return _translate(self._writing, name)


def names_of(rows: Mapping[str, Ours]) -> set[str]:
    """The names, or patterns of names, of theirs that rows claim."""
    return {claim.theirs for theirs, ours in rows.items() for claim in _expand(theirs, ours)}


def _expand(theirs: str, ours: Ours) -> list[Claim]:
    """All claims that a row stands for: each group replaced on both sides by its alternatives, in step."""
    side = ours if isinstance(ours, str) else ours.ours
    if isinstance(ours, Fused):
        parts = _alternatives(side)
        if len(parts) != 1 or theirs.count("*") != side.count("*"):
            raise ValueError(f"the two sides of a name rule do not pair up: {theirs!r}: {side!r}")
        return [Claim(theirs, tuple(_fill(side, [part]) for part in parts[0]), ours.transposed)]
    groups = list(zip(_alternatives(theirs), _alternatives(side), strict=True))
    if theirs.count("*") != side.count("*") or any(len(a) != len(b) for a, b in groups):
        raise ValueError(f"the two sides of a name rule do not pair up: {theirs!r}: {side!r}")
    choices = product(*(zip(a, b, strict=True) for a, b in groups))
    return [Claim(_fill(theirs, [a for a, _ in chosen]), (_fill(side, [b for _, b in chosen]),), isinstance(ours, Conv1d)) for chosen in choices]


def _alternatives(side: str) -> list[list[str]]:
    return [group.split(",") for group in _GROUP.findall(side)]


def _fill(side: str, words: list[str]) -> str:
    remaining = iter(words)
    return _GROUP.sub(lambda _: next(remaining), side)


def _compile(pairs: list[tuple[str, Claim]]) -> list[tuple[re.Pattern[str], Claim]]:
    sources = [source for source, _ in pairs]
    if twice := {source for source in sources if sources.count(source) > 1}:
        raise ValueError(f"two name rules claim {sorted(twice)}")
    return [(re.compile(re.escape(source).replace(r"\*", r"(\d+)") + _LEAF), claim) for source, claim in pairs]


def _translate(rules: list[tuple[re.Pattern[str], Claim]], name: str) -> Claim | None:
    for pattern, claim in rules:
        if match := pattern.fullmatch(name):
            *indices, leaf = match.groups()
            # A matrix is transposed, the bias beside it is not.
            return Claim(_put(claim.theirs, indices, leaf), tuple(_put(ours, indices, leaf) for ours in claim.ours), claim.transposed and leaf == ".weight")
    return None


def _put(target: str, indices: list[str], leaf: str | None) -> str:
    for index in indices:
        target = target.replace("*", index, 1)
    return target + (leaf or "")

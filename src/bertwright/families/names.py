"""Two-way name rules: one table reads a family's tensor names and, inverted, writes them."""

import re
from collections.abc import Mapping
from itertools import product

_GROUP = re.compile(r"\{([^}]*)\}")
_LEAF = r"(\.weight|\.bias)?"


class NameRules:
    """Translates tensor names by rows of `theirs: ours`.

    `*` stands for an index and `{a,b}` for alternatives; the n-th star or group of one side belongs to the n-th of the other. A row names a module, whose
    `weight` and `bias` follow, or one tensor. Raises ValueError when a row does not pair up or two rows claim one name.
    """

    def __init__(self, rows: Mapping[str, str]) -> None:
        pairs = [pair for theirs, ours in rows.items() for pair in _expand(theirs, ours)]
        self._reading = _compile(pairs)
        self._writing = _compile([(ours, theirs) for theirs, ours in pairs])

    def to_ours(self, name: str) -> str | None:
        """Our name of their tensor, or None when no row claims it."""
        return _translate(self._reading, name)

    def to_theirs(self, name: str) -> str | None:
        """Their name of our tensor, or None when no row claims it."""
        return _translate(self._writing, name)


def _expand(left: str, right: str) -> list[tuple[str, str]]:
    """All pairs that a row stands for: each group replaced on both sides by its alternatives, in step."""
    groups = list(zip(_alternatives(left), _alternatives(right), strict=True))
    if left.count("*") != right.count("*") or any(len(a) != len(b) for a, b in groups):
        raise ValueError(f"the two sides of a name rule do not pair up: {left!r}: {right!r}")
    choices = product(*(zip(a, b, strict=True) for a, b in groups))
    return [(_fill(left, [a for a, _ in chosen]), _fill(right, [b for _, b in chosen])) for chosen in choices]


def _alternatives(side: str) -> list[list[str]]:
    return [group.split(",") for group in _GROUP.findall(side)]


def _fill(side: str, words: list[str]) -> str:
    remaining = iter(words)
    return _GROUP.sub(lambda _: next(remaining), side)


def _compile(pairs: list[tuple[str, str]]) -> list[tuple[re.Pattern[str], str]]:
    sources = [source for source, _ in pairs]
    if twice := {source for source in sources if sources.count(source) > 1}:
        raise ValueError(f"two name rules claim {sorted(twice)}")
    return [(re.compile(re.escape(source).replace(r"\*", r"(\d+)") + _LEAF), target) for source, target in pairs]


def _translate(rules: list[tuple[re.Pattern[str], str]], name: str) -> str | None:
    for pattern, target in rules:
        if match := pattern.fullmatch(name):
            *indices, leaf = match.groups()
            for index in indices:
                target = target.replace("*", index, 1)
            return target + (leaf or "")
    return None

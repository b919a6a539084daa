"""What a family is: a config's translation both ways, tables of names, and the heads of each Hugging Face class. Data, no modules, no torch."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from bertwright.architecture import POOLER, Architecture, HeadKind
from bertwright.errors import InputError
from bertwright.families.names import NameRules, Ours, names_of

Config = Mapping[str, Any]
Rows = Mapping[str, Ours]
Constant = Literal["arange", "zeros", "causal", "number", "unread"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """A model family as data.

    prefix: of the base model's tensors in every class but `base_class`; optional on reading. rows: name rules `theirs: ours` of the base model, with prefix;
    heads: those of each head. classes: Hugging Face's class names, the richest first, with the heads of each. base_heads: those that Hugging Face counts to
    the base model, which a file may hold or not. legacy: old endings of names and what they are today. buffers: constants that old checkpoints hold,
    "unread" those whose values nobody reads. released_vocabulary: entries of the released models, where the config class has another default.
    architecture, config: a config.json both ways. sizes: the config keys of a preset of some layers and hidden size. pooled: heads that need the pooler.
    """

    name: str
    model_types: tuple[str, ...]
    prefix: str
    base_class: str
    rows: Rows
    heads: Mapping[HeadKind, Rows]
    classes: Mapping[str, tuple[HeadKind, ...]]
    architecture: Callable[[Config], Architecture]
    config: Callable[[Architecture], dict[str, Any]]
    sizes: Callable[[int, int], dict[str, Any]]
    base_heads: tuple[HeadKind, ...] = ()
    pooled: tuple[HeadKind, ...] = ()
    legacy: Mapping[str, str] = field(default_factory=dict)
    buffers: Mapping[str, Constant] = field(default_factory=dict)
    released_vocabulary: int | None = None

    def names(self, heads: Iterable[HeadKind]) -> NameRules:
        """The two-way rules of the base model and these heads. Raises InputError where two of the heads have one name in this family's files."""
        return _rules(self.name, _HashedRows(self.rows), tuple((head, _HashedRows(self.heads[head])) for head in heads))

    def names_beside(self, heads: tuple[HeadKind, ...]) -> NameRules:
        """The rules of the base model, these heads, and every other head whose names are still free."""
        taken = {name for head in heads for name in names_of(self.heads[head])}
        chosen = list(heads)
        for head, rows in self.heads.items():
            names = names_of(rows)
            if head not in chosen and not taken & names:
                chosen.append(head)
                taken |= names
        return self.names(chosen)

    def full_name(self, name: str, rules: NameRules) -> str:
        """Their name as it is written today: with the base model's prefix, old endings replaced. Unknown names come back as they are."""
        for old, new in self.legacy.items():
            if name.endswith(old):
                name = name.removesuffix(old) + new
        prefixed = self.prefix + name
        known = rules.of_theirs(prefixed) is not None or self.constant(prefixed) is not None
        return prefixed if known else name

    def constant(self, name: str) -> Constant | None:
        """What stands in a buffer that checkpoints may hold, by its full name; None for any other name."""
        pattern = ".".join("*" if part.isdigit() else part for part in name.split("."))
        return self.buffers.get(pattern)

    def complete_heads(self, heads: Iterable[HeadKind]) -> tuple[HeadKind, ...]:
        """The heads with the pooler where one of them stands on it, in the family's order."""
        wanted = set(heads)
        if wanted & set(self.pooled):
            wanted.add(POOLER)
        return tuple(head for head in self.heads if head in wanted)

    def declared(self, config: Config) -> tuple[str, ...]:
        """This family's classes that a config.json names as its own."""
        named = config.get("architectures")
        return tuple(name for name in named if name in self.classes) if isinstance(named, list) else ()

    def class_for(self, heads: tuple[HeadKind, ...]) -> str:
        """The richest Hugging Face class whose heads are all among these."""
        return next(name for name, entry in self.classes.items() if set(entry) <= set(heads))


class _HashedRows:
    """Rows as a hashable value, so that rules are compiled once."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._key = tuple(rows.items())

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _HashedRows) and self._key == other._key


@cache
def _rules(family: str, base: _HashedRows, heads: tuple[tuple[HeadKind, _HashedRows], ...]) -> NameRules:
    owner: dict[str, str] = {}
    for head, rows in heads:
        for name in names_of(rows.rows):
            if name in owner:
                raise InputError(f"a {family} file cannot hold the {owner[name]} and the {head} head at once: both are named {name}; leave one of them out")
            owner[name] = head
    return NameRules({**base.rows, **{name: ours for _, rows in heads for name, ours in rows.rows.items()}})

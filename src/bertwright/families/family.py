"""What a family is: a config's translation both ways, a table of names, and the heads of each Hugging Face class. Data, no modules, no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bertwright.architecture import Architecture, HeadSpec
from bertwright.families.names import NameRules

Config = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ModelClass:
    """A Hugging Face class: the heads it has, and whether its tensors stand under the base model's prefix."""

    heads: tuple[HeadSpec, ...]
    prefixed: bool = True


@dataclass(frozen=True, kw_only=True)
class Family:
    """A model family as data.

    `rows`: name rules `theirs: ours` with the base model's prefix, which is optional on reading. `legacy`: old endings of names and what they are today.
    `tied`: tensors that repeat another one (checked equal, then dropped). `buffers`: constants that old checkpoints hold, as `arange` or `zeros`.
    `other_heads`: first parts of names of heads that the family knows and this project does not build; they are left out and named.
    `base_heads`: those that Hugging Face counts to the base model. `head_needs`: the head that another one stands on.
    `classes`: Hugging Face's class names, the richest first.
    """

    name: str
    model_types: tuple[str, ...]
    prefix: str
    rows: Mapping[str, str]
    legacy: Mapping[str, str]
    tied: Mapping[str, str]
    buffers: Mapping[str, str]
    other_heads: tuple[str, ...]
    head_order: tuple[HeadSpec, ...]
    base_heads: tuple[HeadSpec, ...]
    head_needs: Mapping[HeadSpec, HeadSpec]
    classes: Mapping[str, ModelClass]
    architecture: Callable[[Config], Architecture]
    config: Callable[[Architecture], dict[str, Any]]

    @cached_property
    def names(self) -> NameRules:
        """The two-way rules made of `rows`."""
        return NameRules(self.rows)

    def full_name(self, name: str) -> str:
        """Their name as it is written today: with the base model's prefix, old endings replaced. Unknown names come back as they are."""
        for old, new in self.legacy.items():
            if name.endswith(old):
                name = name.removesuffix(old) + new
        prefixed = self.prefix + name
        known = self.names.to_ours(prefixed) is not None or prefixed in self.buffers
        return prefixed if known else name

    def written_name(self, name: str, *, prefixed: bool) -> str:
        """Their name of our tensor. Raises KeyError when no rule claims it."""
        theirs = self.names.to_theirs(name)
        if theirs is None:
            raise KeyError(f"no name rule of the {self.name} family claims {name}")
        return theirs if prefixed else theirs.removeprefix(self.prefix)

    def complete_heads(self, heads: tuple[HeadSpec, ...]) -> tuple[HeadSpec, ...]:
        """The heads with those they stand on (NSP needs the pooler), in the family's order."""
        wanted = {*heads, *(self.head_needs[head] for head in heads if head in self.head_needs)}
        return tuple(head for head in self.head_order if head in wanted)

    def class_for(self, heads: tuple[HeadSpec, ...]) -> str:
        """The richest Hugging Face class whose heads are all among these."""
        return next(name for name, entry in self.classes.items() if set(entry.heads) <= set(heads))

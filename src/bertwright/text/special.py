"""The five special tokens a BERT-family model needs, under whatever names a vocabulary gives them."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass

from bertwright.errors import InputError

ROLES = ("pad", "unk", "cls", "sep", "mask")

NAMES: dict[str, tuple[str, ...]] = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}
"""The names tried where no configuration gives one: BERT's, then RoBERTa's."""


@dataclass(frozen=True)
class SpecialTokens:
    """The text of each special token. The defaults are BERT's, and those of every tokenizer trained here, with ids 0 to 4 in this order."""

    pad: str = "[PAD]"
    unk: str = "[UNK]"
    cls: str = "[CLS]"
    sep: str = "[SEP]"
    mask: str = "[MASK]"

    def in_order(self) -> tuple[str, ...]:
        """pad, unk, cls, sep, mask."""
        names: tuple[str, ...] = astuple(self)
        return names

    def for_transformers(self) -> dict[str, str]:
        """Under the keys of transformers: `pad_token` and so on."""
        return {f"{role}_token": name for role, name in zip(ROLES, self.in_order(), strict=True)}


def find_special_tokens(vocabulary: Mapping[str, int], declared: Mapping[str, object], *, source: str) -> SpecialTokens:
    """The special tokens of a vocabulary: those that `declared` (the keys of tokenizer_config.json) names, else the usual ones it contains.

    Raises InputError that names each role for which the vocabulary has no entry; `source` says whose vocabulary it is.
    """
    found: dict[str, str] = {}
    missing: list[str] = []
    for role in ROLES:
        name = _declared_name(declared.get(f"{role}_token"))
        candidates = NAMES[role] if name is None else (name,)
        present = [candidate for candidate in candidates if candidate in vocabulary]
        if present:
            found[role] = present[0]
        else:
            missing.append(" or ".join(candidates))
    if missing:
        raise InputError(f"{source}: the vocabulary has no {', no '.join(missing)}: take the tokenizer of a BERT-family model, or train one here")
    return SpecialTokens(**found)


def _declared_name(value: object) -> str | None:
    """transformers writes a special token as its text or as an object with its text under `content`."""
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) else None

"""The special tokens of a vocabulary: which roles it has, and under what names."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bertwright.errors import InputError

ROLES = ("pad", "unk", "cls", "sep", "mask")
"""The roles that a BERT-family model needs."""

ALL_ROLES = (*ROLES, "bos", "eos")

NAMES: dict[str, tuple[str, ...]] = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}
"""The names tried where neither a configuration nor the family gives one: BERT's, then RoBERTa's."""


@dataclass(frozen=True)
class SpecialTokens:
    """The text of each special token, None for a role that the tokenizer has no token for.

    The defaults are BERT's, and those of every tokenizer trained here, with ids 0 to 4 in this order.
    """

    pad: str | None = "[PAD]"
    unk: str | None = "[UNK]"
    cls: str | None = "[CLS]"
    sep: str | None = "[SEP]"
    mask: str | None = "[MASK]"
    bos: str | None = None
    eos: str | None = None

    def by_role(self) -> dict[str, str]:
        """Role -> token, of the roles that there are: pad, unk, cls, sep, mask, bos, eos."""
        return {role: name for role in ALL_ROLES if (name := getattr(self, role)) is not None}

    def in_order(self) -> tuple[str, ...]:
        """Each token once, in the order of the roles."""
        return tuple(dict.fromkeys(self.by_role().values()))

    def for_transformers(self) -> dict[str, str]:
        """Under the keys of transformers: `pad_token` and so on."""
        return {f"{role}_token": name for role, name in self.by_role().items()}


def find_special_tokens(
    vocabulary: Collection[str], declared: Mapping[str, object], *, source: str, names: Mapping[str, tuple[str, ...]] = NAMES, required: tuple[str, ...] = ()
) -> SpecialTokens:
    """The special tokens of a vocabulary: those that `declared` (the keys of tokenizer_config.json) names, else the first of `names` that it contains.

    Raises InputError that names each of the `required` roles, and each of BERT's five that is declared, for which the vocabulary has no entry;
    `source` says whose vocabulary it is.
    """
    found: dict[str, str | None] = dict.fromkeys(ALL_ROLES)
    missing: list[str] = []
    keys: list[str] = []
    for role in ALL_ROLES:
        name = token_text(declared.get(f"{role}_token"))
        candidates = names.get(role, ()) if name is None else (name,)
        found[role] = next((candidate for candidate in candidates if candidate in vocabulary), None)
        if found[role] is None and (role in required or (role in ROLES and name is not None)):
            missing.append(" or ".join(candidates))
            keys.append(f"{role}_token")
    if missing:
        mend = f"give the vocabulary that belongs to the model, or its own names as {', '.join(keys)} in tokenizer_config.json"
        raise InputError(f"{source}: the vocabulary has no {', no '.join(missing)}: {mend}")
    return SpecialTokens(**found)


def token_text(value: object) -> str | None:
    """transformers writes a special token as its text or as an object with its text under `content`."""
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) else None


def sentinel(number: int) -> str:
    """T5's name of the token that marks gap `number` of a text (Raffel et al. 2019, released vocabulary)."""
    return f"<extra_id_{number}>"

"""What one sample of pre-training is made of, before an objective changes it: rows of packed documents, or pairs of segments.

A source knows how many samples an epoch has and cuts any of them out, by number, for whole arrays of numbers at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bertwright.errors import InputError
from bertwright.text.special import ALL_ROLES
from bertwright.text.tokenizer import Tokenizer

# What each role is for, and what to do where a vocabulary lacks it.
_OTHER = "prepare the text again without --tokenizer, which trains one that has it"
_ROLES = {
    "pad": ("that fills rows up (pad)", _OTHER),
    "cls": ("that begins a row (cls)", _OTHER),
    "sep": ("that ends a segment (sep)", _OTHER),
    "mask": ("that masks (mask)", f"{_OTHER}, or take --objective clm and a model such as gpt2-mini"),
    "begin": ("that begins a text (bos or cls)", _OTHER),
    "end": ("that ends a text (eos or sep)", _OTHER),
}

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


# The id of a token that a vocabulary does not have.
ABSENT = -1


@dataclass(frozen=True)
class Vocabulary:
    """The ids that samples need, ABSENT where the tokenizer has no such token: GPT-2's knows none of BERT's five.

    special: every id that is never masked, [CLS], [SEP], [PAD], [MASK] and the unknown token among them. begin_id, end_id: what a text that is written
    begins and ends with, the tokenizer's own bos and eos, else [CLS] and [SEP]. sentinels: <extra_id_0>, <extra_id_1> and so on, in this order.
    """

    size: int
    pad_id: int
    cls_id: int
    sep_id: int
    mask_id: int
    special: tuple[int, ...]
    unk_id: int = ABSENT
    begin_id: int = ABSENT
    end_id: int = ABSENT
    sentinels: tuple[int, ...] = ()

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "Vocabulary":
        """A tokenizer's ids."""
        ids = {role: getattr(tokenizer, f"{role}_id") if tokenizer.has(role) else ABSENT for role in ALL_ROLES}
        begin, end = (ids[own] if tokenizer.has(own) else ids[other] for own, other in (("bos", "cls"), ("eos", "sep")))
        bert = ids["pad"], ids["cls"], ids["sep"], ids["mask"]
        return cls(tokenizer.vocab_size, *bert, tuple(tokenizer.special_ids), ids["unk"], begin, end, tokenizer.sentinel_ids)

    def check(self, objective: str, *roles: str) -> None:
        """Raises InputError with a line for each role (pad, cls, sep, mask, begin, end) that an objective needs and this vocabulary has no token for."""
        problems = [
            f"objective {objective} needs a token {_ROLES[role][0]}, and the tokenizer of {self.size:,} entries has none: {_ROLES[role][1]}"
            for role in roles
            if getattr(self, f"{role}_id") == ABSENT
        ]
        if problems:
            raise InputError(*problems)

    @property
    def maskable(self) -> BoolArray:
        """bool [size]: false on special ids."""
        table = np.ones(self.size, dtype=bool)
        table[list(self.special)] = False
        return table


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Rows of one length, as cut from the text.

    ids: [batch, length], padded; token_type_ids: the same, or None where all are 0; lengths: [batch] tokens that are no padding;
    sequences: [batch, length] number of each token's document within the row, or None where every row is one sequence; sentences: as that, of its sentence,
    or None where nobody asked;
    next_sentence_label: [batch], 0 = B follows A, or None; sentence_order_label: [batch], 0 = in the text's order, 1 = swapped, or None;
    word_starts: [batch, length], true where a word begins, on every special token and where a segment begins within a word, or None where nobody asked.
    """

    ids: IntArray
    lengths: IntArray
    token_type_ids: IntArray | None = None
    sequences: IntArray | None = None
    sentences: IntArray | None = None
    next_sentence_label: IntArray | None = None
    sentence_order_label: IntArray | None = None
    word_starts: BoolArray | None = None


class Source(Protocol):
    """Samples by epoch and number."""

    def size(self, epoch: int) -> int:
        """How many samples the epoch has."""

    def take(self, epoch: int, numbers: IntArray) -> Samples:
        """The samples with these numbers, 0 <= number < size(epoch), in this order."""


def concatenate(parts: Sequence[Samples]) -> Samples:
    """Rows of several samples under each other; absent optional columns are filled in where another part has them."""
    if len(parts) == 1:
        return parts[0]
    ids = np.concatenate([part.ids for part in parts])

    def column(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        if all(value is None for value in values):
            return None
        return np.concatenate([np.zeros_like(part.ids) if value is None else value for part, value in zip(parts, values, strict=True)])

    lengths = np.concatenate([part.lengths for part in parts])
    sequences = column("sequences")
    if sequences is not None:  # padding of a part that had no sequences
        sequences = np.where(np.arange(ids.shape[1]) >= lengths[:, None], ids.shape[1], sequences)
    others = {field.name: column(field.name) for field in fields(Samples) if field.name not in ("ids", "lengths", "sequences")}
    return Samples(ids=ids, lengths=lengths, sequences=sequences, **others)

"""What one sample of pre-training is made of, before an objective changes it: rows of packed documents, or pairs of segments.

A source knows how many samples an epoch has and cuts any of them out, by number, for whole arrays of numbers at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bertwright.data import keys as draws
from bertwright.data.keys import KeyArray
from bertwright.data.shards import Split
from bertwright.errors import InputError
from bertwright.text.tokenizer import Tokenizer

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# The share of samples that are made shorter (Devlin et al. 2018, appendix A.2 and the released create_pretraining_data.py).
SHORT_SHARE = 0.1


@dataclass(frozen=True)
class Vocabulary:
    """The ids that samples need. `special`: every id that is never masked, [CLS], [SEP], [PAD], [MASK] and the unknown token among them."""

    size: int
    pad_id: int
    cls_id: int
    sep_id: int
    mask_id: int
    special: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "Vocabulary":
        """A tokenizer's ids."""
        ids = (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id)
        return cls(tokenizer.vocab_size, *ids, tuple(tokenizer.special_ids))

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
    sequences: [batch, length] number of each token's document within the row, or None where every row is one sequence;
    next_sentence_label: [batch], 0 = B follows A, or None.
    """

    ids: IntArray
    lengths: IntArray
    token_type_ids: IntArray | None = None
    sequences: IntArray | None = None
    next_sentence_label: IntArray | None = None


class Source(Protocol):
    """Samples by epoch and number."""

    def size(self, epoch: int) -> int:
        """How many samples the epoch has."""

    def take(self, epoch: int, numbers: IntArray) -> Samples:
        """The samples with these numbers, 0 <= number < size(epoch), in this order."""


class PackedRows:
    """Whole rows of [CLS] text [SEP], documents in an order drawn anew each epoch, one after the other.

    The epoch is one long line in which each document of n tokens takes n + 2 places, its text and then the [SEP] and [CLS] that part it
    from the next; row r is the slice [r w, (r + 1) w) of that line with w = length - 2, found by prefix sums. The rows then come in an order
    of their own, so that a batch is not made of one long document.
    """

    def __init__(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> None:
        self.split, self.vocabulary, self.length, self.seed = split, vocabulary, length, seed
        self._order = lru_cache(maxsize=2)(self._order_of)
        self.rows = -(-(split.num_tokens + 2 * split.num_documents) // (length - 2))

    def size(self, epoch: int) -> int:
        return self.rows

    def _order_of(self, epoch: int) -> tuple[IntArray, IntArray, IntArray]:
        order = draws.permutation(self.split.num_documents, draws.key_of(self.seed, epoch))
        ends = np.cumsum(np.diff(self.split.document_tokens)[order] + 2)
        return order, ends, draws.permutation(self.rows, draws.key_of(self.seed, epoch, draws.ROWS))

    def take(self, epoch: int, numbers: IntArray) -> Samples:
        order, ends, rows = self._order(epoch)
        width, vocabulary = self.length - 2, self.vocabulary
        places = rows[numbers][:, None] * width + np.arange(width)
        inside = places < ends[-1]
        which = np.minimum(np.searchsorted(ends, places, side="right"), len(ends) - 1)
        starts, document = self.split.document_tokens, order[which]
        sizes = starts[document + 1] - starts[document]
        offset = places - (ends[which] - sizes - 2)
        is_text = inside & (offset < sizes)
        token = np.where(is_text, starts[document] + offset, 0)
        begins = inside & (offset == sizes + 1)
        ids = np.full((len(numbers), self.length), vocabulary.pad_id, dtype=np.int64)
        body = ids[:, 1:-1]
        body[...] = np.where(is_text, self.split.tokens[token], np.where(begins, vocabulary.cls_id, np.where(inside, vocabulary.sep_id, vocabulary.pad_id)))
        lengths = inside.sum(1) + 2
        ids[:, 0] = vocabulary.cls_id
        ids[np.arange(len(ids)), lengths - 1] = vocabulary.sep_id
        if not begins.any():
            return Samples(ids=ids, lengths=lengths)
        sequences = np.zeros_like(ids)
        sequences[:, 1:-1] = np.cumsum(begins, axis=1)
        sequences[:, -1] = sequences[:, -2]
        padding = np.arange(self.length) >= lengths[:, None]
        return Samples(ids=ids, lengths=lengths, sequences=np.where(padding, sequences[:, -1:] + 1, sequences))


@dataclass(frozen=True)
class Chunks:
    """An epoch's cut of all documents: document, first and last sentence (exclusive) and wished length in tokens of each chunk; int64 [chunks] each."""

    document: IntArray
    first: IntArray
    last: IntArray
    target: IntArray


class SentencePairs:
    """[CLS] A [SEP] B [SEP] as BERT's own tools make them, save that the number of samples does not hang on coins.

    Every document of two or more sentences is cut into chunks of at least two, as long as the wished length, by lengths and the epoch's key
    alone. A chunk is split at a random sentence into A and what follows it; a coin decides whether B is what follows (label 0) or as much from
    another document (label 1). The longer side gives way, token by token at a random end, until both fit.
    """

    def __init__(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> None:
        self.split, self.vocabulary, self.length, self.seed = split, vocabulary, length, seed
        mend = "use --objective mlm, or prepare the text with another --documents"
        if split.num_documents < 2:
            raise InputError(f"next-sentence prediction needs two documents or more, the text has {split.num_documents}: {mend}")
        if not (np.diff(split.documents) >= 2).any():
            raise InputError(f"next-sentence prediction needs documents of two sentences or more, the text has none: {mend}")
        self.chunks, self._order = lru_cache(maxsize=2)(self._chunks_of), lru_cache(maxsize=2)(self._order_of)

    def size(self, epoch: int) -> int:
        return len(self.chunks(epoch).document)

    def _chunks_of(self, epoch: int) -> Chunks:
        """The epoch's chunks, in the order of the text: every document's n-th chunk is cut in the n-th round."""
        starts, documents = self.split.sentences, self.split.documents
        document = np.flatnonzero(np.diff(documents) >= 2)
        first, key, capacity = documents[document], draws.key_of(self.seed, epoch), self.length - 3
        rounds: list[tuple[IntArray, IntArray, IntArray, IntArray]] = []
        while len(document):
            short = draws.uniform(key, first, draws.CHUNK_SHORT) < SHORT_SHARE
            target = np.where(short, 2 + draws.below(capacity - 1, key, first, draws.CHUNK_LENGTH), capacity)
            end = documents[document + 1]
            last = np.searchsorted(starts, starts[first] + target, side="left")
            last = np.maximum(last, first + 2)
            last = np.where(last >= end - 1, end, last)  # a lone last sentence joins the chunk before it
            rounds.append((document, first, last, target))
            more = last < end
            document, first = document[more], last[more]
        joined = [np.concatenate(column) for column in zip(*rounds, strict=True)]
        order = np.argsort(joined[1], kind="stable")
        return Chunks(*(column[order] for column in joined))

    def _order_of(self, epoch: int) -> IntArray:
        return draws.permutation(self.size(epoch), draws.key_of(self.seed, epoch))

    def take(self, epoch: int, numbers: IntArray) -> Samples:
        chunks, chosen = self.chunks(epoch), self._order(epoch)[numbers]
        keys = draws.draw(draws.key_of(self.seed, epoch), chosen, draws.SAMPLE)
        document, first, last, target = (column[chosen] for column in (chunks.document, chunks.first, chunks.last, chunks.target))
        starts = self.split.sentences
        cut = first + 1 + draws.below(last - first - 1, keys, 0, draws.PAIR_CUT)
        a_start, a_size = starts[first], starts[cut] - starts[first]
        random = (draws.draw(keys, 0, draws.PAIR_COIN) >> np.uint64(63)).astype(bool)
        b_start, b_size = self._partner(document, keys, np.maximum(target - a_size, 1))
        b_start, b_size = np.where(random, b_start, starts[cut]), np.where(random, b_size, starts[last] - starts[cut])
        a_front, a_size, b_front, b_size = truncate(a_size, b_size, keys, capacity=self.length - 3)
        return self._assemble((a_start + a_front, a_size), (b_start + b_front, b_size), random.astype(np.int64))

    def _partner(self, document: IntArray, keys: KeyArray, wished: IntArray) -> tuple[IntArray, IntArray]:
        """First token and size of a segment of whole sentences, `wished` tokens or more where the document has them, from another document."""
        starts, documents = self.split.sentences, self.split.documents
        other = draws.below(self.split.num_documents - 1, keys, 0, draws.PAIR_DOCUMENT)
        other += other >= document
        first = documents[other] + draws.below(documents[other + 1] - documents[other], keys, 0, draws.PAIR_SENTENCE)
        last = np.searchsorted(starts, starts[first] + wished, side="left")
        last = np.clip(last, first + 1, documents[other + 1])
        return starts[first], starts[last] - starts[first]

    def _assemble(self, a: tuple[IntArray, IntArray], b: tuple[IntArray, IntArray], label: IntArray) -> Samples:
        (a_start, a_size), (b_start, b_size) = ((start[:, None], size[:, None]) for start, size in (a, b))
        vocabulary, place = self.vocabulary, np.arange(self.length)
        in_a = (place >= 1) & (place <= a_size)
        in_b = (place >= a_size + 2) & (place < a_size + 2 + b_size)
        token = np.where(in_a, a_start + place - 1, np.where(in_b, b_start + place - a_size - 2, 0))
        ids = np.where(in_a | in_b, self.split.tokens[token].astype(np.int64), vocabulary.pad_id)
        ids[:, 0] = vocabulary.cls_id
        ids[(place == a_size + 1) | (place == a_size + b_size + 2)] = vocabulary.sep_id
        types = ((place >= a_size + 2) & (place <= a_size + b_size + 2)).astype(np.int64)
        return Samples(ids=ids, lengths=(a_size + b_size + 3)[:, 0], token_type_ids=types, next_sentence_label=label)


def truncate(a_size: IntArray, b_size: IntArray, keys: KeyArray, *, capacity: int) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Cuts pairs to `capacity` tokens: the longer side (B where they are equal) loses a token at a random end until both fit.

    Sizes and keys: [batch]. Returns, each [batch]: tokens cut from A's front, A's new size, tokens cut from B's front, B's new size.
    """
    half_a, half_b = -(-capacity // 2), capacity // 2
    fits = a_size + b_size <= capacity
    new_a = np.where(fits, a_size, np.where(b_size <= half_b, capacity - b_size, np.minimum(a_size, half_a)))
    new_b = np.where(fits, b_size, np.minimum(b_size, capacity - new_a))
    a_front = _heads(a_size - new_a, keys, side=0)
    b_front = _heads(b_size - new_b, keys, side=1)
    return a_front, new_a, b_front, new_b


def _heads(coins: IntArray, keys: KeyArray, *, side: int) -> IntArray:
    """How many of `coins` fair coins fall heads, [batch]: the set bits among as many drawn ones."""
    words = np.arange(max(1, -(-int(coins.max(initial=0)) // 64)))
    bits = draws.draw(keys[:, None], 2 * words + side, draws.TRUNCATE)
    left = np.clip(coins[:, None] - 64 * words, 0, 64)
    mask = np.where(left == 64, np.uint64(2**64 - 1), (np.uint64(1) << np.minimum(left, 63).astype(np.uint64)) - np.uint64(1))
    heads: IntArray = np.bitwise_count(bits & mask).sum(1).astype(np.int64)
    return heads


def concatenate(parts: Sequence[Samples]) -> Samples:
    """Rows of several samples under each other; absent optional columns are filled in where another part has them."""
    if len(parts) == 1:
        return parts[0]
    ids = np.concatenate([part.ids for part in parts])

    def column(name: str) -> IntArray | None:
        values = [getattr(part, name) for part in parts]
        if all(value is None for value in values):
            return None
        return np.concatenate([np.zeros_like(part.ids) if value is None else value for part, value in zip(parts, values, strict=True)])

    lengths = np.concatenate([part.lengths for part in parts])
    sequences = column("sequences")
    if sequences is not None:  # padding of a part that had no sequences
        sequences = np.where(np.arange(ids.shape[1]) >= lengths[:, None], ids.shape[1], sequences)
    return Samples(ids=ids, lengths=lengths, token_type_ids=column("token_type_ids"), sequences=sequences, next_sentence_label=column("next_sentence_label"))

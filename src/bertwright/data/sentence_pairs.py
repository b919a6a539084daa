"""Pairs of segments of a text: [CLS] A [SEP] B [SEP], B being what follows A in the text, or not."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bertwright.data import keys as draws
from bertwright.data.keys import KeyArray
from bertwright.data.samples import IntArray, Samples, Vocabulary
from bertwright.data.shards import Split
from bertwright.errors import InputError

# The share of samples that are made shorter (Devlin et al. 2018, appendix A.2 and the released create_pretraining_data.py).
SHORT_SHARE = 0.1


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

    ordered: B always is what follows A, and the coin decides whether the two are swapped (label 1), as ALBERT learns them (Lan et al. 2019, section 3.1).
    words: samples say where words begin. Raises InputError where a text has no documents, or none of two sentences, to make pairs of.
    """

    def __init__(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int, ordered: bool = False, words: bool = False) -> None:
        self.split, self.vocabulary, self.length, self.seed, self.ordered, self.words = split, vocabulary, length, seed, ordered, words
        learnt, mend = "sentence order" if ordered else "next-sentence prediction", "use --objective mlm, or prepare the text with another --documents"
        if split.num_documents < 2 and not ordered:
            raise InputError(f"{learnt} needs two documents or more, the text has {split.num_documents}: {mend}")
        if not (np.diff(split.documents) >= 2).any():
            raise InputError(f"{learnt} needs documents of two sentences or more, the text has none: {mend}")
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
        b_start, b_size = starts[cut], starts[last] - starts[cut]
        coin = (draws.draw(keys, 0, draws.PAIR_COIN) >> np.uint64(63)).astype(bool)
        if self.ordered:
            a_start, b_start = np.where(coin, b_start, a_start), np.where(coin, a_start, b_start)
            a_size, b_size = np.where(coin, b_size, a_size), np.where(coin, a_size, b_size)
        else:
            other_start, other_size = self._partner(document, keys, np.maximum(target - a_size, 1))
            b_start, b_size = np.where(coin, other_start, b_start), np.where(coin, other_size, b_size)
        a_front, a_size, b_front, b_size = truncate(a_size, b_size, keys, capacity=self.length - 3)
        return self._assemble((a_start + a_front, a_size), (b_start + b_front, b_size), coin.astype(np.int64))

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
        starts = None
        if self.words:  # a segment may begin within a word
            starts = ~(in_a | in_b) | self.split.word_starts[token].astype(bool) | (place == 1) | (place == a_size + 2)
        labels = {"sentence_order_label" if self.ordered else "next_sentence_label": label}
        return Samples(ids=ids, lengths=(a_size + b_size + 3)[:, 0], token_type_ids=types, word_starts=starts, **labels)


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

"""Text as models that write read it: rows of running text, and passages of one document each."""

from functools import lru_cache

import numpy as np

from bertwright.data import keys as draws
from bertwright.data.samples import ABSENT, IntArray, Samples, Vocabulary
from bertwright.data.shards import Split


class RunningText:
    """Rows of documents one behind the other, each as a text that is written: its begin token, its tokens, its end token, where the vocabulary has them.

    The epoch is one long line of documents in an order drawn anew, and row r is its slice [r length, (r + 1) length], one token longer than a model reads: the
    last is what is to be predicted at the end, and the first of the next row. So of every epoch each token but the first is predicted once. The rows come in
    an order of their own, so that a batch is not made of one long document.
    """

    def __init__(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> None:
        self.split, self.vocabulary, self.length, self.seed = split, vocabulary, length, seed
        self.begins, self.ends = int(vocabulary.begin_id != ABSENT), int(vocabulary.end_id != ABSENT)
        self.rows = max(0, -(-(split.num_tokens + split.num_documents * (self.begins + self.ends) - 1) // length))
        self._order = lru_cache(maxsize=2)(self._order_of)

    def size(self, epoch: int) -> int:
        return self.rows

    def _order_of(self, epoch: int) -> tuple[IntArray, IntArray, IntArray]:
        order = draws.permutation(self.split.num_documents, draws.key_of(self.seed, epoch))
        ends = np.cumsum(np.diff(self.split.document_tokens)[order] + self.begins + self.ends)
        return order, ends, draws.permutation(self.rows, draws.key_of(self.seed, epoch, draws.ROWS))

    def take(self, epoch: int, numbers: IntArray) -> Samples:
        """`sequences` is None where no row holds the border of two documents; padding has the number after the last document's."""
        order, ends, rows = self._order(epoch)
        places = rows[numbers][:, None] * self.length + np.arange(self.length + 1)
        inside = places < ends[-1]
        which = np.minimum(np.searchsorted(ends, places, side="right"), len(ends) - 1)
        starts, document = self.split.document_tokens, order[which]
        sizes = starts[document + 1] - starts[document]
        offset = places - (ends[which] - sizes - self.ends)
        is_text = inside & (offset >= 0) & (offset < sizes)
        ids = self.split.tokens[np.where(is_text, starts[document] + offset, 0)].astype(np.int64)
        frame = np.where(offset < 0, self.vocabulary.begin_id, self.vocabulary.end_id)
        ids = np.where(is_text, ids, np.where(inside, frame, filler(self.vocabulary)))
        sequences = np.where(inside, which - which[:, :1], which[:, -1:] - which[:, :1] + 1)
        several = (which[:, -1] != which[:, 0]).any()
        return Samples(ids=ids, lengths=inside.sum(1), sequences=sequences if several else None)


class Passages:
    """Pieces of one document each, of at most `width` tokens and without special tokens: every document is cut into as few as possible, as equal as possible.

    Rows are filled up to `length`. sentences: also says which sentence each token is of.
    """

    def __init__(self, split: Split, vocabulary: Vocabulary, *, width: int, length: int, seed: int, sentences: bool = False) -> None:
        self.split, self.vocabulary, self.length, self.seed, self.sentences = split, vocabulary, length, seed, sentences
        starts = split.document_tokens
        sizes = np.diff(starts)
        pieces = -(-sizes // width)
        document = np.repeat(np.arange(split.num_documents), pieces)
        piece = np.arange(len(document)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        size, count = sizes[document], pieces[document]
        self._first = starts[document] + piece * size // count
        self._size = starts[document] + (piece + 1) * size // count - self._first
        self._order = lru_cache(maxsize=2)(lambda epoch: draws.permutation(len(document), draws.key_of(seed, epoch)))

    def size(self, epoch: int) -> int:
        return len(self._first)

    def take(self, epoch: int, numbers: IntArray) -> Samples:
        chosen = self._order(epoch)[numbers]
        size, places = self._size[chosen][:, None], np.arange(self.length)
        token = self._first[chosen][:, None] + np.minimum(places, size - 1)
        ids = np.where(places < size, self.split.tokens[token].astype(np.int64), filler(self.vocabulary))
        sentences = None
        if self.sentences:
            found = np.searchsorted(self.split.sentences, token, side="right")
            sentences = found - found[:, :1]
        return Samples(ids=ids, lengths=size[:, 0], sentences=sentences)


def filler(vocabulary: Vocabulary) -> int:
    """What stands where a row has no tokens: padding, else any token, for nobody reads it."""
    return next((token for token in (vocabulary.pad_id, vocabulary.end_id) if token != ABSENT), 0)

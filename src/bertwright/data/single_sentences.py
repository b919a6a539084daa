"""Every sentence of a text as a sample of its own."""

from functools import lru_cache

import numpy as np

from bertwright.data import keys as draws
from bertwright.data.samples import IntArray, Samples, Vocabulary
from bertwright.data.shards import Split
from bertwright.errors import InputError


class SingleSentences:
    """[CLS] sentence [SEP], cut to `length` tokens, in an order drawn anew each epoch. Raises InputError where the text has fewer than two sentences."""

    def __init__(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> None:
        self.split, self.vocabulary, self.length, self.seed = split, vocabulary, length, seed
        self.filled = np.flatnonzero(np.diff(split.sentences))
        if len(self.filled) < 2:
            raise InputError(f"sentences are told from each other, and the text has {len(self.filled)}: prepare it with another --sentences, or give more text")
        self._order = lru_cache(maxsize=2)(self._order_of)

    def size(self, epoch: int) -> int:
        return len(self.filled)

    def _order_of(self, epoch: int) -> IntArray:
        return self.filled[draws.permutation(len(self.filled), draws.key_of(self.seed, epoch))]

    def take(self, epoch: int, numbers: IntArray) -> Samples:
        chosen = self._order(epoch)[numbers]
        starts = self.split.sentences[chosen]
        sizes = np.minimum(self.split.sentences[chosen + 1] - starts, self.length - 2)
        place = np.arange(self.length)
        inside = (place >= 1) & (place <= sizes[:, None])
        token = np.where(inside, starts[:, None] + place - 1, 0)
        ids = np.where(inside, self.split.tokens[token].astype(np.int64), self.vocabulary.pad_id)
        ids[:, 0] = self.vocabulary.cls_id
        ids[np.arange(len(ids)), sizes + 1] = self.vocabulary.sep_id
        return Samples(ids=ids, lengths=sizes + 2)

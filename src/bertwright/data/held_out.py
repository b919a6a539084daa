"""Which documents are held out for validation, decided as they stream by."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

KeyArray = NDArray[np.uint64]


class EncodedDocuments(NamedTuple):
    """Documents as token ids. tokens: [T]; sentence_lengths: int64 [S] tokens; document_lengths: int64 [D] sentences; digests: uint64 [D]; word_starts:
    bool [T], None where the tokenizer's table says it all."""

    tokens: NDArray[np.uint32]
    sentence_lengths: NDArray[np.int64]
    document_lengths: NDArray[np.int64]
    digests: KeyArray
    word_starts: NDArray[np.bool_] | None = None

    def select(self, chosen: NDArray[np.bool_]) -> "EncodedDocuments":
        """The documents where `chosen` (bool [D]) is true."""
        sentences = np.repeat(chosen, self.document_lengths)
        tokens = np.repeat(sentences, self.sentence_lengths)
        starts = None if self.word_starts is None else self.word_starts[tokens]
        return EncodedDocuments(self.tokens[tokens], self.sentence_lengths[sentences], self.document_lengths[chosen], self.digests[chosen], starts)


class HeldOut:
    """Cuts a stream of documents in two: about `fraction` of them for validation, at least one of them and never all.

    A document is chosen by a hash of its text and the seed: the choice needs no second pass, outlives a new order or more files, and two copies of one
    text stand on the same side, so that nothing leaks by exact duplicates. As long as all documents fell on one side, the one nearest to
    the other is kept back; `finish` gives it to the empty side. A corpus of one document is cut inside: its last sentences are held out.
    """

    def __init__(self, fraction: float, *, seed: int) -> None:
        self.fraction = fraction
        self.cut_inside = False
        self._threshold = np.uint64(min(int(fraction * 2.0**64), 2**64 - 1))
        self._seed = mix(np.array([seed % 2**64], dtype=np.uint64))
        self._kept_back: EncodedDocuments | None = None
        self._key = np.uint64(0)
        self._side: bool | None = None  # the side of all documents so far; None once both sides have some
        self._begun = False
        self._alone = False  # the document kept back is the only one so far

    def divide(self, documents: EncodedDocuments) -> Iterator[tuple[bool, EncodedDocuments]]:
        """(held out, documents) parts that can be written now."""
        if not len(documents.digests):
            return
        if self.fraction == 0:
            yield False, documents
            return
        keys = mix(documents.digests ^ self._seed)
        chosen = keys < self._threshold
        if not self._begun:
            self._begun, self._side = True, bool(chosen[0])
        if self._side is not None and (chosen == self._side).all():
            yield from self._keep_nearest(documents, keys)
            return
        yield from self._release()
        self._side = None
        for side in (False, True):
            if (chosen == side).any():
                yield side, documents.select(chosen == side)

    def finish(self) -> Iterator[tuple[bool, EncodedDocuments]]:
        """What was kept back, given to the side that is still empty."""
        if self._kept_back is None:
            return
        if self._alone and len(self._kept_back.sentence_lengths) > 1:
            self.cut_inside = True
            yield from _cut_inside(self._kept_back, self.fraction)
        else:
            yield not (self._alone or self._side), self._kept_back
        self._kept_back = None

    def _keep_nearest(self, documents: EncodedDocuments, keys: KeyArray) -> Iterator[tuple[bool, EncodedDocuments]]:
        """Keeps the document that is nearest to the other side, of these and the one kept so far; the rest go where all went."""
        assert self._side is not None
        place = int(keys.argmax() if self._side else keys.argmin())
        self._alone = self._kept_back is None and len(keys) == 1
        if self._kept_back is not None and ((keys[place] <= self._key) if self._side else (keys[place] >= self._key)):
            yield self._side, documents
            return
        yield from self._release()
        nearest = np.arange(len(keys)) == place
        self._kept_back, self._key = documents.select(nearest), keys[place]
        if len(keys) > 1:
            yield self._side, documents.select(~nearest)

    def _release(self) -> Iterator[tuple[bool, EncodedDocuments]]:
        if self._kept_back is not None and self._side is not None:
            yield self._side, self._kept_back
            self._kept_back = None


def mix(values: KeyArray) -> KeyArray:
    """SplitMix64's finalizer (Steele et al. 2014), which spreads every bit of a 64-bit value over all of them."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _cut_inside(document: EncodedDocuments, fraction: float) -> Iterator[tuple[bool, EncodedDocuments]]:
    sentences = len(document.sentence_lengths)
    kept = min(max(sentences - max(round(sentences * fraction), 1), 1), sentences - 1)
    tokens = int(document.sentence_lengths[:kept].sum())
    for side, token_part, sentence_part in ((False, slice(None, tokens), slice(None, kept)), (True, slice(tokens, None), slice(kept, None))):
        lengths = document.sentence_lengths[sentence_part]
        starts = None if document.word_starts is None else document.word_starts[token_part]
        yield side, EncodedDocuments(document.tokens[token_part], lengths, np.array([len(lengths)]), document.digests, starts)

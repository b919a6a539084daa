"""Rows of packed documents: [CLS] text [SEP] [CLS] text [SEP] ..., cut where a row is full."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bertwright.data import keys as draws
from bertwright.data.samples import BoolArray, IntArray, Samples, Vocabulary
from bertwright.data.shards import Split


@dataclass(frozen=True)
class Pieces:
    """What the rows of a batch are made of, in order, int64 [pieces] each: a document's text with the [SEP] and [CLS] after it, as far as the row holds it.

    row; begin, end: its places in the row, without the [CLS] at the front; shift: from a place in the epoch's line to a token of the split; text_end: the place
    after its last token of text, which may lie beyond the row.
    """

    row: IntArray
    begin: IntArray
    end: IntArray
    shift: IntArray
    text_end: IntArray


class PackedRows:
    """Whole rows of [CLS] text [SEP], documents in an order drawn anew each epoch, one after the other.

    The epoch is one long line in which each document of n tokens takes n + 2 places, its text and then the [SEP] and [CLS] that part it
    from the next; row r is the slice [r w, (r + 1) w) of that line with w = length - 2, found by prefix sums. The rows then come in an order
    of their own, so that a batch is not made of one long document. `words`: samples say where words begin.
    """

    def __init__(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int, words: bool = False) -> None:
        self.split, self.vocabulary, self.length, self.seed, self.words = split, vocabulary, length, seed, words
        self._order = lru_cache(maxsize=2)(self._order_of)
        self.rows = -(-(split.num_tokens + 2 * split.num_documents) // (length - 2))

    def size(self, epoch: int) -> int:
        return self.rows

    def _order_of(self, epoch: int) -> tuple[IntArray, IntArray, IntArray]:
        order = draws.permutation(self.split.num_documents, draws.key_of(self.seed, epoch))
        ends = np.cumsum(np.diff(self.split.document_tokens)[order] + 2)
        return order, ends, draws.permutation(self.rows, draws.key_of(self.seed, epoch, draws.ROWS))

    def take(self, epoch: int, numbers: IntArray) -> Samples:
        line = self._order(epoch)[2][numbers] * (self.length - 2)
        inside = np.minimum(self._order(epoch)[1][-1] - line, self.length - 2)
        pieces, vocabulary = self._pieces(epoch, line, inside), self.vocabulary
        ids = np.full((len(numbers), self.length), vocabulary.pad_id, dtype=np.int64)
        token = self._tokens(pieces, line, inside)
        body, lengths = ids[:, 1:-1], inside + 2
        body[...] = np.asarray(self.split.tokens).take(token, mode="clip")
        padding = np.arange(self.length) >= lengths[:, None] if (inside < self.length - 2).any() else None
        # A row may begin with the [CLS] after a document that ended in the row before.
        separators = (pieces.text_end >= 0) & (pieces.text_end < pieces.end)
        begins = pieces.text_end + 1 < pieces.end
        body[pieces.row[separators], pieces.text_end[separators]] = vocabulary.sep_id
        body[pieces.row[begins], pieces.text_end[begins] + 1] = vocabulary.cls_id
        ids[:, 0] = vocabulary.cls_id
        if padding is not None:
            ids[padding] = vocabulary.pad_id
        ids[np.arange(len(ids)), lengths - 1] = vocabulary.sep_id
        starts = self._word_starts(token, ids) if self.words else None
        return Samples(ids=ids, lengths=lengths, sequences=self._sequences(pieces, begins, padding), word_starts=starts)

    def _pieces(self, epoch: int, line: IntArray, inside: IntArray) -> Pieces:
        """line: [batch] where each row begins in the epoch's line; inside: [batch] how much of the line it holds."""
        order, ends, _ = self._order(epoch)
        first = np.searchsorted(ends, line, side="right")
        count = np.searchsorted(ends, line + inside - 1, side="right") - first + 1
        row = np.repeat(np.arange(len(line)), count)
        which = np.arange(len(row)) + np.repeat(first - np.cumsum(count) + count, count)
        starts, document = self.split.document_tokens, order[which]
        size = starts[document + 1] - starts[document]
        front = ends[which] - size - 2 - line[row]  # where the document begins, seen from the row's first place
        end = np.minimum(front + size + 2, inside[row])
        return Pieces(row, np.maximum(front, 0), end, starts[document] - front - line[row], front + size)

    def _tokens(self, pieces: Pieces, line: IntArray, inside: IntArray) -> IntArray:
        """[batch, length - 2]: the token of the split for each place; anything at places that hold none."""
        width = self.length - 2
        last = np.flatnonzero(np.diff(pieces.row, append=len(line)))
        size = pieces.end - pieces.begin
        size[last] += width - inside
        token: IntArray = np.repeat(pieces.shift, size).reshape(len(line), width)
        token += line[:, None]
        token += np.arange(width)
        return token

    def _word_starts(self, token: IntArray, ids: IntArray) -> BoolArray:
        """[batch, length]; `ids`: the rows as they are shown."""
        vocabulary = self.vocabulary
        found: BoolArray = (ids == vocabulary.cls_id) | (ids == vocabulary.sep_id) | (ids == vocabulary.pad_id)
        found[:, 1:] |= ids[:, :-1] == vocabulary.cls_id  # a row may begin within a word
        found[:, 1:-1] |= np.asarray(self.split.word_starts).take(token, mode="clip").astype(bool)
        return found

    def _sequences(self, pieces: Pieces, begins: BoolArray, padding: BoolArray | None) -> IntArray | None:
        """The number of each token's document within the row; padding has one of its own. None where every row is one piece without padding beside."""
        if not begins.any():
            return None
        found = np.zeros((pieces.row[-1] + 1, self.length), dtype=np.int64)
        found[pieces.row[begins], pieces.text_end[begins] + 2] = 1
        np.cumsum(found, axis=1, out=found)
        return found if padding is None else np.where(padding, found[:, -1:] + 1, found)

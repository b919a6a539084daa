"""Random gaps in rows of text, for whole batches at once.

Gaps are drawn among the tokens of a row that may be noised, counted without the others, and laid over the row afterwards: a token that must stay splits the gap
that would run over it. In what follows a rank is a place among those tokens, from 0.
"""

import numpy as np

from bertwright.data import keys as draws
from bertwright.data.keys import KeyArray
from bertwright.data.samples import BoolArray, IntArray

NOTHING = -1


def rounded(expected: np.ndarray, keys: KeyArray, purpose: int) -> IntArray:
    """[batch] numbers rounded up or down by a coin, so that they hold in the mean."""
    found: IntArray = np.floor(expected + draws.uniform(keys, 0, purpose)).astype(np.int64)
    return found


def choose(count: IntArray, among: IntArray, keys: KeyArray, purpose: int) -> IntArray:
    """`count` different numbers below `among` of each row, every set as likely as another: [batch, most], ascending, filled up with `among` itself.

    count, among: [batch], count <= among.
    """
    numbers = np.arange(max(1, int(among.max(initial=0))))
    rank = np.where(numbers < among[:, None], draws.draw(keys[:, None], numbers, purpose) >> np.uint64(1), np.uint64(2**64 - 1))
    most = int(count.max(initial=0))
    chosen = np.argsort(rank, axis=1, kind="stable")[:, :most]
    return np.sort(np.where(np.arange(most) < count[:, None], chosen, among[:, None]), axis=1)


def parts(total: IntArray, count: IntArray, keys: KeyArray, purpose: int) -> IntArray:
    """`total` of each row cut into `count` numbers of at least 1, every such sequence as likely as another: [batch, most], filled up with 0.

    total, count: [batch], count <= total.
    """
    cuts = choose(np.maximum(count - 1, 0), np.maximum(total - 1, 0), keys, purpose) + 1
    ends = np.concatenate([np.minimum(cuts, total[:, None]), total[:, None]], axis=1)
    return np.diff(ends, axis=1, prepend=0)


def place(lengths: IntArray, count: IntArray, size: IntArray, keys: KeyArray, purpose: int) -> IntArray:
    """Where gaps of these lengths begin among `size` tokens, in ranks: [batch, most], filled up with a rank past the end.

    Any two have a token between them, and every way to lay them is as likely as another. lengths: [batch, most], 0 for a gap of nothing between two tokens;
    those past `count` [batch] are 0; size: [batch]. The gaps must fit: their lengths and a token between each two of them are at most `size`.
    """
    rest = size - lengths.sum(1)
    before = choose(count, rest + 1, keys, purpose)
    return before + np.cumsum(lengths, axis=1) - lengths


def gaps(starts: IntArray, lengths: IntArray, count: IntArray, maskable: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Which tokens of the rows lie in gaps, and before which there is a gap of nothing: bool [batch, length] and [batch, length + 1], the last: at the end.

    starts, lengths: [batch, most], in ranks; maskable: [batch, length].
    """
    batch, length = maskable.shape
    rows = np.broadcast_to(np.arange(batch)[:, None], starts.shape)
    present = np.arange(starts.shape[1]) < count[:, None]
    real, empty = present & (lengths > 0), present & (lengths == 0)
    steps = np.zeros((batch, length + 1), dtype=np.int8)  # no gap begins where another ends
    steps[rows[real], starts[real]] = 1
    steps[rows[real], (starts + lengths)[real]] = -1
    between = np.zeros((batch, length + 1), dtype=bool)
    between[rows[empty], starts[empty]] = True
    rank = np.maximum(np.cumsum(maskable, axis=1) - 1, 0)
    inside = maskable & np.take_along_axis(np.cumsum(steps, axis=1, dtype=np.int8) > 0, rank, axis=1)
    before = np.zeros((batch, length + 1), dtype=bool)
    before[:, :-1] = maskable & np.take_along_axis(between, rank, axis=1)
    before[:, -1] = between[np.arange(batch), maskable.sum(1)]
    return inside, before


def first_of_each(inside: BoolArray) -> BoolArray:
    """The first place of each run of true ones, [batch, length]."""
    found = inside.copy()
    found[:, 1:] &= ~inside[:, :-1]
    return found


def compact(ids: IntArray, *, fill: int) -> tuple[IntArray, IntArray]:
    """Rows without their NOTHINGs, filled up at the end, and their lengths: [batch, longest], [batch]."""
    kept = ids != NOTHING
    lengths = kept.sum(1)
    rows = np.full((len(ids), max(1, int(lengths.max(initial=0)))), fill, dtype=np.int64)
    rows[np.arange(rows.shape[1]) < lengths[:, None]] = ids[kept]
    return rows, lengths

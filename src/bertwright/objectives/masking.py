"""Which tokens of a row are masked and what becomes of them: single tokens, whole words, spans and n-grams of words.

Every mode keeps the rate and the split exactly in the mean, and in every row up to one unit: a row's units stand in a random order on a circle as long as
their tokens, and those that begin in a random arc of the rate's share are chosen, so each unit is as likely as any other, long or short. What becomes of the
chosen ones is decided in the same way: of n tokens 0.8 n are masked, rounded by a coin.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bertwright.data import keys as draws
from bertwright.data.keys import KeyArray
from bertwright.data.samples import BoolArray, IntArray
from bertwright.errors import InputError

Unit = Literal["token", "word", "span", "ngram"]
FloatArray = NDArray[np.float64]

# Lengths of spans, in words: geometric with p = 0.2, cut off at 10 (Joshi et al. 2019, SpanBERT, section 3.1: a mean of 3.8).
SPAN_CHANCE, SPAN_LONGEST = 0.2, 10
# Shares of n-grams of 1 to 4 words (Cui et al. 2020, MacBERT, section 3.1).
NGRAM_SHARES = (0.4, 0.3, 0.2, 0.1)
# Places lie below 2**20, in the low bits of what is sorted: the other 44 are random.
PLACE_BITS = np.uint64(2**20 - 1)
LAST = np.uint64(2**64 - 1)


@dataclass(frozen=True, kw_only=True)
class Masking:
    """What is masked.

    rate: share of the maskable tokens that are chosen; rate_end: the same at the end of the run, which it reaches in a straight line over the run's `samples`;
    unit: what is chosen as a whole; masked, replaced: shares of the chosen tokens that become [MASK] and random tokens, the others stay; span_longest: words of
    the longest span.
    """

    rate: float = 0.15
    rate_end: float | None = None
    samples: float | None = None
    unit: Unit = "token"
    masked: float = 0.8
    replaced: float = 0.1
    span_longest: int = SPAN_LONGEST

    @property
    def needs_words(self) -> bool:
        """Whether samples must say where words begin."""
        return self.unit != "token"

    @property
    def lengths(self) -> tuple[float, ...] | None:
        """Shares of spans of 1, 2, ... words; None where words or tokens are chosen alone."""
        return {"span": span_shares(self.span_longest), "ngram": NGRAM_SHARES}.get(self.unit)

    def rates(self, numbers: IntArray) -> FloatArray:
        """numbers: [batch], of samples in the run -> the rate of each, float64 [batch]."""
        if self.rate_end is None or self.samples is None:
            return np.full(len(numbers), self.rate)
        return self.rate + (self.rate_end - self.rate) * np.minimum(numbers / self.samples, 1.0)

    def check(self, *, length: int, special: int) -> None:
        """Raises InputError where the longest span cannot stand in a row of `length` tokens, `special` of which are no text."""
        if self.unit == "span" and self.span_longest > length - special:
            raise InputError(
                f"max_span_length is {self.span_longest} words, and a row of max_seq_length {length} holds {length - special} tokens of text: "
                f"take --max_span_length {max(1, (length - special) // 4)} or less, or longer rows"
            )

    def over(self, samples: float) -> "Masking":
        """The same in a run of so many samples."""
        return replace(self, samples=samples)

    @property
    def at_the_end(self) -> "Masking":
        """The same with the rate that the run ends with, all the time."""
        return self if self.rate_end is None else replace(self, rate=self.rate_end, rate_end=None, samples=None)


# As BERT masks.
BERTS = Masking()


def span_shares(longest: int) -> tuple[float, ...]:
    """Shares of spans of 1 to `longest` words: (1 - p)**(n - 1) p, scaled to a sum of 1, as in SpanBERT's released code."""
    shares = SPAN_CHANCE * (1 - SPAN_CHANCE) ** np.arange(longest)
    return tuple((shares / shares.sum()).tolist())


@dataclass(frozen=True)
class Units:
    """What is chosen as a whole. first: bool [batch, length], true on the first token of each; size: int64, the same, tokens of the one that begins there."""

    first: BoolArray
    size: IntArray


def mask_tokens(
    ids: IntArray,
    maskable: BoolArray,
    keys: KeyArray,
    *,
    rate: float | FloatArray,
    candidates: IntArray,
    mask_id: int,
    masking: Masking = BERTS,
    word_starts: BoolArray | None = None,
) -> tuple[IntArray, IntArray]:
    """Masks `rate` of the maskable tokens of each row: 80% [MASK], 10% random, 10% kept (Devlin et al. 2018, section 3.1), or as `masking` says.

    ids, maskable, word_starts: [batch, length]; keys: uint64 [batch], one per sample; rate: for all rows or [batch]; candidates: the ids a random token is
    drawn from. A row with n maskable tokens gives rate * n of them in the mean. Words in which a token is not maskable are left alone. Spans and n-grams become
    [MASK], random or stay as a whole, as in SpanBERT. Returns the corrupted ids and the flat positions to predict, ascending. A row with nothing maskable
    yields no positions. Raises ValueError where words are to be chosen and `word_starts` is missing.
    """
    rates = np.broadcast_to(np.asarray(rate, dtype=np.float64), (len(ids),))
    if not masking.needs_words:
        flat, point = _tokens(maskable, keys, rates)
    elif word_starts is None:
        raise ValueError("these samples do not say where words begin")
    elif masking.lengths is None:
        flat, point = _one_by_one(_unit_tokens(words(maskable, word_starts), keys, rates)[0], maskable.shape, keys)
    else:
        flat, point = _unit_tokens(spans(maskable, word_starts, keys, shares=masking.lengths), keys, rates)
    corrupted = ids.copy()
    corrupted.reshape(-1)[flat[point < masking.masked]] = mask_id
    places = flat[(point >= masking.masked) & (point < masking.masked + masking.replaced)]
    row, place = np.divmod(places, ids.shape[1])
    corrupted.reshape(-1)[places] = candidates[draws.below(len(candidates), keys[row], place, draws.MASK_TOKEN)]
    return corrupted, np.sort(flat)


def words(maskable: BoolArray, word_starts: BoolArray) -> Units:
    """Every word all of whose tokens are maskable. A row begins a word."""
    start, size, whole = _words(maskable, word_starts)
    first, sizes = np.zeros(maskable.shape, dtype=bool), np.zeros(maskable.shape, dtype=np.int64)
    first.reshape(-1)[start[whole]] = True
    sizes.reshape(-1)[start[whole]] = size[whole]
    return Units(first, sizes)


def spans(maskable: BoolArray, word_starts: BoolArray, keys: KeyArray, *, shares: tuple[float, ...]) -> Units:
    """Each row's maskable words parted into spans of 1, 2, ... words with these shares. What is not maskable ends a span, as the row does."""
    start, size, whole = _words(maskable, word_starts)
    row = start // maskable.shape[1]
    counted = np.cumsum(whole)
    firsts = np.searchsorted(row, np.arange(len(maskable)))  # each row's first word, maskable or not
    number = counted - 1 - (counted - whole)[firsts][row]
    most = int(number.max(initial=0)) + 1
    lengths = 1 + np.searchsorted(np.cumsum(shares)[:-1], draws.uniform(keys[:, None], np.arange(most), draws.SPAN_LENGTH), side="right")
    ends = np.cumsum(lengths, axis=1)
    begins = np.zeros((len(maskable), most + 1), dtype=bool)
    begins[:, 0] = True
    np.put_along_axis(begins, np.minimum(ends, most), True, axis=1)
    after_a_break = np.concatenate(([True], ~whole[:-1] | (row[1:] != row[:-1])))
    unit = np.flatnonzero(whole & (begins[row, number] | after_a_break))
    first, sizes = np.zeros(maskable.shape, dtype=bool), np.zeros(maskable.shape, dtype=np.int64)
    first.reshape(-1)[start[unit]] = True
    if len(unit):
        sizes.reshape(-1)[start[unit]] = np.add.reduceat(size * whole, unit)
    return Units(first, sizes)


def _words(maskable: BoolArray, word_starts: BoolArray) -> tuple[IntArray, IntArray, BoolArray]:
    """Of each word, [words] each: its flat first place, its tokens, whether all of them are maskable."""
    begins = word_starts.copy()
    begins[:, 0] = True
    start = np.flatnonzero(begins)
    return start, np.diff(start, append=begins.size), np.logical_and.reduceat(maskable.reshape(-1), start)


def _shuffled(first: BoolArray, keys: KeyArray, purpose: int) -> IntArray:
    """[batch, length]: the places of each row where `first` is true, in a random order, before those where it is not."""
    places = np.arange(first.shape[1])
    ranks = draws.draw(keys[:, None], places, purpose)
    ranks &= ~PLACE_BITS
    ranks |= places.astype(np.uint64)
    ranks[~first] = LAST
    ranks.sort(axis=1)
    return (ranks & PLACE_BITS).astype(np.int64)


def _tokens(maskable: BoolArray, keys: KeyArray, rates: FloatArray) -> tuple[IntArray, FloatArray]:
    """Flat places of the chosen tokens in no order, and of each a point in [0, 1) that says what becomes of it."""
    count = np.floor(maskable.sum(1) * rates + draws.uniform(keys, 0, draws.MASK_COUNT)).astype(np.int64)
    width = int(count.max(initial=0))
    chosen = np.arange(width) < count[:, None]
    flat = _shuffled(maskable, keys, draws.MASK_CHOICE)[:, :width] + np.arange(len(maskable))[:, None] * maskable.shape[1]
    return flat[chosen], _points(np.broadcast_to(np.arange(width), chosen.shape), count, keys, draws.MASK_KIND_START)[chosen]


def _unit_tokens(units: Units, keys: KeyArray, rates: FloatArray) -> tuple[IntArray, FloatArray]:
    """As `_tokens`, unit by unit: the tokens of one share its point."""
    order = _shuffled(units.first, keys, draws.MASK_CHOICE)[:, : int(units.first.sum(1).max(initial=0))]
    within = np.arange(order.shape[1]) < units.first.sum(1)[:, None]
    order = np.where(within, order, 0)
    size = np.where(within, np.take_along_axis(units.size, order, axis=1), 0)
    before = np.cumsum(size, axis=1) - size
    chosen = within & (_points(before, size.sum(1), keys, draws.MASK_COUNT) < rates[:, None])
    taken = np.where(chosen, size, 0)
    point = _points(np.cumsum(taken, axis=1) - taken, taken.sum(1), keys, draws.MASK_KIND_START)[chosen]
    first, size = (order + np.arange(len(order))[:, None] * units.first.shape[1])[chosen], size[chosen]
    offset = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    return np.repeat(first, size) + offset, np.repeat(point, size)


def _one_by_one(flat: IntArray, shape: tuple[int, ...], keys: KeyArray) -> tuple[IntArray, FloatArray]:
    """Chosen places again, and of each token a point of its own."""
    chosen = np.zeros(shape, dtype=bool)
    chosen.reshape(-1)[flat] = True
    count = chosen.sum(1)
    width = int(count.max(initial=0))
    within = np.arange(width) < count[:, None]
    order = _shuffled(chosen, keys, draws.MASK_KIND)[:, :width] + np.arange(shape[0])[:, None] * shape[1]
    return order[within], _points(np.broadcast_to(np.arange(width), within.shape), count, keys, draws.MASK_KIND_START)[within]


def _points(before: IntArray, count: IntArray, keys: KeyArray, purpose: int) -> FloatArray:
    """before: [batch, units] tokens that stand before each unit; count: [batch] tokens in all. Where units begin on a circle of length 1, randomly turned."""
    found: FloatArray = (before / np.maximum(count, 1)[:, None] + draws.uniform(keys, 0, purpose)[:, None]) % 1.0
    return found

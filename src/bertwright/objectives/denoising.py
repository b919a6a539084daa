"""Denoising: a text is restored from what noise left of it, BART's objective (Lewis et al. 2019, section 2.2)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bertwright.data import keys as draws
from bertwright.data.batch import Batch
from bertwright.data.keys import KeyArray
from bertwright.data.running_text import Passages
from bertwright.data.samples import BoolArray, IntArray, Samples, Source, Vocabulary
from bertwright.data.shards import Split
from bertwright.errors import InputError
from bertwright.objectives import noise
from bertwright.objectives.rewriting import Rewriting, gone

# Gaps of nothing put a mask in and take no token out: rows leave room for so many more than are to be expected.
SPARE = 4


def order(samples: Samples, keys: KeyArray, *, permuted: BoolArray, rotated: BoolArray) -> IntArray:
    """The places of [batch, length] rows in a new order: sentences shuffled, then the row turned so that a random token comes first; padding stays behind.

    permuted, rotated: [batch], the rows that this happens to.
    """
    places = np.arange(samples.ids.shape[1])
    real, size = places < samples.lengths[:, None], samples.lengths[:, None]
    found = np.broadcast_to(places, samples.ids.shape)
    if permuted.any() and samples.sentences is not None:
        rank = draws.draw(keys[:, None], samples.sentences, draws.SENTENCE_ORDER) >> np.uint64(1)
        rank = np.where(permuted[:, None], rank, np.uint64(0))
        found = np.argsort(np.where(real, rank, np.uint64(2**64 - 1)), axis=1, kind="stable")
    if rotated.any():
        first = np.where(rotated, draws.below(samples.lengths, keys, 0, draws.ROTATION), 0)[:, None]
        found = np.where(real, np.take_along_axis(found, np.where(real, (places + first) % size, places), axis=1), found)
    return found


def poisson(mean: float, keys: KeyArray, most: int) -> IntArray:
    """[batch, most] draws of a Poisson distribution, from its cumulative one."""
    values = np.arange(math.ceil(mean + 12 * math.sqrt(mean) + 12))
    log = values * math.log(mean) - mean - np.array([math.lgamma(value + 1) for value in values])
    return np.searchsorted(np.cumsum(np.exp(log)), draws.uniform(keys[:, None], np.arange(most), draws.GAP_LENGTH)).astype(np.int64)


def infilled(maskable: BoolArray, keys: KeyArray, *, rate: float, mean_length: float, room: IntArray) -> tuple[BoolArray, BoolArray]:
    """Which tokens of [batch, length] rows are taken out in gaps, and where a gap of nothing is: bool [batch, length] and [batch, length + 1].

    The lengths are Poisson draws of this mean, as many as give `rate` of the maskable tokens on average. room: [batch], by how many tokens a row may grow where
    each gap leaves one mask; gaps that do not fit, into the row or into this, are left out.
    """
    size = maskable.sum(1)
    wished = noise.rounded(size * rate / mean_length, keys, draws.GAP_COUNT)
    lengths = poisson(mean_length, keys, max(1, int(wished.max(initial=0))))
    number = np.arange(lengths.shape[1])
    taken = np.cumsum(lengths, axis=1)
    fits = (taken + number <= size[:, None]) & (number + 1 - taken <= room[:, None])
    count = np.minimum(wished, np.where(fits.all(1), lengths.shape[1], fits.argmin(1)))
    lengths = np.where(number < count[:, None], lengths, 0)[:, : max(1, int(count.max(initial=0)))]
    starts = noise.place(lengths, count, size, keys, draws.GAP_PLACE)
    return noise.gaps(starts, lengths[:, : starts.shape[1]], count, maskable)


def singled_out(maskable: BoolArray, keys: KeyArray, *, masked: IntArray, deleted: IntArray) -> tuple[BoolArray, BoolArray]:
    """Single tokens of [batch, length] rows: so many to be masked and so many to be deleted, [batch] each, none of them both."""
    rank = np.where(maskable, draws.draw(keys[:, None], np.arange(maskable.shape[1]), draws.NOISE_CHOICE) >> np.uint64(1), np.uint64(2**64 - 1))
    place = np.argsort(np.argsort(rank, axis=1, kind="stable"), axis=1, kind="stable")
    first = place < masked[:, None]
    return maskable & first, maskable & ~first & (place < (masked + deleted)[:, None])


@dataclass(frozen=True)
class Denoising(Rewriting):
    """The encoder reads a text with noise, the decoder writes it as it was.

    noises: the rate of each: of the tokens for `infilling` (gaps of Poisson lengths, each left as one mask, those of nothing too), `masking` and `deletion`,
    which fall on different tokens; of the rows for `permutation` of sentences and `rotation`. mean_length: of the gaps.
    """

    noises: Mapping[str, float] = field(default_factory=lambda: {"infilling": 0.3, "permutation": 1.0})
    mean_length: float = 3.0
    terms: tuple[str, ...] = ("denoising",)
    tokens: tuple[str, ...] = ("pad", "end", "mask")

    def source(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> Source:
        if self.mean_length > length:
            raise InputError(f"mean_span_length {self.mean_length:g} is longer than a row of {length} tokens: take shorter spans, or longer rows")
        rate, most = self.noises.get("infilling", 0.0), self.mean_length / (self.mean_length + 1)
        if rate > most:
            raise InputError(
                f"infilling is to take {rate:g} of the tokens, and gaps of {self.mean_length:g} with a token between each two take at most {most:.3g}: "
                f"take a lower rate, or a larger mean_span_length"
            )
        gaps = length * rate / self.mean_length
        frame = 2 + (math.ceil(gaps * math.exp(-self.mean_length)) + SPARE if gaps else 0)
        width = max(1, length - min(frame, length // 2))
        return Passages(split, vocabulary, width=width, length=length, seed=seed, sentences="permutation" in self.noises)

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> Batch:
        ids, lengths = samples.ids, samples.lengths[:, None]
        moved = order(samples, keys, permuted=self._rows("permutation", keys, 0), rotated=self._rows("rotation", keys, 1))
        real = np.arange(ids.shape[1]) < lengths
        read = self._noised(np.take_along_axis(ids, moved, axis=1), real, keys)
        return self.made_of(read, gone(ids, ~real), numbers, longest=ids.shape[1], framed=True)

    def _rows(self, name: str, keys: KeyArray, number: int) -> BoolArray:
        return draws.uniform(keys, number, draws.NOISE_COIN) < self.noises.get(name, 0.0)

    def _noised(self, ids: IntArray, real: BoolArray, keys: KeyArray) -> IntArray:
        """[batch, length] -> [batch, 2 length + 1]: before each token the mask of a gap of nothing, or NOTHING, and then what became of the token."""
        maskable, mask = self.vocabulary.maskable[ids] & real, self.vocabulary.mask_id
        size, shown = maskable.sum(1), gone(ids, ~real)
        empty = np.zeros((len(ids), ids.shape[1] + 1), dtype=bool)
        inside = np.zeros(ids.shape, dtype=bool)
        if rate := self.noises.get("infilling"):
            room = np.full(len(ids), SPARE)
            inside, empty = infilled(maskable, keys, rate=rate, mean_length=self.mean_length, room=room)
            shown = np.where(inside, np.where(noise.first_of_each(inside), mask, noise.NOTHING), shown)
        if self.noises.keys() & {"masking", "deletion"}:
            counts = [
                noise.rounded(size * self.noises.get(name, 0.0), draws.draw(keys, number, draws.NOISE_COUNT), draws.NOISE_COUNT)
                for number, name in enumerate(("masking", "deletion"))
            ]
            masked, deleted = singled_out(maskable & ~inside, keys, masked=counts[0], deleted=counts[1])
            shown = gone(np.where(masked, mask, shown), deleted)
        before = np.where(empty, mask, noise.NOTHING)
        return np.concatenate([np.stack([before[:, :-1], shown], axis=-1).reshape(len(ids), -1), before[:, -1:]], axis=1)

"""T5's objectives: gaps in a text, each marked by a sentinel, are written by the decoder; or what follows a cut is (Raffel et al. 2019, section 3.3)."""

from dataclasses import dataclass

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


def corrupted(maskable: BoolArray, keys: KeyArray, *, density: float, mean_length: float, most: int) -> BoolArray:
    """Which tokens of [batch, length] rows are taken out, as gaps of one token or more.

    Of n maskable tokens density * n are taken, rounded by a coin, in gaps of `mean_length` on average: as many gaps as that gives, rounded, and all ways to
    part the taken tokens among the gaps, and the others among what lies between, equally likely, as in the released random_spans_noise_mask, save that a row
    may also begin with a gap or end without one. Gaps past `most`, and one part of a gap that a token which must stay splits, are left in the text.
    """
    size = maskable.sum(1)
    taken = np.minimum(noise.rounded(size * density, keys, draws.GAP_COUNT), np.maximum(size - 1, 0))
    count = np.minimum(np.maximum(np.rint(taken / mean_length).astype(np.int64), 1), taken)
    count = np.minimum(count, size - taken + 1)
    lengths = noise.parts(taken, count, keys, draws.GAP_PARTS)
    starts = noise.place(lengths[:, : max(1, int(count.max(initial=0)))], count, size, keys, draws.GAP_PLACE)
    inside, _ = noise.gaps(starts, lengths[:, : starts.shape[1]], count, maskable)
    return inside & (np.cumsum(noise.first_of_each(inside), axis=1) <= most)


@dataclass(frozen=True)
class SpanCorruption(Rewriting):
    """Takes `density` of the tokens out, in gaps of `mean_length` on average. The encoder reads the rest with one sentinel a gap, <extra_id_0> the first; the
    decoder writes each sentinel with what was taken there, then one sentinel more and the end.
    """

    density: float = 0.15
    mean_length: float = 3.0
    terms: tuple[str, ...] = ("span_corruption",)

    def source(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> Source:
        if self.mean_length > length * self.density:
            raise InputError(
                f"mean_span_length {self.mean_length:g} is more than the {length * self.density:g} tokens of a row of {length} that are taken out: "
                f"take shorter spans, longer rows or a higher noise_density"
            )
        taken = (length - 1) * self.density
        if taken + taken / self.mean_length + 2 > length:
            raise InputError(
                f"noise_density {self.density} in gaps of {self.mean_length:g} has the decoder write more than {length} tokens a row: "
                f"take a lower one, or a larger mean_span_length"
            )
        needed = round(taken / self.mean_length) + 2
        if len(vocabulary.sentinels) < needed:
            raise InputError(
                f"span_corruption marks gaps with <extra_id_0>, <extra_id_1> and so on, {needed} of them in rows of {length} tokens, and the tokenizer has "
                f"{len(vocabulary.sentinels)}: prepare the text again with --sentinels 100, or take --objective prefix_lm"
            )
        return Passages(split, vocabulary, width=length - 1, length=length, seed=seed)

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> Batch:
        ids, places = samples.ids, np.arange(samples.ids.shape[1])
        real = places < samples.lengths[:, None]
        sentinels = np.asarray(self.vocabulary.sentinels)
        maskable = self.vocabulary.maskable[ids] & real
        taken = corrupted(maskable, keys, density=self.density, mean_length=self.mean_length, most=len(sentinels) - 1)
        first = noise.first_of_each(taken)
        marks = sentinels[np.clip(np.cumsum(first, axis=1) - 1, 0, len(sentinels) - 1)]
        read = np.where(first, marks, gone(ids, taken | ~real))
        written = np.stack([gone(marks, ~first), gone(ids, ~taken)], axis=-1).reshape(len(ids), -1)
        last = sentinels[first.sum(1)][:, None]
        return self.made_of(read, np.concatenate([written, last], axis=1), numbers, longest=ids.shape[1])


@dataclass(frozen=True)
class PrefixLanguageModel(Rewriting):
    """The encoder reads a text up to a random place, the decoder writes what follows."""

    terms: tuple[str, ...] = ("prefix_lm",)

    def source(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> Source:
        return Passages(split, vocabulary, width=length - 1, length=length, seed=seed)

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> Batch:
        places, lengths = np.arange(samples.ids.shape[1]), samples.lengths
        # Any cut that leaves a token on either side; the only token of a text is to be written.
        cut = np.where(lengths > 1, 1 + draws.below(np.maximum(lengths - 1, 1), keys, 0, draws.PREFIX_CUT), 0)[:, None]
        written = gone(samples.ids, (places < cut) | (places >= lengths[:, None]))
        return self.made_of(gone(samples.ids, places >= cut), written, numbers, longest=len(places))

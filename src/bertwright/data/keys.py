"""Random draws as hashes: every draw is a function of (key, place, purpose), computed for whole arrays at once.

The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood 2014), whose outputs over counters pass BigCrush.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

KeyArray = NDArray[np.uint64]
GOLDEN = np.uint64(0x9E3779B97F4A7C15)

# What a draw is for. A number, once given, is never used for anything else: it would correlate two draws.
ORDER, ROWS, SAMPLE, EPOCH, DROPOUT = range(1, 6)
CHUNK_SHORT, CHUNK_LENGTH, PAIR_CUT, PAIR_COIN, PAIR_DOCUMENT, PAIR_SENTENCE, TRUNCATE = range(6, 13)
MASK_COUNT, MASK_CHOICE, MASK_KIND, MASK_TOKEN, MASK_KIND_START, SPAN_LENGTH = range(13, 19)
RTD_FILL = 50
GAP_COUNT, GAP_PARTS, GAP_PLACE, GAP_LENGTH, PREFIX_CUT = range(30, 35)
NOISE_COIN, NOISE_COUNT, NOISE_CHOICE, SENTENCE_ORDER, ROTATION = range(35, 40)
MIXTURE, STAGE = range(60, 62)


def mix(values: KeyArray) -> KeyArray:
    """SplitMix64's finaliser, element by element."""
    with np.errstate(over="ignore"):
        z = values + GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def draw(keys: Any, places: Any, purpose: int) -> KeyArray:
    """uint64 draws for keys and places of shapes that broadcast together."""
    with np.errstate(over="ignore"):
        keyed = mix(np.asarray(keys, dtype=np.uint64) ^ mix(np.asarray([purpose], dtype=np.uint64)))
        return mix(keyed + np.asarray(places).astype(np.uint64) * GOLDEN)


def uniform(keys: Any, places: Any, purpose: int) -> NDArray[np.float64]:
    """Draws in [0, 1) with 53 bits."""
    values: NDArray[np.float64] = (draw(keys, places, purpose) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return values


def below(limits: Any, keys: Any, places: Any, purpose: int) -> NDArray[np.int64]:
    """Integer draws in [0, limit); `limits` below 2**52 broadcast with keys and places."""
    values: NDArray[np.int64] = (uniform(keys, places, purpose) * limits).astype(np.int64)
    return values


def permutation(size: int, key: Any) -> NDArray[np.int64]:
    """A keyed order of range(size)."""
    return np.argsort(draw(key, np.arange(size), ORDER), kind="stable")


def key_of(*parts: int) -> KeyArray:
    """One key, [1], from integers such as seed and epoch."""
    key = np.zeros(1, dtype=np.uint64)
    for part in parts:
        key = draw(key, part & (1 << 63) - 1, EPOCH)
    return key

"""Draws are uniform, independent over key, place and purpose, and the same whenever they are asked for."""

import numpy as np
import pytest

from bertwright.data import keys as draws

SIGMAS = 4.0


def chi_square_deviation(counts: np.ndarray) -> float:
    """How many standard deviations the chi-square of equal cells lies from its mean."""
    expected = counts.sum() / counts.size
    degrees = counts.size - 1
    return float(((counts - expected) ** 2 / expected).sum() - degrees) / np.sqrt(2 * degrees)


@pytest.mark.parametrize("purpose", [draws.ORDER, draws.PAIR_COIN, draws.MASK_CHOICE])
@pytest.mark.parametrize("along", ["places", "keys", "seeds"])
def test_draws_are_uniform_along_places_keys_and_seeds(along: str, purpose: int) -> None:
    count = 20_000
    if along == "places":
        values = draws.uniform(draws.key_of(7, 0), np.arange(count), purpose)
    elif along == "keys":
        values = draws.uniform(draws.draw(draws.key_of(7, 0), np.arange(count), draws.SAMPLE), 3, purpose)
    else:
        values = np.concatenate([draws.uniform(draws.key_of(seed, epoch), 0, purpose) for seed in range(100) for epoch in range(20)])
    assert values.min() >= 0
    assert values.max() < 1
    assert abs(chi_square_deviation(np.histogram(values, bins=64, range=(0, 1))[0])) < SIGMAS


@pytest.mark.parametrize("other", ["next place", "next key", "other purpose", "next epoch"])
def test_neighbouring_draws_are_independent(other: str) -> None:
    keys, count = draws.draw(draws.key_of(1, 0), np.arange(30_000), draws.SAMPLE), 30_000
    first = draws.below(8, keys, 5, draws.MASK_KIND)
    second = {
        "next place": lambda: draws.below(8, keys, 6, draws.MASK_KIND),
        "next key": lambda: np.roll(first, 1),
        "other purpose": lambda: draws.below(8, keys, 5, draws.MASK_TOKEN),
        "next epoch": lambda: draws.below(8, draws.draw(draws.key_of(1, 1), np.arange(count), draws.SAMPLE), 5, draws.MASK_KIND),
    }[other]()
    cells = np.bincount(8 * first + second, minlength=64)
    assert abs(chi_square_deviation(cells)) < SIGMAS


def test_every_bit_of_a_draw_is_a_fair_coin() -> None:
    values = draws.draw(draws.key_of(3), np.arange(20_000), draws.TRUNCATE)
    shares = [float((values >> np.uint64(bit) & np.uint64(1)).mean()) for bit in range(64)]
    assert max(abs(share - 0.5) for share in shares) < SIGMAS * 0.5 / np.sqrt(20_000) * 1.2  # 64 bits: a little more room than for one


def test_integers_fill_their_range_evenly_and_never_leave_it() -> None:
    values = draws.below(7, draws.key_of(5), np.arange(50_000), draws.PAIR_DOCUMENT)
    counts = np.bincount(values)
    assert len(counts) == 7
    assert abs(chi_square_deviation(counts)) < SIGMAS


def test_a_permutation_holds_every_number_once_and_hangs_on_its_key() -> None:
    one, again, other = (draws.permutation(1000, draws.key_of(0, epoch)) for epoch in (0, 0, 1))
    assert sorted(one) == list(range(1000))
    assert (one == again).all()
    assert (one != other).mean() > 0.98
    assert abs(np.corrcoef(one, np.arange(1000))[0, 1]) < SIGMAS / np.sqrt(1000)


def test_keys_of_different_parts_differ() -> None:
    keys = {int(draws.key_of(*parts)[0]) for parts in [(0,), (1,), (0, 0), (0, 1), (1, 0), (1, 1), (2**63 - 1, 0)]}
    assert len(keys) == 7


def test_draws_keep_their_values() -> None:
    """A change of these numbers would change every run that is resumed: it has to be meant."""
    assert draws.draw(draws.key_of(0, 1), np.arange(2), draws.MASK_CHOICE).tolist() == [16326690421666126780, 5878567326381533197]

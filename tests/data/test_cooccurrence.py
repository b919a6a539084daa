"""Word vectors from neighbours: like words point alike, what is not seen stays 0, and the factors are those of the formula."""

import numpy as np
import pytest
from scipy import sparse

from bertwright.data.cooccurrence import _informative, word_vectors


def text(rng: np.random.Generator, length: int) -> np.ndarray:
    """Words 0 to 9 stand before 20 to 29, 10 to 19 before 30 to 39: two kinds with neighbours of their own."""
    kinds = rng.integers(0, 2, length)
    first, second = rng.integers(0, 10, length) + 10 * kinds, rng.integers(20, 30, length) + 10 * kinds
    return np.stack([first, second], axis=1).reshape(-1).astype(np.uint16)


def test_words_with_like_neighbours_point_alike() -> None:
    found = word_vectors(text(np.random.default_rng(0), 20_000), vocab_size=50, size=8)
    assert found.shape == (50, 8)
    alike = found @ found.T / 8
    groups = [slice(start, start + 10) for start in (0, 10, 20, 30)]
    for one, own in enumerate(groups):
        for two, other in enumerate(groups):
            mean = alike[own, other][~np.eye(10, dtype=bool)].mean()
            assert mean > 0.8 if one == two else mean < 0.4, (one, two, mean)


def test_rows_have_one_size_and_words_that_never_occur_have_none() -> None:
    found = word_vectors(text(np.random.default_rng(0), 2_000), vocab_size=50, size=8)
    np.testing.assert_allclose((found[:40] ** 2).mean(1), 1, rtol=1e-4)
    assert not found[40:].any()


def test_information_is_that_of_the_formula() -> None:
    counts = np.array([[4.0, 1.0, 0.0], [0.0, 2.0, 3.0], [1.0, 1.0, 8.0]])
    words, contexts = counts.sum(1) / counts.sum(), counts.sum(0) ** 0.75
    with np.errstate(divide="ignore"):
        wanted = np.maximum(np.log(counts / counts.sum() / (words[:, None] * contexts / contexts.sum())), 0)
    np.testing.assert_allclose(_informative(sparse.csr_array(counts)).toarray(), wanted, rtol=1e-6)


@pytest.mark.parametrize("tokens", [[], [3], [3, 4], [3, 3, 3]], ids=str)
def test_texts_of_next_to_nothing_give_numbers(tokens: list[int]) -> None:
    found = word_vectors(np.array(tokens, dtype=np.uint16), vocab_size=6, size=16)
    assert found.shape == (6, 16)
    assert np.isfinite(found).all()

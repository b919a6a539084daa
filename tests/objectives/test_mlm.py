"""Masks follow the paper's shares, spare what must not be masked, and hang on the sample's key alone."""

import numpy as np
import pytest

from bertwright.data import keys as draws
from bertwright.data.samples import Samples, Vocabulary
from bertwright.data.shards import TokenShards
from bertwright.data.stream import Stream
from bertwright.errors import InputError
from bertwright.objectives.config import ObjectiveConfig
from bertwright.objectives.masking import Masking, mask_tokens
from bertwright.objectives.mlm import MaskedLanguageModel
from bertwright.objectives.registry import OBJECTIVES, objective

# Objectives that mask a text for a reader; the others have tests of their own.
MASKED = tuple(name for name in OBJECTIVES if name.startswith("mlm"))
SIGMAS = 4.0
SPECIAL, MASK, SIZE = 5, 4, 1000
ROWS, LENGTH = 2000, 64


def keys(count: int, epoch: int = 0) -> np.ndarray:
    return draws.draw(draws.key_of(0, epoch), np.arange(count), draws.SAMPLE)


@pytest.fixture(scope="module")
def ids() -> np.ndarray:
    """Half of the rows padded, a tenth of the tokens special."""
    random = np.random.default_rng(0)
    found = random.integers(SPECIAL, SIZE, size=(ROWS, LENGTH))
    found[random.random((ROWS, LENGTH)) < 0.1] = 1
    found[: ROWS // 2, LENGTH // 2 :] = 0
    return found


def masked(ids: np.ndarray, rate: float = 0.15, *, epoch: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return mask_tokens(ids, ids >= SPECIAL, keys(len(ids), epoch), rate=rate, candidates=np.arange(SPECIAL, SIZE), mask_id=MASK)


@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_the_rate_holds_in_every_row_and_in_the_mean(ids: np.ndarray, rate: float) -> None:
    _, chosen = masked(ids, rate)
    maskable = (ids >= SPECIAL).sum(1)
    counts = np.bincount(chosen // LENGTH, minlength=ROWS)
    assert (np.abs(counts - rate * maskable) < 1).all()
    assert abs((counts - rate * maskable).mean()) < SIGMAS * 0.5 / np.sqrt(ROWS)


def test_masks_follow_the_papers_shares_within_four_sigma(ids: np.ndarray) -> None:
    corrupted, chosen = masked(ids)
    before, after = ids.reshape(-1)[chosen], corrupted.reshape(-1)[chosen]
    # A random token is the token itself once in the number of candidates.
    itself = 0.1 / (SIZE - SPECIAL)
    shares = {"masked": ((after == MASK).mean(), 0.8), "kept": ((after == before).mean(), 0.1 + itself), "random": None}
    shares["random"] = (((after != MASK) & (after != before)).mean(), 0.1 - itself)
    for name, (found, expected) in shares.items():
        assert abs(found - expected) < SIGMAS * np.sqrt(expected * (1 - expected) / len(chosen)), name


def test_every_maskable_place_is_as_likely_as_another() -> None:
    ids = np.full((8000, 20), SPECIAL)
    counts = np.bincount(masked(ids)[1] % 20, minlength=20)
    mean = counts.mean()
    # Three of twenty places in a row are chosen without putting back, so the counts vary a little less than a chi-square has it.
    assert ((counts - mean) ** 2 / mean).sum() < 19 + SIGMAS * np.sqrt(2 * 19)


def test_special_unknown_and_padded_places_are_never_touched(ids: np.ndarray) -> None:
    corrupted, chosen = masked(ids, 0.9)
    assert (ids.reshape(-1)[chosen] >= SPECIAL).all()
    assert (corrupted[ids < SPECIAL] == ids[ids < SPECIAL]).all()
    untouched = np.ones(ids.size, dtype=bool)
    untouched[chosen] = False
    assert (corrupted.reshape(-1)[untouched] == ids.reshape(-1)[untouched]).all()


def test_random_tokens_are_never_special_and_cover_the_vocabulary() -> None:
    ids = np.full((4000, 64), SPECIAL)
    corrupted, _ = masked(ids, 0.5)
    random = corrupted[(corrupted != MASK) & (corrupted != SPECIAL)]
    assert random.min() >= SPECIAL
    assert len(np.unique(random)) == SIZE - SPECIAL - 1


def test_positions_ascend(ids: np.ndarray) -> None:
    assert (np.diff(masked(ids)[1]) > 0).all()


def test_a_row_with_nothing_maskable_yields_none() -> None:
    ids = np.array([[2, 1, 1, 3], [2, 9, 9, 3], [0, 0, 0, 0]])
    _, chosen = masked(np.tile(ids, (100, 1)), 0.9)
    assert set(chosen // 4 % 3) == {1}


def test_a_sample_has_the_same_mask_in_any_batch_and_at_any_padding(ids: np.ndarray) -> None:
    corrupted, chosen = masked(ids)
    some = np.array([3, 700, 41])
    part, part_chosen = mask_tokens(
        ids[some, : LENGTH // 2], ids[some, : LENGTH // 2] >= SPECIAL, keys(ROWS)[some], rate=0.15, candidates=np.arange(SPECIAL, SIZE), mask_id=MASK
    )
    assert (part == corrupted[some, : LENGTH // 2]).all()
    for place, row in enumerate(some):
        assert part_chosen[part_chosen // (LENGTH // 2) == place].tolist() == [
            place * (LENGTH // 2) + column for column in chosen[chosen // LENGTH == row] - row * LENGTH
        ]


def test_masks_are_drawn_anew_each_epoch(ids: np.ndarray) -> None:
    one, other = set(masked(ids, epoch=0)[1]), set(masked(ids, epoch=1)[1])
    assert 0.1 < len(one & other) / len(one) < 0.2  # as many as chance lets meet


@pytest.mark.parametrize("name", MASKED)
def test_batches_are_made_of_numbers_alone(name: str, shards: TokenShards, vocabulary: Vocabulary) -> None:
    """The same samples in one batch, or one by one, or after others: the same ids, masks, labels and weights."""
    trained_for = objective(ObjectiveConfig(objective=name, mlm_probability=0.15), vocabulary)
    stream = Stream(trained_for.source(shards.train, vocabulary, length=32, seed=4), seed=4)
    size = stream.epoch_end(0)
    together = trained_for.batch(*stream.take(0, size + 3))
    predicted = 0
    for number in range(size + 3):
        alone = trained_for.batch(*Stream(stream.source, seed=4).take(number, number + 1))
        width, count = alone.input_ids.shape[1], int(alone.weights["mlm"])
        assert alone.input_ids[0].equal(together.input_ids[number, :width])
        assert (together.input_ids[number, width:] == vocabulary.pad_id).all()
        assert alone.predict_positions is not None
        assert alone.prediction_labels is not None
        assert together.predict_positions is not None
        assert together.prediction_labels is not None
        places = together.predict_positions[predicted : predicted + count] - number * together.input_ids.shape[1]
        assert alone.predict_positions.equal(places)
        assert alone.prediction_labels.equal(together.prediction_labels[predicted : predicted + count])
        predicted += count
        if alone.token_type_ids is not None:
            assert together.token_type_ids is not None
            assert alone.token_type_ids[0].equal(together.token_type_ids[number, :width])
    assert predicted == together.weights["mlm"] == len(together.prediction_labels)
    assert together.numbers.tolist() == list(range(size + 3))
    assert together.tokens == int((together.input_ids != vocabulary.pad_id).sum())
    assert set(together.weights) == set(trained_for.terms)


@pytest.mark.parametrize("name", MASKED)
def test_labels_are_the_tokens_that_stood_there_and_none_is_special(name: str, shards: TokenShards, vocabulary: Vocabulary) -> None:
    trained_for = objective(ObjectiveConfig(objective=name, mlm_probability=0.3), vocabulary)
    samples, sample_keys, numbers = Stream(trained_for.source(shards.train, vocabulary, length=32, seed=0), seed=0).take(0, 300)
    batch = trained_for.batch(samples, sample_keys, numbers)
    assert batch.predict_positions is not None
    assert batch.prediction_labels is not None
    original = samples.ids[:, : batch.input_ids.shape[1]].reshape(-1)
    assert (original[batch.predict_positions.numpy()] == batch.prediction_labels.numpy()).all()
    assert not np.isin(batch.prediction_labels.numpy(), vocabulary.special).any()
    shown = batch.input_ids.reshape(-1)[batch.predict_positions].numpy()
    random = shown[(shown != vocabulary.mask_id) & (shown != batch.prediction_labels.numpy())]
    assert len(random) > 50
    assert not np.isin(random, vocabulary.special).any(), "a token was replaced by a special one"


def test_pairs_cannot_be_made_of_samples_without_labels(vocabulary: Vocabulary) -> None:
    samples = Samples(ids=np.full((1, 8), 9), lengths=np.array([8]))
    with pytest.raises(ValueError, match="no pairs"):
        objective(ObjectiveConfig(objective="mlm+nsp", mlm_probability=0.15), vocabulary).batch(samples, keys(1), np.arange(1))


def test_an_unknown_objective_is_refused_with_those_there_are(vocabulary: Vocabulary) -> None:
    with pytest.raises(InputError, match=r"objective is 'nsp': take one of mlm\+nsp, mlm"):
        objective(ObjectiveConfig(objective="nsp", mlm_probability=0.15), vocabulary)


def test_what_cannot_serve_pairs_is_measured_by_masks(vocabulary: Vocabulary) -> None:
    assert objective(ObjectiveConfig(objective="mlm+nsp", mlm_probability=0.3), vocabulary).simpler == MaskedLanguageModel(vocabulary, Masking(rate=0.3))
    assert objective(ObjectiveConfig(objective="mlm", mlm_probability=0.3), vocabulary).simpler is None

"""Whole words, spans and n-grams are masked as their papers say: at the rate, with the split, in the lengths, and never a part of a word."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from bertwright.data import keys as draws
from bertwright.data.packed_rows import PackedRows
from bertwright.data.samples import Vocabulary
from bertwright.data.shards import TokenShards
from bertwright.errors import InputError
from bertwright.objectives.config import ObjectiveConfig
from bertwright.objectives.masking import Masking, Unit, mask_tokens, span_shares, spans, words
from bertwright.objectives.mlm import MaskedLanguageModel
from bertwright.objectives.registry import objective
from bertwright.training.config import PretrainConfig
from bertwright.training.devices import Device
from bertwright.training.plan import make_plan

SIGMAS = 4.0
SPECIAL, MASK, SIZE = 5, 4, 1000
ROWS, LENGTH = 3000, 96
UNITS: tuple[Unit, ...] = ("token", "word", "span", "ngram")
WORDY: tuple[Unit, ...] = ("word", "span", "ngram")


def keys(count: int, epoch: int = 0) -> np.ndarray:
    return draws.draw(draws.key_of(0, epoch), np.arange(count), draws.SAMPLE)


@pytest.fixture(scope="module")
def text() -> tuple[np.ndarray, np.ndarray]:
    """ids and word starts: words of 1 to 4 tokens, [CLS] in front, a [SEP] inside, some padding, one token in fifty unknown."""
    random = np.random.default_rng(0)
    ids = random.integers(SPECIAL, SIZE, size=(ROWS, LENGTH))
    starts = random.random((ROWS, LENGTH)) < 0.6
    ids[random.random((ROWS, LENGTH)) < 0.02] = 1
    ids[:, 0], ids[:, LENGTH // 2] = 2, 3
    ids[: ROWS // 2, -20:] = 0
    starts[:, [0, 1, LENGTH // 2, LENGTH // 2 + 1]] = True
    starts[ids == 0] = True
    return ids, starts


def masked(text: tuple[np.ndarray, np.ndarray], masking: Masking, *, rate: float | np.ndarray | None = None, epoch: int = 0) -> tuple[np.ndarray, np.ndarray]:
    ids, starts = text
    given = masking.rate if rate is None else rate
    return mask_tokens(
        ids, ids >= SPECIAL, keys(len(ids), epoch), rate=given, candidates=np.arange(SPECIAL, SIZE), mask_id=MASK, masking=masking, word_starts=starts
    )


def word_numbers(starts: np.ndarray) -> np.ndarray:
    """The number of each token's word in its row, found one token at a time."""
    found = np.zeros(starts.shape, dtype=int)
    for row in range(len(starts)):
        number = -1
        for place in range(starts.shape[1]):
            number += bool(starts[row, place]) or place == 0
            found[row, place] = number
    return found


@pytest.fixture(scope="module")
def maskable_tokens(text: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """bool: tokens of words that have no special token."""
    ids, starts = text
    numbers = word_numbers(starts) + np.arange(ROWS)[:, None] * LENGTH
    broken = np.unique(numbers[ids < SPECIAL])
    return ~np.isin(numbers, broken)


@pytest.mark.parametrize("rate", [0.15, 0.4])
@pytest.mark.parametrize("unit", WORDY)
def test_the_rate_holds_in_the_mean_and_in_every_row_up_to_one_unit(
    unit: Unit, rate: float, text: tuple[np.ndarray, np.ndarray], maskable_tokens: np.ndarray
) -> None:
    _, chosen = masked(text, Masking(unit=unit, rate=rate))
    off = np.bincount(chosen // LENGTH, minlength=ROWS) - rate * maskable_tokens.sum(1)
    assert abs(off.mean()) < SIGMAS * off.std() / np.sqrt(ROWS)
    longest = {"word": 12, "ngram": 40, "span": 90}[unit]
    assert np.abs(off).max() < longest
    assert off.std() < {"word": 2, "ngram": 4, "span": 6}[unit]


@pytest.mark.parametrize("unit", WORDY)
def test_whole_words_are_never_split_and_words_with_special_tokens_left_alone(unit: Unit, text: tuple[np.ndarray, np.ndarray]) -> None:
    ids, starts = text
    corrupted, chosen = masked(text, Masking(unit=unit, rate=0.3))
    numbers = word_numbers(starts) + np.arange(ROWS)[:, None] * LENGTH
    is_chosen = np.zeros(ids.size, dtype=bool)
    is_chosen[chosen] = True
    picked, whole = np.bincount(numbers.reshape(-1), weights=is_chosen), np.bincount(numbers.reshape(-1))
    assert ((picked == 0) | (picked == whole)).all(), "a part of a word is masked"
    assert (picked > 1).sum() > 1000, "these words have no parts"
    assert not is_chosen[ids.reshape(-1) < SPECIAL].any()
    assert (corrupted.reshape(-1)[~is_chosen] == ids.reshape(-1)[~is_chosen]).all()


@pytest.mark.parametrize("split", [(0.8, 0.1), (0.0, 1.0), (1.0, 0.0), (0.55, 0.3)])
@pytest.mark.parametrize("unit", UNITS)
def test_any_split_is_kept(unit: Unit, split: tuple[float, float], text: tuple[np.ndarray, np.ndarray]) -> None:
    """Of n tokens 0.8 n become [MASK], rounded: exactly where tokens are replaced one by one, in the mean where spans are replaced as a whole."""
    ids, _ = text
    corrupted, chosen = masked(text, Masking(unit=unit, rate=0.3, masked=split[0], replaced=split[1]))
    row, shown = chosen // LENGTH, corrupted.reshape(-1)[chosen]
    count = np.bincount(row, minlength=ROWS)
    as_mask = np.bincount(row[shown == MASK], minlength=ROWS)
    changed = np.bincount(row[(shown != MASK) & (shown != ids.reshape(-1)[chosen])], minlength=ROWS)
    for found, share in ((as_mask, split[0]), (changed, split[1] * (1 - 1 / (SIZE - SPECIAL)))):
        off = found - share * count
        assert abs(off.mean()) <= SIGMAS * off.std() / np.sqrt(ROWS) + 1e-9
    if unit in ("token", "word"):
        assert (np.abs(as_mask - split[0] * count) < 1 + 1e-9).all()
        assert ((changed <= np.ceil(split[1] * count + 1e-9)) & (changed > split[1] * count - 4)).all()


@pytest.mark.parametrize("unit", ["span", "ngram"])
def test_spans_are_replaced_as_a_whole(unit: Unit, text: tuple[np.ndarray, np.ndarray]) -> None:
    """SpanBERT, section 3.1: all the tokens of a span become [MASK], or all are sampled, or all stay."""
    ids, starts = text
    corrupted, chosen = masked(text, Masking(unit=unit, rate=0.1))
    shown, before = corrupted.reshape(-1)[chosen], ids.reshape(-1)[chosen]
    kind = np.where(shown == MASK, 0, np.where(shown != before, 1, 2))
    side_by_side = np.diff(chosen) == 1
    same = (kind[1:] == kind[:-1])[side_by_side].mean()
    one_by_one = 0.8**2 + 2 * 0.1**2
    assert same > one_by_one + 0.2
    within_a_word = side_by_side & ~starts.reshape(-1)[chosen[1:]]
    # A random token is the one that stood there once in a thousand.
    assert (kind[1:] == kind[:-1])[within_a_word].mean() > 0.999


def test_tokens_of_a_word_are_replaced_one_by_one(text: tuple[np.ndarray, np.ndarray]) -> None:
    corrupted, chosen = masked(text, Masking(unit="word", rate=0.3))
    kept = corrupted.reshape(-1)[chosen] == MASK
    pairs = (np.diff(chosen) == 1) & ~text[1].reshape(-1)[chosen[1:]]
    both = (kept[1:] & kept[:-1])[pairs].mean()
    assert abs(both - 0.64) < 0.03, "two tokens of a word are masked together more often than chance has it"


def test_every_word_is_as_likely_as_another_whatever_its_length_and_place() -> None:
    starts = np.tile(np.array([1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 0, 1] * 3, dtype=bool), (6000, 1))
    ids = np.full(starts.shape, SPECIAL)
    for unit in WORDY:
        _, chosen = masked((ids, starts), Masking(unit=unit, rate=0.2))
        share = np.bincount(chosen % starts.shape[1], minlength=starts.shape[1]) / len(ids)
        assert abs(share.mean() - 0.2) < 0.002
        assert np.abs(share - 0.2).max() < (SIGMAS + 1) * np.sqrt(0.2 * 0.8 / len(ids)), unit


def lengths_in_words(shares: tuple[float, ...]) -> np.ndarray:
    """Words of each span of long rows of words of one or two tokens, without each row's last span, which the row may have cut."""
    rows, length = 40, 6000
    starts = np.random.default_rng(1).random((rows, length)) < 0.7
    starts[:, 0] = True
    found = spans(np.ones((rows, length), dtype=bool), starts, keys(rows), shares=shares)
    counted = []
    for row in range(rows):
        first = np.flatnonzero(found.first[row])
        assert (found.size[row][first[:-1]] == np.diff(first)).all()
        counted.append(np.add.reduceat(starts[row].astype(int), first)[:-1])
    return np.concatenate(counted)


@pytest.mark.parametrize(
    ("shares", "mean"),
    [(span_shares(10), 3.797), (span_shares(3), None), ((0.4, 0.3, 0.2, 0.1), 2.0)],
    ids=["SpanBERT", "short spans", "MacBERT"],
)
def test_lengths_are_those_of_the_paper(shares: tuple[float, ...], mean: float | None) -> None:
    found = lengths_in_words(shares)
    for length, share in enumerate(shares, start=1):
        assert abs((found == length).mean() - share) < SIGMAS * np.sqrt(share * (1 - share) / len(found)), length
    assert found.max() == len(shares)
    if mean is not None:
        assert abs(found.mean() - mean) < SIGMAS * found.std() / np.sqrt(len(found))


def test_geometric_lengths_are_cut_off_and_scaled() -> None:
    geometric = [0.2 * 0.8 ** (length - 1) for length in range(1, 11)]
    assert span_shares(10) == pytest.approx([share / sum(geometric) for share in geometric])


def test_a_row_begins_a_word_whatever_is_said_of_its_first_token() -> None:
    found = words(np.ones((2, 3), dtype=bool), np.array([[True, False, True], [False, False, True]]))
    assert found.first.tolist() == [[True, False, True], [True, False, True]]
    assert found.size[found.first].tolist() == [2, 1, 2, 1]


def test_a_span_ends_at_what_cannot_be_masked(text: tuple[np.ndarray, np.ndarray]) -> None:
    ids, starts = text
    found = spans(ids >= SPECIAL, starts, keys(ROWS), shares=(0.0, 0.0, 1.0))
    covered = np.zeros(ids.size, dtype=int)
    first = np.flatnonzero(found.first)
    size = found.size.reshape(-1)[first]
    assert (found.size.reshape(-1)[~found.first.reshape(-1)] == 0).all()
    for begin, count in zip(first, size, strict=True):
        covered[begin : begin + count] += 1
    alone = words(ids >= SPECIAL, starts)
    expected = np.zeros(ids.size, dtype=int)
    for begin in np.flatnonzero(alone.first):
        expected[begin : begin + alone.size.reshape(-1)[begin]] += 1
    assert (covered == expected).all(), "spans do not cover what words do, once"
    assert not covered[ids.reshape(-1) < SPECIAL].any()


@pytest.mark.parametrize("unit", UNITS)
def test_a_sample_has_the_same_mask_in_any_batch_and_at_any_padding(unit: Unit, text: tuple[np.ndarray, np.ndarray]) -> None:
    ids, starts = text
    masking = Masking(unit=unit, rate=0.2)
    corrupted, chosen = masked(text, masking)
    some, width = np.array([3, 700, 41]), LENGTH - 12  # rows whose last 20 places are padding
    part, part_chosen = mask_tokens(
        ids[some, :width],
        ids[some, :width] >= SPECIAL,
        keys(ROWS)[some],
        rate=masking.rate,
        candidates=np.arange(SPECIAL, SIZE),
        mask_id=MASK,
        masking=masking,
        word_starts=starts[some, :width],
    )
    assert (part == corrupted[some, :width]).all()
    wanted = [place * width + column for place, row in enumerate(some) for column in chosen[chosen // LENGTH == row] - row * LENGTH]
    assert part_chosen.tolist() == wanted


def test_the_rate_moves_in_a_straight_line_over_the_run_and_with_the_samples_number_alone(vocabulary: Vocabulary, shards: TokenShards) -> None:
    masking = Masking(rate=0.3, rate_end=0.05).over(1000)
    assert masking.rates(np.array([0, 500, 1000, 4000])) == pytest.approx([0.3, 0.175, 0.05, 0.05])
    model = MaskedLanguageModel(vocabulary, Masking(rate=0.6, rate_end=0.1)).over(400)
    rows = PackedRows(shards.train, vocabulary, length=64, seed=0)
    samples = rows.take(0, np.zeros(400, dtype=np.int64))
    batch = model.batch(samples, keys(400), np.arange(400))
    assert batch.predict_positions is not None
    count = np.bincount(batch.predict_positions.numpy() // batch.input_ids.shape[1], minlength=400)
    maskable = vocabulary.maskable[samples.ids].sum(1)
    assert (np.abs(count - np.linspace(0.6, 0.1, 401)[:-1] * maskable) < 1).all()
    later = model.batch(rows.take(0, np.zeros(3, dtype=np.int64)), keys(400)[[7, 9, 100]], np.array([7, 9, 100]))
    assert later.weights["mlm"] == count[[7, 9, 100]].sum()


def test_held_out_text_is_measured_at_the_rate_that_the_run_ends_with(vocabulary: Vocabulary) -> None:
    for name in ("mlm", "mlm+nsp", "mlm+sop"):
        found = objective(ObjectiveConfig(objective=name, mlm_probability=0.3, mlm_probability_end=0.05), vocabulary).over(100).measured
        masking = getattr(found, "mlm", found).masking
        assert set(masking.rates(np.arange(200))) == {0.05}, name


def test_samples_that_do_not_know_their_words_are_refused(text: tuple[np.ndarray, np.ndarray]) -> None:
    ids, _ = text
    with pytest.raises(ValueError, match="where words begin"):
        mask_tokens(ids, ids >= SPECIAL, keys(ROWS), rate=0.15, candidates=np.arange(9), mask_id=MASK, masking=Masking(unit="word"))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"mlm_probability": 1.0}, "mlm_probability is 1.0: it must lie between 0 and 1"),
        ({"mlm_probability_end": 0.0}, "mlm_probability_end is 0.0: it must lie between 0 and 1"),
        ({"mask_unit": "sentence"}, "mask_unit is 'sentence': take one of token, word, span, ngram"),
        ({"mask_split": "80/10"}, "mask_split is '80/10': give the percent"),
        ({"mask_split": "80/15/10"}, "with a sum of 100"),
        ({"mask_split": "110/-20/10"}, "mask_split is '110/-20/10'"),
        ({"mask_split": "nan/10/10"}, "mask_split is 'nan/10/10'"),
        ({"mask_split": "most"}, "for example 80/10/10"),
        ({"max_span_length": 0}, "max_span_length is 0: it must be at least 1 word"),
    ],
)
def test_what_cannot_be_masked_so_is_named_with_the_mend(changes: dict[str, Any], named: str, vocabulary: Vocabulary) -> None:
    with pytest.raises(InputError) as refused:
        objective(ObjectiveConfig(objective="mlm", **changes), vocabulary)
    assert len(refused.value.problems) == 1
    assert named in refused.value.problems[0]


@pytest.mark.parametrize("name", ["mlm", "mlm+nsp", "mlm+sop"])
def test_spans_longer_than_the_sequence_are_refused(name: str, vocabulary: Vocabulary, shards: TokenShards) -> None:
    built = objective(ObjectiveConfig(objective=name, mask_unit="span"), vocabulary)
    with pytest.raises(
        InputError, match=r"max_span_length is 10 words, and a row of max_seq_length 11 holds [89] tokens of text: take --max_span_length 2 or less"
    ):
        built.source(shards.train, vocabulary, length=11, seed=0)
    built.source(shards.train, vocabulary, length=13, seed=0)


def test_a_split_is_read_as_shares(vocabulary: Vocabulary) -> None:
    built = objective(ObjectiveConfig(objective="mlm", mask_split="60/25.5/14.5", mask_unit="ngram", max_span_length=4, mlm_probability=0.2), vocabulary)
    assert built == MaskedLanguageModel(vocabulary, Masking(rate=0.2, unit="ngram", masked=0.6, replaced=0.255, span_longest=4))


@pytest.mark.parametrize(
    ("budget", "samples"),
    [({"max_steps": 10}, 80), ({"num_train_epochs": 2.0}, None), ({"max_tokens": 2400}, 100), ({"max_steps": 10, "batch_size_ramp": "2:100%"}, 50)],
)
def test_a_run_tells_its_objective_how_many_samples_it_has(
    budget: dict[str, Any], samples: float | None, shards: TokenShards, tiny_config_json: Callable[..., str]
) -> None:
    config = PretrainConfig(model=tiny_config_json(), objective="mlm", mlm_probability_end=0.05, max_seq_length=24, **{"batch_size": 8, **budget})
    plan = make_plan(shards, config, Device(torch.device("cpu"), torch.float32))
    assert isinstance(plan.objective, MaskedLanguageModel)
    expected = samples or 2 * plan.source.size(0)
    assert plan.objective.masking.samples == pytest.approx(expected, rel=0.15 if "batch_size_ramp" in budget else 0.02)


def test_a_rate_that_moves_needs_a_budget_whose_samples_are_known(shards: TokenShards, tiny_config_json: Callable[..., str]) -> None:
    config = PretrainConfig(model=tiny_config_json(), mlm_probability_end=0.05, max_seq_length=24, max_minutes=1.0)
    with pytest.raises(InputError, match=r"mlm_probability_end goes by .* minutes do not tell how many there will be: give max_steps"):
        make_plan(shards, config, Device(torch.device("cpu"), torch.float32))

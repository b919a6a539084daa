"""Each noise does what the paper says at the rate it was given, none touches what must stay, and the decoder is to write the text as it was."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bertwright.data import keys as draws
from bertwright.data.samples import Samples, Vocabulary
from bertwright.data.shards import TokenShards, write_shards
from bertwright.data.stream import Stream
from bertwright.errors import InputError
from bertwright.families import preset_architecture
from bertwright.models import Model
from bertwright.objectives.config import ObjectiveConfig
from bertwright.objectives.denoising import Denoising, infilled, order, poisson
from bertwright.objectives.noise import first_of_each
from bertwright.objectives.registry import objective

SIGMAS = 4.0
PAD, UNKNOWN, BEGIN, END, MASK, FIRST, SIZE = 0, 1, 2, 3, 4, 5, 1000
VOCABULARY = Vocabulary(SIZE, PAD, BEGIN, END, MASK, (0, 1, 2, 3, 4), UNKNOWN, BEGIN, END)
ROWS, LENGTH = 3000, 60


def keys(count: int, epoch: int = 0) -> np.ndarray:
    return draws.draw(draws.key_of(0, epoch), np.arange(count), draws.SAMPLE)


def counted(rows: int = ROWS, length: int = LENGTH) -> Samples:
    """Rows of tokens that tell their places, in sentences of ten."""
    places = np.tile(np.arange(length), (rows, 1))
    return Samples(ids=FIRST + places, lengths=np.full(rows, length), sentences=places // 10)


def noised(noises: dict[str, float], samples: Samples, mean: float = 3.0) -> list[list[int]]:
    """What the encoder reads of each row, without its begin and end."""
    batch = Denoising(VOCABULARY, noises=noises, mean_length=mean).batch(samples, keys(len(samples.ids)), np.arange(len(samples.ids)))
    found = [[token for token in row if token != PAD] for row in batch.input_ids.tolist()]
    assert all((row[0], row[-1]) == (BEGIN, END) for row in found)
    assert batch.target_ids is not None
    for ids, length, target in zip(samples.ids, samples.lengths, batch.target_ids.tolist(), strict=True):
        assert target[: length + 2] == [BEGIN, *ids[:length], END], "the target is not the text as it was"
    return [row[1:-1] for row in found]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> TokenShards:
    """40 documents of up to 8 sentences, one in twenty of whose tokens is unknown."""
    random = np.random.default_rng(0)
    documents = [
        [random.choice([UNKNOWN, *range(FIRST, FIRST + 19)], size=random.integers(1, 20)).tolist() for _ in range(random.integers(1, 9))] for _ in range(40)
    ]
    return write_shards(tmp_path_factory.mktemp("text") / "shards", train=documents, vocab_size=SIZE)


def stream(text: TokenShards, made: Denoising, *, length: int = 48, seed: int = 1) -> Stream:
    return Stream(made.source(text.train, VOCABULARY, length=length, seed=seed), seed=seed)


@pytest.mark.parametrize("mean", [1.0, 3.0, 10.0])
def test_lengths_are_poisson(mean: float) -> None:
    drawn = poisson(mean, keys(4000), 10).reshape(-1)
    for length in range(int(mean + 3 * math.sqrt(mean))):
        expected = math.exp(length * math.log(mean) - mean - math.lgamma(length + 1))
        assert abs((drawn == length).mean() - expected) < SIGMAS * math.sqrt(expected * (1 - expected) / len(drawn)), length


def test_infilling_takes_its_rate_in_gaps_of_poisson_lengths_and_leaves_one_mask_for_each() -> None:
    maskable = np.ones((ROWS, LENGTH), dtype=bool)
    inside, empty = infilled(maskable, keys(ROWS), rate=0.3, mean_length=3.0, room=np.full(ROWS, 9))
    # 6 gaps of Poisson(3) tokens: 18 on average, with a variance of 18.
    assert abs(inside.sum(1).mean() - 18) < SIGMAS * math.sqrt(18 / ROWS)
    gaps = first_of_each(inside).sum(1) + empty.sum(1)
    assert (gaps == 6).mean() > 0.99, "gaps touch each other"
    assert abs(empty.sum(1).mean() - 6 * math.exp(-3)) < SIGMAS * math.sqrt(6 * math.exp(-3) / ROWS)
    edges = np.diff(np.pad(inside, ((0, 0), (1, 1))).astype(int), axis=1)
    lengths = np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1]
    for length in range(1, 8):
        expected = math.exp(length * math.log(3) - 3 - math.lgamma(length + 1)) / (1 - math.exp(-3))
        assert abs((lengths == length).mean() - expected) < SIGMAS * math.sqrt(expected * (1 - expected) / len(lengths)), length
    rows = noised({"infilling": 0.3}, counted())
    assert [row.count(MASK) for row in rows] == gaps.tolist()
    assert [len(row) - row.count(MASK) for row in rows] == (LENGTH - inside.sum(1)).tolist()
    kept = [[token for token in row if token != MASK] for row in rows]
    assert all(row == sorted(row) for row in kept)


def test_masking_and_deletion_fall_on_other_tokens_each_at_its_rate() -> None:
    samples = counted()
    masked, deleted = noised({"masking": 0.15}, samples), noised({"deletion": 0.3}, samples)
    assert all(len(row) == LENGTH and row.count(MASK) == 9 for row in masked)
    assert all(len(row) == 42 and MASK not in row for row in deleted)
    both = noised({"infilling": 0.1, "masking": 0.25, "deletion": 0.25}, samples)
    inside, empty = infilled(np.ones((ROWS, LENGTH), dtype=bool), keys(ROWS), rate=0.1, mean_length=3.0, room=np.full(ROWS, 4))
    gaps = first_of_each(inside).sum(1) + empty.sum(1)
    assert [row.count(MASK) for row in both] == (gaps + 15).tolist()
    assert [len(row) - row.count(MASK) for row in both] == (LENGTH - inside.sum(1) - 30).tolist()
    chosen = np.array([[token == MASK for token in row] for row in masked]).mean(0)
    assert np.abs(chosen - 0.15).max() < SIGMAS * math.sqrt(0.15 * 0.85 / ROWS)


def test_sentences_are_shuffled_whole_and_every_order_is_as_likely() -> None:
    rows = noised({"permutation": 1.0}, counted(length=30))
    orders = [tuple((row[place] - FIRST) // 10 for place in (0, 10, 20)) for row in rows]
    for row, found in zip(rows, orders, strict=True):
        assert row == [FIRST + 10 * sentence + place for sentence in found for place in range(10)]
    counts = np.array([orders.count(one) for one in set(orders)])
    assert len(counts) == 6
    assert ((counts - ROWS / 6) ** 2 / (ROWS / 6)).sum() < 5 + SIGMAS * math.sqrt(10)
    half = noised({"permutation": 0.5}, counted(length=30))
    share = sum(row == sorted(row) for row in half) / ROWS
    expected = 0.5 + 0.5 / 6
    assert abs(share - expected) < SIGMAS * math.sqrt(expected * (1 - expected) / ROWS)


def test_a_rotated_text_begins_at_any_of_its_tokens_alike() -> None:
    samples = counted(length=12)
    short = Samples(ids=samples.ids, lengths=np.where(np.arange(ROWS) % 2, 12, 7))
    moved = order(short, keys(ROWS), permuted=np.zeros(ROWS, dtype=bool), rotated=np.ones(ROWS, dtype=bool))
    for row, length in zip(moved.tolist(), short.lengths.tolist(), strict=True):
        assert row == [*((row[0] + place) % length for place in range(length)), *range(length, 12)]
    counts = np.bincount(moved[1::2, 0], minlength=12)
    assert ((counts - ROWS / 24) ** 2 / (ROWS / 24)).sum() < 11 + SIGMAS * math.sqrt(22)
    assert sum(row[0] != FIRST for row in noised({"rotation": 1.0}, samples)) > 0.85 * ROWS


def test_unknown_tokens_stay_and_are_not_predicted(text: TokenShards) -> None:
    made = Denoising(VOCABULARY, noises={"infilling": 0.3, "masking": 0.2, "deletion": 0.3})
    samples, sample_keys, numbers = stream(text, made).take(0, 60)
    batch = made.batch(samples, sample_keys, numbers)
    assert (batch.input_ids == UNKNOWN).sum() == (samples.ids == UNKNOWN).sum() > 20
    assert batch.prediction_labels is not None
    assert batch.target_ids is not None
    assert UNKNOWN not in batch.prediction_labels
    real = (batch.target_ids != PAD) & (batch.target_ids != UNKNOWN)
    assert batch.weights == {"denoising": float(real.sum())}
    assert (batch.prediction_labels == batch.target_ids[real]).all()


@pytest.mark.parametrize("noises", ["infilling+permutation", "infilling:0.5+rotation", "masking:0.2+deletion:0.2+permutation:0.5+rotation:0.5"])
def test_rows_fit_the_positions_and_are_the_same_in_any_batch(noises: str, text: TokenShards) -> None:
    made = objective(ObjectiveConfig(objective="denoising", noises=noises, mean_span_length=1.0), VOCABULARY)
    assert isinstance(made, Denoising)
    together = made.batch(*stream(text, made).take(0, 50))
    assert together.target_ids is not None
    assert max(together.input_ids.shape[1], together.target_ids.shape[1]) <= 48
    for number in range(50):
        alone = made.batch(*stream(text, made).take(number, number + 1))
        assert alone.target_ids is not None
        for one, all_ in ((alone.input_ids, together.input_ids), (alone.target_ids, together.target_ids)):
            assert one[0].equal(all_[number, : one.shape[1]])
            assert (all_[number, one.shape[1] :] == PAD).all()


@pytest.mark.parametrize("length", [13, 48, 54])
@pytest.mark.parametrize("name", ["span_corruption", "prefix_lm", "denoising"])
def test_no_row_is_longer_than_was_asked_for(name: str, length: int, tmp_path: Path) -> None:
    """A model with learned positions has a place for no token more; 13 and 54 are no lengths that rows are rounded up to."""
    text = write_shards(tmp_path / "long", train=[[[9] * (20 * length - 40)]], vocab_size=SIZE)
    with_sentinels = dataclasses.replace(VOCABULARY, sentinels=tuple(range(SIZE - 1, SIZE - 41, -1)))
    made = objective(ObjectiveConfig(objective=name, noises="permutation", mean_span_length=1.0), with_sentinels)
    batch = made.batch(*Stream(made.source(text.train, with_sentinels, length=length, seed=0), seed=0).take(0, 20))
    assert batch.target_ids is not None
    assert max(batch.input_ids.shape[1], batch.target_ids.shape[1]) <= length


def test_sentences_are_those_of_the_text(text: TokenShards) -> None:
    """Nothing but whole sentences changes place, but for the one that a passage's end cuts."""
    made = Denoising(VOCABULARY, noises={"permutation": 1.0})
    samples = stream(text, made).take(0, 60)[0]
    assert samples.sentences is not None
    known = {tuple(text.train.tokens[first:last].tolist()) for first, last in zip(text.train.sentences[:-1], text.train.sentences[1:], strict=True)}
    for ids, sentences, length in zip(samples.ids, samples.sentences, samples.lengths, strict=True):
        assert sentences[0] == 0
        whole = [tuple(ids[:length][sentences[:length] == number].tolist()) for number in np.unique(sentences[:length])]
        assert set(whole[1:-1]) <= known


def test_the_loss_is_the_plain_one_of_each_row_alone(text: TokenShards) -> None:
    torch.manual_seed(0)
    keys_of_bart = {f"{side}_{key}": 2 for side in ("encoder", "decoder") for key in ("layers", "attention_heads")}
    ids = {"eos_token_id": END, "decoder_start_token_id": END, "pad_token_id": PAD}
    model = Model(preset_architecture("bart-tiny", vocab_size=SIZE, d_model=32, init_std=0.2, **keys_of_bart, **ids), ("lm",)).eval()
    made = Denoising(VOCABULARY)
    batch = made.batch(*stream(text, made).take(0, 8))
    assert batch.target_ids is not None
    total = 0.0
    with torch.no_grad():
        for read, written in zip(batch.input_ids, batch.target_ids, strict=True):
            labels = written[written != PAD]
            begun = torch.cat([torch.tensor([END]), labels[:-1]])
            logits = model(read[read != PAD][None], decoder_input_ids=begun[None]).prediction_logits[0]
            known = labels != UNKNOWN
            total += F.cross_entropy(logits[known], labels[known], reduction="sum").item()
        loss = made.losses(model, batch)["denoising"].sum.item()
    assert loss == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"noises": "infilling+shuffling"}, "noises has 'shuffling': take of infilling, masking, deletion, permutation, rotation"),
        ({"noises": "infilling+infilling:0.1"}, "noises has infilling twice"),
        ({"noises": "infilling:1.5"}, "noises has infilling at a rate of '1.5': it must lie between 0 and 1"),
        ({"noises": "deletion:much"}, "noises has deletion at a rate of 'much'"),
        ({"noises": "infilling:0.5+deletion:0.5"}, "take 1 of the tokens: the rates of infilling, masking, deletion must sum to less than 1"),
        ({"noises": "infilling+deletion", "noise_density": 0.6}, "take 1.2 of the tokens"),
    ],
)
def test_noises_that_cannot_stand_are_refused(config: dict[str, float | str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        objective(ObjectiveConfig(objective="denoising", **config), VOCABULARY)


def test_gaps_longer_than_a_row_are_refused(text: TokenShards) -> None:
    with pytest.raises(InputError, match="mean_span_length 60 is longer than a row of 48 tokens"):
        stream(text, Denoising(VOCABULARY, mean_length=60.0))


def test_more_infilling_than_gaps_can_take_is_refused(text: TokenShards) -> None:
    with pytest.raises(InputError, match=r"infilling is to take 0.8 of the tokens, and gaps of 3 .* take at most 0.75: take a lower rate"):
        stream(text, Denoising(VOCABULARY, noises={"infilling": 0.8}))
    stream(text, Denoising(VOCABULARY, noises={"infilling": 0.75}))

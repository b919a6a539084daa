"""Gaps follow the paper's rate, number and lengths, spare what must stay, and are written back with their sentinels in order."""

from itertools import pairwise
from math import comb

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
from bertwright.objectives.noise import first_of_each
from bertwright.objectives.registry import objective
from bertwright.objectives.rewriting import Rewriting
from bertwright.objectives.span_corruption import PrefixLanguageModel, SpanCorruption, corrupted

SIGMAS = 4.0
PAD, UNKNOWN, BEGIN, END, MASK, FIRST, SIZE = 0, 1, 2, 3, 4, 5, 1000
SENTINELS = tuple(range(SIZE - 1, SIZE - 41, -1))  # descending, as T5's own
VOCABULARY = Vocabulary(SIZE, PAD, BEGIN, END, MASK, (0, 1, 2, 3, 4, *SENTINELS), UNKNOWN, BEGIN, END, SENTINELS)
ROWS, LENGTH = 4000, 64


def keys(count: int, epoch: int = 0) -> np.ndarray:
    return draws.draw(draws.key_of(0, epoch), np.arange(count), draws.SAMPLE)


def cut(length: int = LENGTH, *, density: float = 0.15, mean: float = 3.0, rows: int = ROWS) -> np.ndarray:
    return corrupted(np.ones((rows, length), dtype=bool), keys(rows), density=density, mean_length=mean, most=99)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> TokenShards:
    """40 documents of 1 to 200 tokens, one in twenty of which is unknown."""
    random = np.random.default_rng(0)
    documents = [[random.integers(FIRST, SIZE - 100, size=random.integers(1, 200)).tolist()] for _ in range(40)]
    for document in documents:
        document[0] = [UNKNOWN if random.random() < 0.05 else token for token in document[0]]
    return write_shards(tmp_path_factory.mktemp("text") / "shards", train=documents, vocab_size=SIZE)


def stream(text: TokenShards, made: Rewriting, *, length: int = LENGTH, seed: int = 1) -> Stream:
    return Stream(made.source(text.train, VOCABULARY, length=length, seed=seed), seed=seed)


@pytest.mark.parametrize(("density", "mean"), [(0.15, 3.0), (0.5, 3.0), (0.3, 1.0)])
def test_the_rate_and_the_mean_length_hold(density: float, mean: float) -> None:
    taken = cut(density=density, mean=mean)
    count = taken.sum(1)
    assert (np.abs(count - density * LENGTH) < 1).all()
    assert abs(count.mean() - density * LENGTH) < SIGMAS * 0.5 / np.sqrt(ROWS)
    gaps = first_of_each(taken).sum(1)
    assert (gaps == np.rint(count / mean)).all(), "two gaps touch, or there is another number of them than the paper has"


def test_lengths_are_those_of_a_random_partition() -> None:
    """Of 9 or 10 tokens in 3 gaps: every way to part them is as likely, so that P(l) = C(n - l - 1, 1) / C(n - 1, 2)."""
    taken = cut()
    for total in (9, 10):
        some = taken[taken.sum(1) == total]
        edges = np.diff(np.pad(some, ((0, 0), (1, 1))).astype(int), axis=1)
        lengths = np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1]
        assert len(lengths) == 3 * len(some)
        for length in range(1, total - 1):
            expected = comb(total - length - 1, 1) / comb(total - 1, 2)
            # The three lengths of a row hang on each other: as if there were a third of them.
            assert abs((lengths == length).mean() - expected) < SIGMAS * np.sqrt(expected * (1 - expected) / len(some)), (total, length)


def test_every_place_is_about_as_likely_as_another_and_rows_may_begin_and_end_with_a_gap() -> None:
    share = cut().mean(0)
    assert share.min() > 0.04, "an end of a row is never taken out"
    assert np.abs(share[8:-8] - 0.15).max() < 0.03
    assert np.abs(share - share[::-1]).max() < SIGMAS * np.sqrt(2 * 0.15 * 0.85 / ROWS)


def test_unknown_and_padded_tokens_stay_and_short_rows_keep_a_token() -> None:
    random = np.random.default_rng(0)
    maskable = random.random((ROWS, LENGTH)) < 0.7
    maskable[:, :1] = True
    maskable[: ROWS // 2, 1:] = False
    taken = corrupted(maskable, keys(ROWS), density=0.9, mean_length=3.0, most=99)
    assert not (taken & ~maskable).any()
    assert not taken[: ROWS // 2].any()
    assert taken[ROWS // 2 :].any(1).all()


def read_back(read: list[int], written: list[int]) -> list[int]:
    """The text that an encoder's row and a decoder's row stand for, by the paper's rule alone."""
    assert read[-1] == END
    assert written[-1] == END
    gaps: dict[int, list[int]] = {}
    for token in written[:-1]:
        if token in SENTINELS:
            assert token not in gaps
            gaps[token] = []
        else:
            gaps[list(gaps)[-1]].append(token)
    assert list(gaps) == list(SENTINELS[: len(gaps)]), "the sentinels are out of order"
    assert gaps.pop(list(gaps)[-1]) == [], "nothing follows the last sentinel"
    assert [token for token in read if token in SENTINELS] == list(gaps)
    return [token for place in read[:-1] for token in gaps.get(place, [place])]


def test_source_and_target_together_are_the_text(text: TokenShards) -> None:
    made = SpanCorruption(VOCABULARY)
    samples, sample_keys, numbers = stream(text, made).take(0, 60)
    batch = made.batch(samples, sample_keys, numbers)
    assert batch.target_ids is not None
    assert batch.input_ids.shape[1] <= LENGTH
    assert batch.target_ids.shape[1] <= LENGTH
    for row, (ids, length) in enumerate(zip(samples.ids, samples.lengths, strict=True)):
        read, written = ([token for token in some[row].tolist() if token != PAD] for some in (batch.input_ids, batch.target_ids))
        assert read_back(read, written) == ids[:length].tolist()
        assert UNKNOWN not in written
    assert batch.weights == {"span_corruption": float((batch.target_ids != PAD).sum())}
    assert batch.tokens == int((batch.input_ids != PAD).sum() + (batch.target_ids != PAD).sum())


def test_with_few_sentinels_no_more_gaps_are_made_than_can_be_marked() -> None:
    few = Vocabulary(SIZE, PAD, BEGIN, END, MASK, VOCABULARY.special, UNKNOWN, BEGIN, END, SENTINELS[:3])
    batch = SpanCorruption(few).batch(Samples(ids=np.full((50, LENGTH), 9), lengths=np.full(50, LENGTH)), keys(50), np.arange(50))
    assert batch.target_ids is not None
    assert ((batch.target_ids >= SENTINELS[2]).sum(1) == 3).all()


def test_a_document_is_cut_into_equal_passages_and_each_is_read_once(text: TokenShards) -> None:
    samples = stream(text, PrefixLanguageModel(VOCABULARY), length=32)
    size = samples.epoch_end(0)
    taken = samples.take(0, size)[0]
    assert taken.lengths.sum() == text.train.num_tokens
    assert taken.lengths.max() <= 31
    found = sorted(tuple(ids[:length]) for ids, length in zip(taken.ids.tolist(), taken.lengths, strict=True))
    expected = []
    for first, last in zip(text.train.document_tokens[:-1], text.train.document_tokens[1:], strict=True):
        pieces = np.array_split(text.train.tokens[first:last].astype(int), -(-(last - first) // 31))
        assert max(map(len, pieces)) - min(map(len, pieces)) <= 1
        ends = first + np.arange(len(pieces) + 1) * (last - first) // len(pieces)
        expected += [tuple(text.train.tokens[begin:end].tolist()) for begin, end in pairwise(ends)]
        assert sorted(map(len, pieces)) == sorted(np.diff(ends))
    assert found == sorted(expected)
    assert [ids.tolist() for ids in samples.take(size, 2 * size)[0].ids] != taken.ids.tolist()


def test_a_prefix_is_read_and_the_rest_written(text: TokenShards) -> None:
    made = PrefixLanguageModel(VOCABULARY)
    samples, sample_keys, numbers = stream(text, made).take(0, 60)
    batch = made.batch(samples, sample_keys, numbers)
    assert batch.target_ids is not None
    for row, (ids, length) in enumerate(zip(samples.ids, samples.lengths, strict=True)):
        read, written = ([token for token in some[row].tolist() if token != PAD] for some in (batch.input_ids, batch.target_ids))
        assert read[:-1] + written[:-1] == ids[:length].tolist()
        assert (read[-1], written[-1]) == (END, END)
        assert len(written) > 1
        assert len(read) > 1 or length == 1
    assert batch.prediction_labels is not None
    assert UNKNOWN not in batch.prediction_labels


def test_every_cut_is_as_likely_as_another() -> None:
    many = Samples(ids=np.full((ROWS, 10), 9), lengths=np.full(ROWS, 10))
    batch = PrefixLanguageModel(VOCABULARY).batch(many, keys(ROWS), np.arange(ROWS))
    counts = np.bincount((batch.input_ids == 9).sum(1).numpy(), minlength=11)[1:10]
    assert counts.sum() == ROWS
    assert ((counts - ROWS / 9) ** 2 / (ROWS / 9)).sum() < 8 + SIGMAS * np.sqrt(2 * 8)


@pytest.mark.parametrize("name", ["span_corruption", "prefix_lm"])
def test_a_sample_is_the_same_in_any_batch(name: str, text: TokenShards) -> None:
    made = objective(ObjectiveConfig(objective=name), VOCABULARY)
    assert isinstance(made, Rewriting)
    together = made.batch(*stream(text, made).take(0, 40))
    assert together.target_ids is not None
    for number in range(40):
        alone = made.batch(*stream(text, made).take(number, number + 1))
        assert alone.target_ids is not None
        for one, all_ in ((alone.input_ids, together.input_ids), (alone.target_ids, together.target_ids)):
            assert one[0].equal(all_[number, : one.shape[1]])
            assert (all_[number, one.shape[1] :] == PAD).all()


def test_gaps_are_new_in_each_epoch() -> None:
    maskable = np.ones((200, LENGTH), dtype=bool)
    one, other = (corrupted(maskable, keys(200, epoch), density=0.15, mean_length=3.0, most=99) for epoch in (0, 1))
    assert (one & other).sum() < 0.3 * one.sum()


def test_the_loss_is_the_plain_one_of_each_row_alone(text: TokenShards) -> None:
    torch.manual_seed(0)
    keys_of_t5 = {"num_heads": 2, "d_model": 32, "d_kv": 16, "eos_token_id": END, "decoder_start_token_id": PAD}
    model = Model(preset_architecture("t5-tiny", vocab_size=SIZE, **keys_of_t5), ("lm",)).eval()
    made = SpanCorruption(VOCABULARY)
    batch = made.batch(*stream(text, made).take(0, 8))
    assert batch.target_ids is not None
    total, hits = 0.0, 0
    with torch.no_grad():
        for read, written in zip(batch.input_ids, batch.target_ids, strict=True):
            labels = written[written != PAD]
            begun = torch.cat([torch.tensor([PAD]), labels[:-1]])
            logits = model(read[read != PAD][None], decoder_input_ids=begun[None]).prediction_logits[0]
            total += F.cross_entropy(logits, labels, reduction="sum").item()
            hits += int((logits.argmax(-1) == labels).sum())
        losses, measures = made.losses(model, batch)["span_corruption"], made.measures(model, batch)["span_corruption"]
    assert losses.sum.item() == pytest.approx(total, rel=1e-4)
    assert measures.sum.item() == pytest.approx(total, rel=1e-4)
    assert measures.hits is not None
    assert measures.hits.item() == hits


@pytest.mark.parametrize(
    ("config", "length", "words"),
    [
        ({"mean_span_length": 20.0}, 64, "mean_span_length 20 is more than the 9.6 tokens of a row of 64 that are taken out"),
        ({"noise_density": 0.9}, 64, "has the decoder write more than 64 tokens a row"),
        ({"noise_density": 0.4, "mean_span_length": 1.0}, 128, r"53 of them in rows of 128 tokens, and the tokenizer has 40: prepare the text again"),
    ],
)
def test_gaps_that_do_not_fit_are_refused(config: dict[str, float], length: int, words: str, text: TokenShards) -> None:
    made = objective(ObjectiveConfig(objective="span_corruption", **config), VOCABULARY)
    with pytest.raises(InputError, match=words):
        made.source(text.train, VOCABULARY, length=length, seed=0)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"noise_density": 0.0}, "noise_density is 0.0: it must lie between 0 and 1"),
        ({"noise_density": 1.0}, "noise_density is 1.0"),
        ({"mean_span_length": 0.5}, "mean_span_length is 0.5: it must be at least 1 token"),
    ],
)
def test_rates_and_lengths_that_cannot_stand_are_refused(config: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        objective(ObjectiveConfig(objective="span_corruption", **config), VOCABULARY)

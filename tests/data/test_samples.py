"""Packed rows hold every token once; pairs are made as BERT's own tools make them, by lengths and keys alone."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bertwright.blocks.layout import Packed
from bertwright.data import keys as draws
from bertwright.data.packed_rows import PackedRows
from bertwright.data.samples import Samples, Vocabulary, concatenate
from bertwright.data.sentence_pairs import SentencePairs, truncate
from bertwright.data.shards import Split, write_shards
from bertwright.errors import InputError

SIGMAS = 4.0
PAD, CLS, SEP, MASK = 0, 2, 3, 4
VOCABULARY = Vocabulary(1 << 16, PAD, CLS, SEP, MASK, (0, 1, 2, 3, 4))
Documents = list[list[list[int]]]


def split_of(folder: Path, documents: Documents) -> Split:
    return write_shards(folder, train=documents, vocab_size=VOCABULARY.size).train


def numbered(lengths: list[list[int]]) -> Documents:
    """Documents of sentences of these lengths in which every token is another id."""
    ids = iter(range(10, VOCABULARY.size))
    return [[[next(ids) for _ in range(length)] for length in document] for document in lengths]


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    random = np.random.default_rng(0)
    lengths = [random.integers(1, 20, size=random.integers(1, 25)).tolist() for _ in range(40)]
    return split_of(tmp_path_factory.mktemp("numbered") / "shards", numbered(lengths))


def document_of(split: Split) -> np.ndarray:
    """[vocab_size] the document that an id stands in; -1 for others."""
    table = np.full(VOCABULARY.size, -1)
    table[split.tokens] = np.repeat(np.arange(split.num_documents), np.diff(split.document_tokens))
    return table


class TestPackedRows:
    @pytest.mark.parametrize("length", [8, 17, 32, 129])
    @pytest.mark.parametrize("epoch", [0, 1])
    def test_an_epoch_holds_every_token_once_and_documents_in_one_piece(self, split: Split, length: int, epoch: int) -> None:
        rows = PackedRows(split, VOCABULARY, length=length, seed=3)
        samples = rows.take(epoch, np.arange(rows.size(epoch)))
        texts = [ids[ids > MASK] for ids in samples.ids]
        assert sorted(np.concatenate(texts)) == sorted(split.tokens)
        documents = document_of(split)
        pieces = 0
        for text in texts:
            goes_on = (np.diff(text) == 1) & (documents[text[1:]] == documents[text[:-1]])
            pieces += bool(len(text)) + int((~goes_on).sum())
        assert pieces <= split.num_documents + len(texts) - 1, "a document is cut elsewhere than where a row ends"
        assert (samples.lengths == length).sum() >= len(texts) - 1, "a row before the last is not full"

    def test_neighbouring_rows_are_not_of_one_long_document(self, tmp_path: Path) -> None:
        """A batch of rows of one document would be a biased sample of the text."""
        rows = PackedRows(split_of(tmp_path / "s", numbered([[2000], [2000]])), VOCABULARY, length=12, seed=0)
        ids = rows.take(0, np.arange(rows.size(0))).ids
        assert abs(np.corrcoef(ids[:, 5], np.arange(len(ids)))[0, 1]) < 0.3
        assert np.mean(np.diff(ids[:, 5]) == 10) < 0.05

    def test_documents_come_in_another_order_each_epoch_and_with_each_seed(self, split: Split) -> None:
        def order(epoch: int, seed: int) -> list[int]:
            rows = PackedRows(split, VOCABULARY, length=32, seed=seed)
            ids = rows.take(epoch, np.arange(rows.size(epoch))).ids
            found = document_of(split)[ids[ids > MASK]]
            return list(dict.fromkeys(found.tolist()))

        assert order(0, 0) == order(0, 0)
        assert len({tuple(order(epoch, seed)) for epoch in (0, 1) for seed in (0, 1)}) == 4

    def test_rows_begin_with_cls_end_with_sep_and_part_documents_by_both(self, tmp_path: Path) -> None:
        rows = PackedRows(split_of(tmp_path / "s", [[[10, 11, 12]], [[20, 21]]]), VOCABULARY, length=11, seed=0)
        samples = rows.take(0, np.arange(1))
        assert rows.size(0) == 1
        expected = {
            10: [CLS, 10, 11, 12, SEP, CLS, 20, 21, SEP, CLS, SEP],
            20: [CLS, 20, 21, SEP, CLS, 10, 11, 12, SEP, CLS, SEP],
        }
        assert samples.ids[0].tolist() == expected[int(samples.ids[0, 1])]

    def test_sequences_and_positions_begin_anew_at_document_borders(self, split: Split) -> None:
        rows = PackedRows(split, VOCABULARY, length=64, seed=0)
        samples = rows.take(0, np.arange(rows.size(0)))
        assert samples.sequences is not None
        of_token = np.where(samples.ids > MASK, document_of(split)[samples.ids], -1)
        positions = Packed(torch.from_numpy(samples.sequences)).positions()
        assert positions is not None
        for row in range(len(samples.ids)):
            in_order = [set(of_token[row][(samples.sequences[row] == number)].tolist()) - {-1} for number in range(samples.sequences[row].max() + 1)]
            assert all(len(found) <= 1 for found in in_order), "two documents share a sequence"
            found = [document for found in in_order for document in found]
            assert len(found) == len(set(found)), "a document is in two sequences"
            for place in range(1, samples.lengths[row]):
                begins = samples.sequences[row, place] != samples.sequences[row, place - 1]
                assert begins == (samples.ids[row, place] == CLS and samples.ids[row, place - 1] != PAD)
                assert positions[row, place] == (0 if begins else positions[row, place - 1] + 1)

    def test_padding_is_a_sequence_of_its_own_and_lengths_say_where_it_begins(self, split: Split) -> None:
        rows = PackedRows(split, VOCABULARY, length=64, seed=0)
        samples = rows.take(0, np.arange(rows.size(0)))
        padded = np.arange(64) >= samples.lengths[:, None]
        assert padded.any(), "this corpus should not fill its last row"
        assert ((samples.ids == PAD) == padded).all()
        assert samples.sequences is not None
        for row in np.flatnonzero(padded.any(1)):
            assert set(samples.sequences[row][padded[row]]).isdisjoint(samples.sequences[row][~padded[row]])

    @pytest.mark.parametrize("batch_size", [1, 3])
    def test_a_row_is_the_same_in_whatever_batch_it_stands(self, split: Split, batch_size: int) -> None:
        rows = PackedRows(split, VOCABULARY, length=48, seed=0)
        together = rows.take(1, np.arange(rows.size(1)))
        for start in range(0, rows.size(1), batch_size):
            part = rows.take(1, np.arange(start, min(start + batch_size, rows.size(1))))
            assert (part.ids == together.ids[start : start + batch_size]).all()
            assert (part.lengths == together.lengths[start : start + batch_size]).all()
            assert together.sequences is not None
            alike = part.sequences if part.sequences is not None else (np.arange(48) >= part.lengths[:, None]).astype(int)
            wanted = together.sequences[start : start + batch_size]
            assert ((alike[:, 1:] != alike[:, :-1]) == (wanted[:, 1:] != wanted[:, :-1])).all()

    def test_documents_without_tokens_do_no_harm(self, tmp_path: Path) -> None:
        rows = PackedRows(split_of(tmp_path / "s", [[[]], [[10, 11]], []]), VOCABULARY, length=8, seed=0)
        ids = rows.take(0, np.arange(rows.size(0))).ids
        assert sorted(ids[ids > MASK]) == [10, 11]


def parts(samples: Samples) -> list[tuple[list[int], list[int]]]:
    """A and B of each row; checks [CLS] A [SEP] B [SEP] and the type ids on the way."""
    found = []
    assert samples.token_type_ids is not None
    for ids, types, length in zip(samples.ids.tolist(), samples.token_type_ids.tolist(), samples.lengths.tolist(), strict=True):
        border = ids.index(SEP)
        assert (ids[0], ids[length - 1]) == (CLS, SEP)
        assert ids[length:] == [PAD] * (len(ids) - length)
        assert types == [0] * (border + 1) + [1] * (length - border - 1) + [0] * (len(ids) - length)
        found.append((ids[1:border], ids[border + 1 : length - 1]))
        assert all(token > MASK for part in found[-1] for token in part)
    return found


def epochs_of(pairs: SentencePairs, epochs: int) -> Samples:
    return concatenate([pairs.take(epoch, np.arange(pairs.size(epoch))) for epoch in range(epochs)])


@pytest.fixture(scope="module")
def pairs(split: Split) -> SentencePairs:
    return SentencePairs(split, VOCABULARY, length=32, seed=5)


class TestSentencePairs:
    def test_half_of_the_seconds_come_from_another_document(self, pairs: SentencePairs) -> None:
        labels = epochs_of(pairs, 30).next_sentence_label
        assert labels is not None
        assert abs(labels.mean() - 0.5) < SIGMAS * 0.5 / np.sqrt(len(labels))

    def test_label_0_means_that_b_follows_a(self, split: Split, pairs: SentencePairs) -> None:
        samples = epochs_of(pairs, 6)
        border = set(split.tokens[split.sentences[:-1]].tolist())
        assert samples.next_sentence_label is not None
        followed = [pair for pair, label in zip(parts(samples), samples.next_sentence_label, strict=True) if label == 0]
        whole = [(a, b) for a, b in followed if len(a) + len(b) < 29]
        assert len(whole) > 50
        for a, b in whole:  # nothing was cut off, so B goes on where A ends
            assert a + b == list(range(a[0], a[0] + len(a) + len(b)))
            assert a[0] in border
            assert b[0] in border
        for a, b in followed:
            assert 0 < b[0] - a[-1] < 600
            assert document_of(split)[a[0]] == document_of(split)[b[0]]

    def test_random_partner_never_comes_from_the_same_document(self, split: Split, pairs: SentencePairs) -> None:
        samples, documents = epochs_of(pairs, 10), document_of(split)
        assert samples.next_sentence_label is not None
        drawn = Counter()
        for (a, b), label in zip(parts(samples), samples.next_sentence_label, strict=True):
            assert len(set(documents[a])) == len(set(documents[b])) == 1
            assert (documents[a[0]] != documents[b[0]]) == bool(label)
            drawn[int(documents[b[0]])] += int(label)
        assert all(drawn[document] for document in range(split.num_documents)), "some document is never a partner"

    @pytest.mark.parametrize("length", [8, 31, 32])
    def test_rows_are_full_but_never_longer_than_allowed(self, split: Split, length: int) -> None:
        samples = epochs_of(SentencePairs(split, VOCABULARY, length=length, seed=0), 3)
        assert samples.ids.shape[1] == length
        assert samples.lengths.max() == length
        assert all(a and b for a, b in parts(samples))

    def test_a_tenth_of_the_samples_wish_to_be_shorter(self, tmp_path: Path) -> None:
        # Sentences of one token, so that a chunk has just the wished length; the last one of a document takes what is left.
        split = split_of(tmp_path / "s", numbered([[1] * 4000, [1] * 4000]))
        targets = np.concatenate([SentencePairs(split, VOCABULARY, length=23, seed=seed).chunks(0).target for seed in range(8)])
        shorter = targets < 20
        share, expected = shorter.mean(), 0.1 * 18 / 19  # a nineteenth of the short ones are drawn at full length
        assert abs(share - expected) < SIGMAS * np.sqrt(expected * (1 - expected) / len(targets))
        counts = np.bincount(targets[shorter], minlength=20)[2:20]
        mean = counts.mean()
        assert abs(((counts - mean) ** 2 / mean).sum() - 17) < SIGMAS * np.sqrt(2 * 17), "short lengths are not uniform on [2, capacity]"

    def test_chunks_cover_every_document_of_two_sentences_or_more_in_order(self, split: Split, pairs: SentencePairs) -> None:
        chunks, starts = pairs.chunks(0), split.sentences
        sentences = np.diff(split.documents)
        covered = np.concatenate([np.arange(first, last) for first, last in zip(chunks.first, chunks.last, strict=True)])
        expected = np.concatenate([np.arange(split.documents[d], split.documents[d + 1]) for d in np.flatnonzero(sentences >= 2)])
        assert (covered == expected).all()
        assert (chunks.last - chunks.first >= 2).all()
        for first, last, target, document in zip(chunks.first, chunks.last, chunks.target, chunks.document, strict=True):
            more_than_needed = starts[last - 1] - starts[first] >= target and last - first > 2
            assert not more_than_needed or last == split.documents[document + 1]

    def test_documents_of_one_sentence_are_partners_only(self, tmp_path: Path) -> None:
        split = split_of(tmp_path / "s", numbered([[5], [5, 5, 5], [6], [4, 4]]))
        samples, documents = epochs_of(SentencePairs(split, VOCABULARY, length=16, seed=0), 60), document_of(split)
        found = [(int(documents[a[0]]), int(documents[b[0]])) for a, b in parts(samples)]
        assert {a for a, _ in found} == {1, 3}
        assert {b for _, b in found} == {0, 1, 2, 3}

    def test_samples_are_drawn_anew_each_epoch_and_the_same_in_any_batch(self, pairs: SentencePairs) -> None:
        together = pairs.take(2, np.arange(pairs.size(2)))
        for start in range(0, pairs.size(2), 7):
            part = pairs.take(2, np.arange(start, min(start + 7, pairs.size(2))))
            assert (part.ids == together.ids[start : start + 7]).all()
            assert part.next_sentence_label is not None
            assert together.next_sentence_label is not None
            assert (part.next_sentence_label == together.next_sentence_label[start : start + 7]).all()
        now, later = (set(map(tuple, pairs.take(epoch, np.arange(pairs.size(epoch))).ids.tolist())) for epoch in (2, 3))
        assert len(now & later) < 0.2 * len(now)

    def test_the_number_of_samples_hangs_on_lengths_and_the_epochs_key_alone(self, tmp_path: Path, split: Split, pairs: SentencePairs) -> None:
        random = np.random.default_rng(1)
        lengths = np.diff(split.sentences)
        other = [
            [random.integers(10, 1000, size=lengths[s]).tolist() for s in range(split.documents[d], split.documents[d + 1])] for d in range(split.num_documents)
        ]
        again = SentencePairs(split_of(tmp_path / "s", other), VOCABULARY, length=32, seed=5)
        assert [again.size(epoch) for epoch in range(6)] == [pairs.size(epoch) for epoch in range(6)]
        assert len({pairs.size(epoch) for epoch in range(6)}) > 1, "the epoch's key does not matter"

    @pytest.mark.parametrize(("documents", "named"), [([[[10], [11]]], "the text has 1"), ([[[10]], [[11]]], "two sentences or more"), ([], "the text has 0")])
    def test_text_that_cannot_serve_is_refused_with_the_mend(self, tmp_path: Path, documents: Documents, named: str) -> None:
        with pytest.raises(InputError, match=named) as refused:
            SentencePairs(split_of(tmp_path / "s", documents), VOCABULARY, length=32, seed=0)
        assert "--objective mlm" in str(refused.value)


def truncate_seq_pair(a: list[int], b: list[int], capacity: int, coin: Callable[[], bool]) -> None:
    """As in the released create_pretraining_data.py (Devlin et al. 2018)."""
    while len(a) + len(b) > capacity:
        longer = a if len(a) > len(b) else b
        if coin():
            del longer[0]
        else:
            longer.pop()


class TestTruncation:
    @pytest.mark.parametrize("capacity", [5, 12, 13, 40])
    def test_lengths_are_those_of_bert(self, capacity: int) -> None:
        sizes = np.array([(a, b) for a in range(1, 45) for b in range(1, 45)])
        keys = draws.draw(draws.key_of(0), np.arange(len(sizes)), draws.SAMPLE)
        a_front, new_a, b_front, new_b = truncate(sizes[:, 0], sizes[:, 1], keys, capacity=capacity)
        for row, (size_a, size_b) in enumerate(sizes):
            a, b = [0] * size_a, [0] * size_b
            truncate_seq_pair(a, b, capacity, lambda: True)
            assert (new_a[row], new_b[row]) == (len(a), len(b))
            assert 0 <= a_front[row] <= size_a - new_a[row]
            assert 0 <= b_front[row] <= size_b - new_b[row]

    @pytest.mark.parametrize(("size_a", "size_b", "capacity"), [(30, 9, 24), (9, 90, 24), (100, 250, 60)])
    def test_each_token_is_cut_from_a_random_end(self, size_a: int, size_b: int, capacity: int) -> None:
        """The number cut from the front is binomial, as it is when BERT's loop tosses its coin for every token."""
        count = 4000
        keys = draws.draw(draws.key_of(1), np.arange(count), draws.SAMPLE)
        fronts_a, new_a, fronts_b, new_b = truncate(np.full(count, size_a), np.full(count, size_b), keys, capacity=capacity)
        for fronts, cut in ((fronts_a, size_a - new_a[0]), (fronts_b, size_b - new_b[0])):
            assert abs(fronts.mean() - cut / 2) <= SIGMAS * np.sqrt(cut / 4 / count)
            variance = cut / 4
            assert abs(fronts.var() - variance) <= SIGMAS * variance * np.sqrt(2 / count) + 1e-12
        if size_a > new_a[0] and size_b > new_b[0]:
            assert abs(np.corrcoef(fronts_a, fronts_b)[0, 1]) < SIGMAS / np.sqrt(count)

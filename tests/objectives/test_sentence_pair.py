"""Pairs whose order is learnt: what follows stands behind or before, by a coin; losses are those of the papers' formulas."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bertwright.data.packed_rows import PackedRows
from bertwright.data.samples import BoolArray, Samples, Vocabulary, concatenate
from bertwright.data.sentence_pairs import SentencePairs
from bertwright.data.shards import Split, TokenShards, write_shards
from bertwright.data.stream import Stream
from bertwright.errors import InputError
from bertwright.families.albert import ALBERT
from bertwright.families.bert import BERT
from bertwright.models import Model
from bertwright.objectives.config import ObjectiveConfig
from bertwright.objectives.registry import objective

SIGMAS = 4.0
NUMBERED = Vocabulary(1 << 16, 0, 2, 3, 4, (0, 1, 2, 3, 4))
# A word begins at every id that three divides.
STARTS = np.arange(NUMBERED.size) % 3 == 0
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 32, "initializer_range": 0.2}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """40 documents in which every token is another id, counted up through the text."""
    random, ids = np.random.default_rng(0), iter(range(10, NUMBERED.size))
    documents = [[[next(ids) for _ in range(random.integers(1, 20))] for _ in range(random.integers(1, 25))] for _ in range(40)]
    return write_shards(tmp_path_factory.mktemp("numbered") / "shards", train=documents, vocab_size=NUMBERED.size, word_start_table=STARTS).train


def epochs(source: SentencePairs, count: int) -> Samples:
    return concatenate([source.take(epoch, np.arange(source.size(epoch))) for epoch in range(count)])


def segments(samples: Samples) -> list[tuple[np.ndarray, np.ndarray]]:
    found = []
    for ids in samples.ids:
        first, last = np.flatnonzero(ids == NUMBERED.sep_id)
        found.append((ids[1:first], ids[first + 1 : last]))
    return found


def test_half_of_the_pairs_are_swapped_and_both_are_neighbours_in_the_text(split: Split) -> None:
    """Lan et al. 2019, section 3.1: two consecutive segments from the same document, in their order or swapped."""
    samples = epochs(SentencePairs(split, NUMBERED, length=32, seed=5, ordered=True), 12)
    label = samples.sentence_order_label
    assert label is not None
    assert samples.next_sentence_label is None
    assert abs(label.mean() - 0.5) < SIGMAS * 0.5 / np.sqrt(len(label))
    document = np.repeat(np.arange(split.num_documents), np.diff(split.document_tokens))
    whole = 0
    for (a, b), swapped in zip(segments(samples), label, strict=True):
        early, late = (b, a) if swapped else (a, b)
        assert early[-1] < late[0], "the label is not the order"
        assert len(set(document[np.concatenate((a, b)) - 10])) == 1
        if len(a) + len(b) < 29:  # nothing was cut off
            whole += 1
            assert late[0] == early[-1] + 1
    assert whole > 50


def test_a_pair_is_the_same_in_whatever_batch_it_stands(split: Split) -> None:
    source = SentencePairs(split, NUMBERED, length=32, seed=5, ordered=True, words=True)
    together = source.take(1, np.arange(source.size(1)))
    assert together.sentence_order_label is not None
    assert together.word_starts is not None
    for start in range(0, source.size(1), 7):
        part = source.take(1, np.arange(start, min(start + 7, source.size(1))))
        assert (part.ids == together.ids[start : start + 7]).all()
        assert (part.sentence_order_label == together.sentence_order_label[start : start + 7]).all()
        assert (part.word_starts == together.word_starts[start : start + 7]).all()


def expected_starts(ids: np.ndarray) -> BoolArray:
    """Where a word begins, where a segment does, and at every special token."""
    special = ids < 10
    after = np.zeros_like(special)
    after[:, 1:] = special[:, :-1]
    return special | after | STARTS[ids]


@pytest.mark.parametrize("ordered", [False, True])
def test_pairs_say_where_words_begin(ordered: bool, split: Split) -> None:
    samples = epochs(SentencePairs(split, NUMBERED, length=24, seed=0, ordered=ordered, words=True), 2)
    assert samples.word_starts is not None
    assert (samples.word_starts == expected_starts(samples.ids)).all()
    assert not samples.word_starts.all()


@pytest.mark.parametrize("length", [8, 24, 301])
def test_packed_rows_say_where_words_begin(length: int, split: Split) -> None:
    rows = PackedRows(split, NUMBERED, length=length, seed=0, words=True)
    for epoch in range(2):
        samples = rows.take(epoch, np.arange(rows.size(epoch)))
        assert samples.word_starts is not None
        assert (samples.word_starts == expected_starts(samples.ids)).all()


def test_an_epochs_end_and_the_next_ones_beginning_stand_in_one_batch(split: Split) -> None:
    stream = Stream(SentencePairs(split, NUMBERED, length=24, seed=0, ordered=True, words=True), seed=0)
    end = stream.epoch_end(0)
    samples, _, _ = stream.take(end - 3, end + 3)
    assert samples.sentence_order_label is not None
    assert samples.sentence_order_label.shape == (6,)
    assert samples.word_starts is not None
    assert samples.word_starts.shape == samples.ids.shape


@pytest.mark.parametrize("name", ["mlm+nsp", "mlm+sop"])
def test_losses_are_those_of_the_formula(name: str, shards: TokenShards, vocabulary: Vocabulary) -> None:
    """The sum of -log p over the masked tokens, and over the pairs, written out."""
    trained_for = objective(ObjectiveConfig(objective=name), vocabulary)
    torch.manual_seed(0)
    family = ALBERT if name == "mlm+sop" else BERT
    model = Model(family.architecture({**SIZES, "vocab_size": vocabulary.size}).with_dropout(0.0), trained_for.heads).eval()
    batch = trained_for.batch(*Stream(trained_for.source(shards.train, vocabulary, length=24, seed=0), seed=0).take(0, 6))
    term = name.partition("+")[2]
    with torch.no_grad():
        found, measured = trained_for.losses(model, batch), trained_for.measures(model, batch)
        output = model(batch.input_ids, token_type_ids=batch.token_type_ids, layout=batch.layout)
    pairs, label = (output.sop_logits, batch.sentence_order_label) if term == "sop" else (output.seq_relationship_logits, batch.next_sentence_label)
    assert label is not None
    expected = -sum(float(pairs[row].log_softmax(-1)[label[row]]) for row in range(6))
    right = sum(int(pairs[row].argmax()) == int(label[row]) for row in range(6))
    logits = output.prediction_logits.flatten(0, 1)
    assert batch.predict_positions is not None
    assert batch.prediction_labels is not None
    tokens = -sum(float(logits[place].log_softmax(-1)[answer]) for place, answer in zip(batch.predict_positions, batch.prediction_labels, strict=True))
    for losses in (found, measured):
        assert losses[term].sum.item() == pytest.approx(expected, rel=1e-4)
        assert losses["mlm"].sum.item() == pytest.approx(tokens, rel=1e-4)
    assert measured[term].hits is not None
    assert int(measured[term].hits) == right
    assert batch.weights == {"mlm": len(batch.prediction_labels), term: 6}


@pytest.mark.parametrize(
    ("documents", "ordered", "named"),
    [
        ([[[10, 11]], [[12]]], True, "sentence order needs documents of two sentences or more, the text has none"),
        ([[[10, 11]], [[12]]], False, "next-sentence prediction needs documents of two sentences or more, the text has none"),
        ([[[10], [11]]], False, "next-sentence prediction needs two documents or more, the text has 1"),
    ],
)
def test_texts_of_one_sentence_are_refused_with_the_mend(documents: list[list[list[int]]], ordered: bool, named: str, tmp_path: Path) -> None:
    text = write_shards(tmp_path / "s", train=documents, vocab_size=NUMBERED.size).train
    with pytest.raises(InputError, match=named) as refused:
        SentencePairs(text, NUMBERED, length=16, seed=0, ordered=ordered)
    assert "use --objective mlm" in str(refused.value)


def test_one_document_is_enough_for_the_order_of_its_sentences(tmp_path: Path) -> None:
    text = write_shards(tmp_path / "s", train=[[[10, 11], [12], [13, 14]]], vocab_size=NUMBERED.size).train
    assert SentencePairs(text, NUMBERED, length=16, seed=0, ordered=True).size(0) == 1


def test_samples_of_the_other_objective_are_refused(split: Split, vocabulary: Vocabulary) -> None:
    for name, ordered in (("mlm+nsp", True), ("mlm+sop", False)):
        samples, keys, numbers = Stream(SentencePairs(split, NUMBERED, length=16, seed=0, ordered=ordered), seed=0).take(0, 2)
        with pytest.raises(ValueError, match="no pairs"):
            objective(ObjectiveConfig(objective=name), vocabulary).batch(samples, keys, numbers)

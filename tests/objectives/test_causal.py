"""Every token is predicted once an epoch, from its own document alone, and the loss is the plain one."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bertwright.architecture import Architecture
from bertwright.data.samples import ABSENT, Vocabulary
from bertwright.data.shards import TokenShards, write_shards
from bertwright.data.stream import Stream
from bertwright.errors import InputError
from bertwright.families import preset_architecture
from bertwright.models import Model
from bertwright.objectives.causal import CausalLanguageModel
from bertwright.objectives.config import ObjectiveConfig
from bertwright.objectives.objective import Objective
from bertwright.objectives.registry import objective
from bertwright.objectives.suitable import misfit

SIZE, BEGIN, END, UNKNOWN = 200, 2, 3, 1
BOTH = Vocabulary(SIZE, 0, BEGIN, END, 4, (0, 1, 2, 3, 4), UNKNOWN, BEGIN, END)
GPT2 = Vocabulary(SIZE, ABSENT, ABSENT, ABSENT, ABSENT, (BEGIN,), BEGIN, BEGIN, BEGIN)  # one token is its begin, its end and its unknown
BARE = Vocabulary(SIZE, ABSENT, ABSENT, ABSENT, ABSENT, (UNKNOWN,), UNKNOWN)  # as GPT's, which knows no ends
LENGTH = 16


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> TokenShards:
    """30 documents of 1 to 60 tokens, all different from each other's; a few are unknown."""
    random = np.random.default_rng(0)
    documents = [[random.integers(5, SIZE, size=random.integers(1, 60)).tolist()] for _ in range(30)]
    documents[3][0][0] = documents[4][0][-1] = UNKNOWN
    return write_shards(tmp_path_factory.mktemp("text") / "shards", train=documents, vocab_size=SIZE)


def stream(text: TokenShards, vocabulary: Vocabulary, *, length: int = LENGTH, seed: int = 1) -> Stream:
    return Stream(CausalLanguageModel(vocabulary).source(text.train, vocabulary, length=length, seed=seed), seed=seed)


def model(**keys: object) -> Model:
    torch.manual_seed(0)
    config = {"n_embd": 32, "n_head": 2, "eos_token_id": END, "initializer_range": 0.2, **keys}
    return Model(preset_architecture("gpt2-tiny", vocab_size=SIZE, **config), ("lm",)).eval()


@pytest.mark.parametrize("vocabulary", [BOTH, GPT2, BARE], ids=["both", "one", "none"])
def test_each_token_of_an_epoch_is_predicted_once_and_the_first_of_a_text_never(text: TokenShards, vocabulary: Vocabulary) -> None:
    samples = stream(text, vocabulary)
    batch = CausalLanguageModel(vocabulary).batch(*samples.take(0, samples.epoch_end(0)))
    assert batch.prediction_labels is not None
    expected: Counter[int] = Counter()
    for first, last in zip(text.train.document_tokens[:-1], text.train.document_tokens[1:], strict=True):
        document = [*text.train.tokens[first:last].tolist(), *([vocabulary.end_id] if vocabulary.end_id != ABSENT else [])]
        expected.update(document if vocabulary.begin_id != ABSENT else document[1:])
    if vocabulary is not GPT2:
        del expected[UNKNOWN]
    found = Counter(batch.prediction_labels.tolist())
    assert found == expected
    assert batch.weights == {"clm": float(found.total())}


def test_a_label_is_the_next_token_of_the_same_document(text: TokenShards) -> None:
    samples, keys, numbers = stream(text, BOTH).take(0, 20)
    batch = CausalLanguageModel(BOTH).batch(samples, keys, numbers)
    assert batch.predict_positions is not None
    assert batch.prediction_labels is not None
    assert samples.sequences is not None
    row, place = np.divmod(batch.predict_positions.numpy(), batch.input_ids.shape[1])
    assert (samples.ids[row, place + 1] == batch.prediction_labels.numpy()).all()
    assert (samples.sequences[row, place + 1] == samples.sequences[row, place]).all()
    borders = (samples.sequences[:, 1:] != samples.sequences[:, :-1]).sum()
    assert borders > 10, "no row holds a border"
    assert not (batch.prediction_labels == BEGIN).any(), "the border of two documents is predicted"


def test_no_document_sees_another(text: TokenShards) -> None:
    """What stands before a document changes nothing of its predictions."""
    objective, trained = CausalLanguageModel(BOTH), model()
    samples, keys, numbers = stream(text, BOTH).take(0, 20)
    assert samples.sequences is not None
    batch = objective.batch(samples, keys, numbers)
    later = torch.from_numpy(samples.sequences[:, : batch.input_ids.shape[1]] > 0)
    other = torch.where(later, batch.input_ids, 7)
    with torch.no_grad():
        one, two = (trained(ids, layout=batch.layout).prediction_logits for ids in (batch.input_ids, other))
    assert later.any()
    torch.testing.assert_close(one[later], two[later], rtol=0, atol=1e-5)
    assert not torch.allclose(one[~later], two[~later], atol=1e-2)


def test_the_loss_is_the_plain_one_of_each_document_alone(text: TokenShards) -> None:
    """Against logits of each document's part of a row alone, token by token."""
    objective, trained = CausalLanguageModel(BOTH), model()
    samples, keys, numbers = stream(text, BOTH).take(0, 12)
    batch = objective.batch(samples, keys, numbers)
    assert samples.sequences is not None
    total, hits, count = 0.0, 0, 0
    with torch.no_grad():
        for ids, sequences, length in zip(samples.ids, samples.sequences, samples.lengths, strict=True):
            for number in np.unique(sequences[:length]):
                part = torch.from_numpy(ids[:length][sequences[:length] == number])
                if len(part) > 1:
                    logits, labels = trained(part[None, :-1]).prediction_logits[0], part[1:]
                    known = labels != UNKNOWN
                    total += F.cross_entropy(logits[known], labels[known], reduction="sum").item()
                    hits += int((logits[known].argmax(-1) == labels[known]).sum())
                    count += int(known.sum())
        losses, measures = objective.losses(trained, batch), objective.measures(trained, batch)
    assert count == batch.weights["clm"]
    assert losses["clm"].sum.item() == pytest.approx(total, rel=1e-4)
    assert measures["clm"].sum.item() == pytest.approx(total, rel=1e-4)
    assert measures["clm"].hits is not None
    assert measures["clm"].hits.item() == hits


def test_a_sample_is_the_same_in_any_batch(text: TokenShards) -> None:
    objective, whole = CausalLanguageModel(BOTH), stream(text, BOTH)
    size = whole.epoch_end(0)
    together = objective.batch(*whole.take(0, size + 3))
    scored = 0
    assert together.predict_positions is not None
    for number in range(size + 3):
        alone = objective.batch(*stream(text, BOTH).take(number, number + 1))
        assert alone.predict_positions is not None
        width, count = alone.input_ids.shape[1], len(alone.predict_positions)
        assert alone.input_ids[0].equal(together.input_ids[number, :width])
        assert (alone.predict_positions + number * together.input_ids.shape[1]).equal(together.predict_positions[scored : scored + count])
        scored += count
    assert scored == together.weights["clm"]
    assert together.tokens == int((whole.take(0, size + 3)[0].lengths - 1).sum())


def test_rows_come_in_another_order_each_epoch(text: TokenShards) -> None:
    samples = stream(text, BOTH)
    size = samples.epoch_end(0)
    one, other = samples.take(0, size)[0], samples.take(size, 2 * size)[0]
    assert not (one.ids == other.ids).all()
    assert (one.ids[:-1, -1] != one.ids[1:, 0]).any(), "each row goes on where the one before it ended"


def test_one_document_is_read_without_a_mask(tmp_path: Path) -> None:
    text = write_shards(tmp_path / "one", train=[[list(range(5, 105))]], vocab_size=SIZE)
    samples, keys, numbers = stream(text, BOTH).take(0, 7)  # 102 tokens
    assert samples.sequences is None
    batch = CausalLanguageModel(BOTH).batch(samples, keys, numbers)
    assert batch.layout.positions() is None
    assert batch.weights["clm"] == 101


def built(name: str, vocabulary: Vocabulary = BOTH) -> Objective:
    return objective(ObjectiveConfig(objective=name), vocabulary)


def of(name: str) -> Architecture:
    return preset_architecture(f"{name}-tiny", vocab_size=SIZE)


def test_a_model_that_reads_or_rewrites_is_refused_with_those_that_write_on() -> None:
    assert misfit(built("clm"), of("gpt2"), BOTH, name="clm") is None
    bert = misfit(built("clm"), of("bert"), BOTH, name="clm") or ""
    assert bert.startswith("objective clm needs heads that this model family lacks (lm): take a model of gpt, gpt2, or --objective mlm+nsp, mlm")
    bart = misfit(built("clm"), of("bart"), BOTH, name="clm") or ""
    assert bart.startswith(
        "objective clm trains models of a decoder alone, and this one has an encoder and a decoder: take a model of gpt, gpt2, or --objective "
    )
    assert "denoising" in bart
    assert "mlm" not in bart
    masked = misfit(built("mlm"), of("gpt2"), BOTH, name="mlm") or ""
    assert "lacks (mlm): take a model of bert, roberta" in masked
    assert masked.endswith("or --objective clm")


def test_no_objective_is_proposed_whose_tokens_the_vocabulary_lacks() -> None:
    refused = misfit(built("clm", GPT2), of("bert"), GPT2, name="clm") or ""
    assert refused.endswith("take a model of gpt, gpt2"), "masks need a token that masks"


def test_masks_need_a_vocabulary_with_a_mask_and_next_tokens_need_none() -> None:
    assert built("clm", BARE).terms == ("clm",)
    with pytest.raises(InputError) as told:
        built("mlm", GPT2)
    assert [line.split(":")[0] for line in told.value.problems] == [
        f"objective mlm needs a token {what}, and the tokenizer of 200 entries has none"
        for what in ("that fills rows up (pad)", "that begins a row (cls)", "that ends a segment (sep)", "that masks (mask)")
    ]
    assert all("prepare the text again" in line for line in told.value.problems)

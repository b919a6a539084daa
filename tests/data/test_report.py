"""The corpus report's numbers against plain counting, and a warning for each thing that would spoil a training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bertwright.data.prepare import PrepareConfig, prepare
from bertwright.data.report import CorpusReport, Rows, Text
from bertwright.data.statistics import entropy, leaked, pair_rows, quantiles, repeated

SOUND = CorpusReport(
    files=1,
    bytes=10**7,
    characters=10**7,
    divided_by="file",
    reason="each text file is one document",
    tokenizer="wordpiece",
    vocab_size=8192,
    lowercase=True,
    documents=1000,
    sentences=20_000,
    tokens=2_000_000,
    validation_documents=10,
    validation_sentences=200,
    validation_tokens=20_000,
    held_out="1%",
    unknown_rate=0.0001,
    unknown_markers={},
    unknown_marker=None,
    special_literals=0,
    sentence_lengths=quantiles(np.arange(1, 50)),
    document_lengths=quantiles(np.arange(1, 500)),
    one_sentence_documents=10,
    duplicates=3,
    validation_duplicates=0,
    leakage=0,
    rows=Rows(max_seq_length=128, truncated=0.05, padding=0.02),
    nsp_possible=True,
    unigram_entropy=6.5,
    vocab_used=8000,
    text=Text(),
)

SPOILED = {
    "one document": ({"documents": 1, "duplicates": 0, "nsp_possible": False}, "one document only"),
    "one-sentence documents": ({"one_sentence_documents": 1000, "nsp_possible": False}, "every document has one sentence"),
    "mostly one-sentence documents": ({"one_sentence_documents": 700}, "70% of the documents have one sentence"),
    "little text": ({"tokens": 9_000}, "little text: 9,000 tokens"),
    "nothing held out": ({"validation_tokens": 0}, "nothing is held out"),
    "little held out": ({"validation_tokens": 900}, "only 900 tokens are held out"),
    "unknown words": ({"unknown_rate": 0.031}, "3.1% of the tokens are unknown: take a tokenizer"),
    "marked unknown words": ({"unknown_rate": 0.031, "unknown_marker": "<unk>", "unknown_markers": {"<unk>": 60_000}}, "<unk> of the text among them"),
    "a marker that is not given": ({"unknown_markers": {"<unk>": 54_625}}, '"<unk>" stands 54,625 times in the text'),
    "special tokens in the text": ({"special_literals": 4}, "the text itself holds 4 special tokens"),
    "duplicates": ({"duplicates": 100}, "10% of the training documents repeat another"),
    "leakage": ({"leakage": 4}, "4 of the 10 held-out documents stand in the training text too"),
    "truncation": ({"rows": Rows(max_seq_length=64, truncated=0.4, padding=0.0)}, "40% of the tokens are cut off in sentence pairs of 64"),
    "padding": ({"rows": Rows(max_seq_length=64, truncated=0.0, padding=0.7)}, "70% of sentence pairs of 64 is padding"),
    "invalid bytes": ({"text": Text(invalid_bytes=3)}, "3 bytes or half characters were not UTF-8"),
    "control characters": ({"text": Text(control_characters=3)}, "3 control characters were removed"),
    "cut texts": ({"text": Text(long_texts_cut=2)}, "2 cuts were made"),
    "blank rows": ({"text": Text(blank_rows=5)}, "5 rows had a blank text"),
}


def test_a_sound_corpus_has_no_warning() -> None:
    report = SOUND.with_warnings()
    assert report.warnings == ()
    assert not any("warning" in line for line in report.lines())
    assert any("NSP" in line and "possible" in line for line in report.lines())


@pytest.mark.parametrize("case", SPOILED)
def test_what_would_spoil_a_training_is_said_once_and_plainly(case: str) -> None:
    changes, message = SPOILED[case]
    report = replace(SOUND, **changes).with_warnings()  # type: ignore[arg-type]
    (warning,) = report.warnings
    assert message in warning
    assert report.lines()[-1] == f"warning: {warning}"


def test_duplicates_and_leakage_against_plain_counting() -> None:
    draw = np.random.default_rng(0)
    for _ in range(50):
        train, held = (draw.integers(0, 20, draw.integers(0, 15)).astype(np.uint64) for _ in range(2))
        assert repeated(train) == len(train) - len(set(train.tolist()))
        assert leaked(held, train) == sum(value in set(train.tolist()) for value in held.tolist())


def test_entropy_of_even_counts_is_the_logarithm_of_their_number() -> None:
    assert entropy(np.array([5, 5, 0, 5, 5])) == pytest.approx(np.log(4))


def test_rows_of_whole_sentences() -> None:
    sentences, documents = np.array([0, 3, 6, 9, 12, 13]), np.array([0, 4, 5])
    rows = pair_rows(sentences, documents, max_seq_length=8)  # room for 5: rows of 6 and 6, and of 1
    assert rows.truncated == pytest.approx(2 / 13)
    assert rows.padding == pytest.approx(1 - (5 + 5 + 1 + 9) / 24)
    assert pair_rows(np.array([0]), np.array([0]), max_seq_length=128) == Rows(max_seq_length=128, truncated=0, padding=0)


def test_special_tokens_in_the_text_and_lengths_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("We mask a word with [MASK] here. And again [MASK] there.\n\nNo more of it. Really.\n\nAnd [SEP] too. Yes.\n")
    report = prepare([str(tmp_path / "a.txt")], out=tmp_path / "out", config=PrepareConfig(tokenizer_type="bpe"))
    assert report.special_literals == 3
    assert report.document_lengths["max"] >= report.sentence_lengths["max"] >= report.sentence_lengths["median"] > 0

"""prepare end to end: the shards hold the text, the held-out part, the options and the report; stopped, it leaves nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertwright.data import encoding, held_out
from bertwright.data.held_out import EncodedDocuments, HeldOut
from bertwright.data.prepare import PrepareConfig, Progress, prepare
from bertwright.data.report import CorpusReport
from bertwright.data.shards import Split, TokenShards
from bertwright.errors import InputError
from bertwright.text.tokenizer import Tokenizer

SHARED = Path(__file__).parents[2] / "../shared/data"
WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "seven", "other", "animals", "look", "at", "them", "from", "behind")


def corpus(folder: Path, *, documents: int = 60, seed: int = 0) -> Path:
    draw = np.random.default_rng(seed)
    path = folder / "corpus.txt"
    blocks = ["\n".join(" ".join(draw.choice(WORDS, 8)).capitalize() + "." for _ in range(draw.integers(2, 6))) for _ in range(documents)]
    path.write_text("\n\n".join(blocks) + "\n")
    return path


def run(path: Path, out: Path, **options: Any) -> tuple[CorpusReport, TokenShards]:
    report = prepare([str(path)], out=out, config=PrepareConfig(**options))
    return report, TokenShards.open(out, verify=True)


def texts(split: Split, tokenizer: Tokenizer) -> list[list[str]]:
    sentences = [tokenizer.decode(split.tokens[begin:end].tolist()) for begin, end in zip(split.sentences[:-1], split.sentences[1:], strict=True)]
    return [sentences[begin:end] for begin, end in zip(split.documents[:-1], split.documents[1:], strict=True)]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram", "word"])
def test_the_shards_hold_the_text(tmp_path: Path, kind: str) -> None:
    path = corpus(tmp_path)
    report, shards = run(path, tmp_path / "out", tokenizer_type=kind, min_frequency=1, sentences="line")
    tokenizer = Tokenizer.load(shards.tokenizer_folder)
    assert (tokenizer.hash, tokenizer.vocab_size) == (shards.tokenizer_hash, shards.vocab_size)
    expected = [tuple(block.split("\n")) for block in path.read_text().strip().split("\n\n")]
    found = [tuple(document) for split in (shards.train, shards.validation) for document in texts(split, tokenizer)]
    assert sorted("".join("".join(document).split()) for document in found) == sorted("".join("".join(document).split()) for document in expected)
    assert sorted(map(len, found)) == sorted(map(len, expected))
    for split in (shards.train, shards.validation):
        assert (split.word_starts == tokenizer.word_start_table[split.tokens]).all()
        assert split.token_counts.tolist() == np.bincount(split.tokens, minlength=shards.vocab_size).tolist()
    assert report.documents == shards.train.num_documents
    assert report.tokens == shards.train.num_tokens
    assert report.validation_documents >= 1
    assert json.loads((tmp_path / "out" / "corpus.json").read_text()) == json.loads(json.dumps(report.to_json()))
    assert shards.info["options"]["tokenizer_type"] == kind
    assert shards.info["options"]["inputs"] == [str(path)]


def test_the_same_text_gives_the_same_bytes(tmp_path: Path) -> None:
    path = corpus(tmp_path)
    hashes = []
    for name in ("a", "b"):
        run(path, tmp_path / name)
        hashes.append({file: entry["sha256"] for file, entry in json.loads((tmp_path / name / "shards.json").read_text())["files"].items()})
    assert hashes[0] == hashes[1]


def test_the_size_of_batches_changes_nothing_but_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = corpus(tmp_path)
    _, whole = run(path, tmp_path / "a")
    monkeypatch.setattr(encoding, "BATCH_CHARACTERS", 100)
    _, small = run(path, tmp_path / "b")
    tokenizer = Tokenizer.load(whole.tokenizer_folder)
    for one, other in ((whole.train, small.train), (whole.validation, small.validation)):
        assert sorted(texts(one, tokenizer)) == sorted(texts(other, tokenizer))


def test_a_given_tokenizer_is_used_and_unknown_markers_become_its_unknown_token(tmp_path: Path) -> None:
    run(corpus(tmp_path), tmp_path / "first")
    (tmp_path / "marked.txt").write_text("The <unk> fox . A lazy <unk> .\n\nThe dog saw <unk> and <unk> .\n\nA fox .\n" * 20)
    tokenizer = Tokenizer.load(tmp_path / "first" / "tokenizer")
    plain, _ = run(tmp_path / "marked.txt", tmp_path / "plain", tokenizer=str(tmp_path / "first"))
    assert any("--unknown_marker" in warning and "80 times" in warning for warning in plain.warnings)
    marked, shards = run(tmp_path / "marked.txt", tmp_path / "marked", tokenizer=str(tmp_path / "first"), unknown_marker="<unk>")
    unknown = shards.train.token_counts[tokenizer.unk_id] + shards.validation.token_counts[tokenizer.unk_id]
    assert unknown == 80
    assert marked.unknown_rate == unknown / (marked.tokens + marked.validation_tokens)
    assert not any("--unknown_marker" in warning for warning in marked.warnings)
    assert shards.tokenizer_hash == tokenizer.hash


def test_a_marker_of_letters_is_a_whole_word() -> None:
    assert encoding.marker_pattern("UNK").sub("*", "UNK FUNK UNKS (UNK)") == "* FUNK UNKS (*)"
    assert encoding.marker_pattern("<unk>").sub("*", "<unk>s a<unk>") == "*s a*"


def test_a_marker_is_not_learnt(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The <zzqq> fox .\n\nA lazy <zzqq> .\n" * 20)
    _, shards = run(tmp_path / "a.txt", tmp_path / "out", unknown_marker="<zzqq>")
    assert not any("zq" in piece or "q" in piece for piece in Tokenizer.load(shards.tokenizer_folder).vocab)


def test_a_vocabulary_larger_than_the_text_allows_is_refused_with_its_size(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"vocab_size 30522: larger than the text allows: it gives \d+ entries"):
        run(corpus(tmp_path), tmp_path / "out", vocab_size=30522)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.txt"]


def test_validation_files_are_held_out_and_their_leakage_is_counted(tmp_path: Path) -> None:
    path = corpus(tmp_path)
    leaked = path.read_text().split("\n\n")[3]
    (tmp_path / "held.txt").write_text(f"{leaked.upper()}\n\nA fox of its own .\n")
    report, shards = run(path, tmp_path / "out", validation_files=(str(tmp_path / "held.txt"),))
    assert (report.validation_documents, report.documents, report.leakage) == (2, 60, 1)
    assert shards.validation.num_documents == 2
    assert any("1 of the 2 held-out documents" in warning for warning in report.warnings)


def test_copies_are_counted_and_stand_on_one_side(tmp_path: Path) -> None:
    path = corpus(tmp_path)
    path.write_text(path.read_text() + "\n" + path.read_text())
    report, _ = run(path, tmp_path / "out", validation_fraction=0.3)
    assert report.duplicates + report.validation_duplicates == 60
    assert report.leakage == 0
    assert any("repeat another" in warning for warning in report.warnings)


def stream(count: int, *, size: int, seed: int = 0) -> list[EncodedDocuments]:
    digests = np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)
    parts = [digests[i : i + size] for i in range(0, count, size)]
    return [EncodedDocuments(np.arange(len(p) * 2, dtype=np.uint32), np.ones(len(p) * 2, dtype=np.int64), np.full(len(p), 2), p) for p in parts]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("count", [2, 3, 10, 400])
@pytest.mark.parametrize("fraction", [1e-9, 0.01, 0.5, 0.999999999])
def test_at_least_one_document_is_held_out_and_never_all(count: int, size: int, fraction: float) -> None:
    for seed in range(8):
        divider = HeldOut(fraction, seed=seed)
        sides: tuple[list[int], list[int]] = ([], [])
        for documents in stream(count, size=size, seed=seed):
            for held, part in divider.divide(documents):
                sides[held].extend(part.digests.tolist())
        for held, part in divider.finish():
            sides[held].extend(part.digests.tolist())
        assert len(sides[0]) + len(sides[1]) == count
        assert min(map(len, sides)) >= 1
        expected = {int(d) for s in stream(count, size=count, seed=seed) for d in s.digests[held_out.mix(s.digests ^ divider._seed) < divider._threshold]}
        if 0 < len(expected) < count:
            assert set(sides[1]) == expected


def test_the_fraction_is_kept_and_the_seed_matters() -> None:
    chosen = []
    for seed in (0, 1):
        divider = HeldOut(0.1, seed=seed)
        parts = [part for documents in stream(10_000, size=100) for held, part in divider.divide(documents) if held]
        chosen.append({int(digest) for part in parts for digest in part.digests})
        assert abs(len(chosen[-1]) - 1000) < 4 * 30
    assert len(chosen[0] & chosen[1]) < 200


@pytest.mark.parametrize(("small", "expected"), [(10**9, "5.00%"), (1000, "1.00%")])
def test_more_of_a_small_text_is_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int, expected: str) -> None:
    monkeypatch.setattr("bertwright.data.prepare.SMALL", small)
    report, _ = run(corpus(tmp_path, documents=200), tmp_path / "out")
    assert report.held_out == f"{expected} by a hash of the text"
    assert (report.validation_documents >= 5) == (expected == "5.00%")


def test_a_single_document_is_cut_inside_and_zero_holds_out_nothing(tmp_path: Path) -> None:
    path = corpus(tmp_path, documents=30)
    report, shards = run(path, tmp_path / "one", documents="file", validation_fraction=0.1)
    assert (report.documents, report.validation_documents, report.held_out) == (1, 1, "the end of the only document")
    total = report.sentences + report.validation_sentences
    assert report.validation_sentences == round(total * 0.1)
    assert shards.train.num_sentences == report.sentences
    report, shards = run(path, tmp_path / "none", validation_fraction=0)
    assert shards.validation.num_tokens == 0
    assert any("nothing is held out" in warning for warning in report.warnings)


def test_progress_reaches_its_total(tmp_path: Path) -> None:
    seen: list[Progress] = []
    prepare([str(corpus(tmp_path))], out=tmp_path / "out", progress=seen.append)
    assert [stage for i, stage in enumerate(p.stage for p in seen) if i == 0 or seen[i - 1].stage != stage] == ["tokenizer", "encoding", "report"]
    assert all(progress.done <= progress.total for progress in seen)


def test_an_error_while_encoding_is_raised_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(encoding.Encoder, "encode", fail)
    with pytest.raises(ZeroDivisionError):
        run(corpus(tmp_path), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.txt"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_stopped_it_leaves_nothing_that_looks_finished(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "big.txt").write_text("\n\n".join(corpus(tmp_path, seed=seed).read_text() for seed in range(3)) * 300)
    command = [sys.executable, "-m", "bertwright", "prepare", str(tmp_path / "big.txt"), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob(".out.incomplete-*/train/tokens.bin")):
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), said
    assert not (tmp_path / "out").exists()
    if number != signal.SIGKILL:
        assert "nothing was written" in said
        assert not list(tmp_path.glob(".out*"))
    with pytest.raises(InputError):
        TokenShards.open(tmp_path / "out")
    run(corpus(tmp_path), tmp_path / "out")
    assert not list(tmp_path.glob(".out*"))


def test_finished_shards_are_refused_before_any_work(tmp_path: Path) -> None:
    path = corpus(tmp_path)
    run(path, tmp_path / "out")
    with pytest.raises(InputError, match="--overwrite"):
        prepare(["nothing/there"], out=tmp_path / "out")
    assert run(path, tmp_path / "out", overwrite=True, tokenizer_type="bpe")[1].info["options"]["tokenizer_type"] == "bpe"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_fraction": 1.0}, "validation_fraction is 1.0: it must lie in"),
        ({"documents": "page"}, "documents is 'page': take one of blank_line, line, file, heading"),
        ({"tokenizer": "x", "lowercase": True}, "lowercase is for training a tokenizer"),
        ({"max_seq_length": 2}, "max_seq_length is 2: it must be at least 8"),
        ({"unknown_marker": " "}, "unknown_marker is blank"),
    ],
)
def test_wrong_settings_are_named(options: dict[str, Any], message: str) -> None:
    assert any(message in problem for problem in PrepareConfig(**options).problems())


def test_wikitext_with_bert_s_vocabulary(tmp_path: Path) -> None:
    if not (SHARED / "wikitext-2").exists():
        pytest.skip(f"{SHARED / 'wikitext-2'} is not here")
    options = {"tokenizer": str(SHARED / "vocab/bert_base_uncased/vocab.txt"), "unknown_marker": "<unk>", "overwrite": True}
    report, shards = run(SHARED / "wikitext-2/test.txt", tmp_path / "out", **options)
    assert report.documents + report.validation_documents == 60
    assert report.nsp_possible
    tokenizer = Tokenizer.load(shards.tokenizer_folder)
    assert (tokenizer.vocab_size, tokenizer.lowercase, shards.train.tokens.dtype) == (30522, True, np.uint16)
    assert report.unknown_rate > 0.02
    assert 15 < report.sentence_lengths["median"] < 40


@pytest.mark.parametrize("documents", [1, 30])
def test_whole_words_of_a_segmenter_are_marked_in_both_splits(documents: int, tmp_path: Path) -> None:
    pytest.importorskip("rjieba")
    pytest.importorskip("opencc")
    path = tmp_path / "chinese.txt"
    path.write_text("\n\n".join(["我们在北京大学读书。他喜欢图书馆！好 GPT 4 model"] * documents) + "\n", encoding="utf-8")
    report, shards = run(path, tmp_path / "out", segmenter="rjieba", min_frequency=1, validation_fraction=0.4)
    tokenizer = Tokenizer.load(shards.tokenizer_folder)
    found: set[str] = set()
    for split in (shards.train, shards.validation):
        begins = np.flatnonzero(split.word_starts)
        assert set(split.sentences[:-1]) <= set(begins), "a sentence begins inside a word"
        found |= {"".join(tokenizer.vocab[token].removeprefix("##") for token in word) for word in np.split(split.tokens, begins[1:])}
    assert found == {"我们", "在", "北京大学", "读书", "。", "他", "喜欢", "图书馆", "！", "好", "GPT", "4", "model"}
    assert report.words == int(shards.train.word_starts.sum())
    assert any(line.startswith("words") and "rjieba" in line for line in report.lines())
    assert not any("--segmenter" in note for note in report.notes)
    plain, unmarked = run(path, tmp_path / "plain", min_frequency=1, validation_fraction=0.4)
    assert any("--segmenter rjieba" in note for note in plain.notes)
    assert unmarked.train.tokens.tolist() == shards.train.tokens.tolist(), "the segmenter changes the tokens"


def test_a_segmenter_that_is_not_there_is_told_with_everything_else_that_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        prepare([str(tmp_path / "none.txt")], out=tmp_path / "out", config=PrepareConfig(segmenter="jieba", max_seq_length=2))
    assert len(caught.value.problems) == 3

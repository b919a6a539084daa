"""Words with tags: every scheme becomes BIO with the entities that the scheme has; what no scheme allows is refused or read as seqeval reads it, and said."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.examples import LabelledData
from bertwright.data.labelled.reading import read_labelled, read_splits
from bertwright.errors import InputError

# One text in each scheme: two entities of one type that touch, one of one word, one of three words.
WORDS = ["New", "York", "Paris", "and", "Anna", "met", "the", "Red", "Cross"]
BIO = ["B-LOC", "I-LOC", "B-LOC", "O", "B-PER", "O", "B-ORG", "I-ORG", "I-ORG"]
SCHEMES = {
    "BIO": BIO,
    "IOB1": ["I-LOC", "I-LOC", "B-LOC", "O", "I-PER", "O", "I-ORG", "I-ORG", "I-ORG"],
    "IOBES": ["B-LOC", "E-LOC", "S-LOC", "O", "S-PER", "O", "B-ORG", "I-ORG", "E-ORG"],
    "BMES": ["B-LOC", "E-LOC", "S-LOC", "O", "S-PER", "O", "B-ORG", "M-ORG", "E-ORG"],
    "BMEWO": ["B-LOC", "E-LOC", "W-LOC", "O", "W-PER", "O", "B-ORG", "M-ORG", "E-ORG"],
    "BILOU": ["B-LOC", "L-LOC", "U-LOC", "O", "U-PER", "O", "B-ORG", "I-ORG", "L-ORG"],
}


def conll(*sentences: tuple[list[str], list[str]], between: str = " ") -> str:
    return "\n".join("".join(f"{word}{between}{tag}\n" for word, tag in zip(words, tags, strict=True)) for words, tags in sentences)


def read(path: Path, **options: Any) -> LabelledData:
    return read_labelled(str(path), task="tag", config=DataConfig(**options))


def shuffled(tags: list[str]) -> list[tuple[list[str], list[str]]]:
    """Four sentences, so that some can be held out."""
    return [([*WORDS, f"x{number}"], [*tags, "O"]) for number in range(4)]


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("separator", ["-", "_"])
def test_every_scheme_becomes_bio(tmp_path: Path, name: str, separator: str) -> None:
    tags = [tag.replace("-", separator) for tag in SCHEMES[name]]
    (tmp_path / "a.txt").write_text(conll(*shuffled(tags)))
    splits = read_splits(str(tmp_path / "a.txt"), DataConfig())
    assert (splits.train.task, splits.train.scheme) == ("tag", name)
    assert splits.train.labels == ("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER")
    assert all(example.tags == (*BIO, "O") for example in [*splits.train.examples, *splits.validation.examples])
    assert any(f"the tags are {name}" in line for line in splits.said)


@pytest.mark.parametrize("name", ["BIO", "IOB1", "IOBES", "BILOU"])
def test_entities_are_those_that_seqeval_finds(tmp_path: Path, name: str) -> None:
    seqeval = pytest.importorskip("seqeval.scheme")
    ours = {"BIO": seqeval.IOB2, "IOB1": seqeval.IOB1, "IOBES": seqeval.IOBES, "BILOU": seqeval.BILOU}[name]
    (tmp_path / "a.txt").write_text(conll(*shuffled(SCHEMES[name])))
    found = [entity.to_tuple()[1:] for entity in seqeval.Entities([list(read(tmp_path / "a.txt").examples[0].tags)], seqeval.IOB2).entities[0]]
    assert found == [entity.to_tuple()[1:] for entity in seqeval.Entities([SCHEMES[name]], ours).entities[0]]


def test_rows_of_tokens_and_tags(tmp_path: Path) -> None:
    rows = [{"id": number, "tokens": [*WORDS, str(number)], "ner_tags": [*BIO, "O"]} for number in range(4)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    splits = read_splits(str(tmp_path / "a.jsonl"), DataConfig())
    assert (splits.train.task, splits.train.columns) == ("tag", {"text": "tokens", "label": "ner_tags"})
    assert splits.train.examples[0].tags == (*BIO, "O")


def test_numbers_for_tags_take_the_names_that_the_user_or_the_data_set_gives(tmp_path: Path) -> None:
    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    rows = [{"tokens": ["Anna", "Bell", "saw", "Rome", str(number)], "ner_tags": [1, 2, 0, 3, 0]} for number in range(4)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    named = read(tmp_path / "a.jsonl", label_names=",".join(names))
    assert (named.labels, named.examples[0].tags) == (tuple(names), ("B-PER", "I-PER", "O", "B-LOC", "O"))
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(datasets.ClassLabel(names=names))})
    datasets.Dataset.from_list(rows, features=features).save_to_disk(str(tmp_path / "set"))
    from_set = read(tmp_path / "set")
    assert (from_set.labels, from_set.examples[0].tags) == (named.labels, named.examples[0].tags)


def test_conll_files_with_documents_comments_columns_and_windows_line_ends(tmp_path: Path) -> None:
    first = "-DOCSTART- -X- -X- O\n\n# text 1\nAnna NNP I-NP B-PER\nsaw VBD I-VP O\n\n\n# sent_id = 2\nRome NNP I-NP B-LOC\n. . O O\n\n"
    text = first + "-DOCSTART- -X- -X- O\n\n# NN I-NP O\nx NN I-NP O"
    (tmp_path / "a.conll").write_bytes(text.replace("\n", "\r\n").encode())
    data = read(tmp_path / "a.conll")
    assert [(example.words, example.tags) for example in data.examples] == [
        (("Anna", "saw"), ("B-PER", "O")),
        (("Rome", "."), ("B-LOC", "O")),
        (("#", "x"), ("O", "O")),
    ]
    assert [example.place.number for example in data.examples] == [4, 9, 14]
    chunks = read(tmp_path / "a.conll", label_column="2")
    assert chunks.examples[0].tags == ("B-NP", "B-VP")


def test_tabs_keep_words_with_spaces_whole(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("New York\tB-LOC\nis\tO\n\nin\tO\nthe U.S.\tB-LOC\n\n")
    data = read(tmp_path / "a.tsv")
    assert [example.words for example in data.examples] == [("New York", "is"), ("in", "the U.S.")]


def test_tags_without_a_scheme_count_for_themselves(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(conll(*[(["the", "cat", "sat", str(number)], ["DT", "NN", "VB", "CD"]) for number in range(3)]))
    data = read(tmp_path / "a.txt")
    assert (data.scheme, data.labels, data.examples[0].tags) == ("plain", ("CD", "DT", "NN", "VB"), ("DT", "NN", "VB", "CD"))


SLIPS: dict[str, tuple[list[str], list[str], str]] = {
    "I- after O in BIO": (["O", "I-A", "I-A", "B-A"], ["O", "B-A", "I-A", "B-A"], r"I- without a B- before it: 1 in 82 entities \(the first at line \d+\)"),
    "I- of another type in BIO": (["B-A", "I-B", "O", "O"], ["B-A", "B-B", "O", "O"], r"I- without a B- before it: 1 in 82"),
    "E- alone in IOBES": (["O", "E-A", "O", "O"], ["O", "B-A", "O", "O"], r"tags out of place: 1 in 81 entities"),
    "B- left open in IOBES": (["B-A", "O", "S-A", "O"], ["B-A", "O", "B-A", "O"], r"tags out of place: 1 in 82 entities"),
    "B- left open at the end": (["O", "O", "O", "B-A"], ["O", "O", "O", "B-A"], r"tags out of place: 1 in 81 entities"),
    "I- after E- in IOBES": (["B-A", "E-A", "I-A", "E-A"], ["B-A", "I-A", "B-A", "I-A"], r"tags out of place: 1 in 82 entities"),
}


@pytest.mark.parametrize("case", SLIPS)
def test_slips_are_read_as_seqeval_reads_them_and_said(tmp_path: Path, case: str) -> None:
    tags, expected, message = SLIPS[case]
    good = ["B-A", "E-A", "O", "S-A"] if "IOBES" in case or "open" in case else ["B-A", "I-A", "O", "B-A"]
    sentences = [([f"w{number}", "x", "y", "z"], good) for number in range(40)]
    (tmp_path / "a.txt").write_text(conll((["a", "b", "c", "d"], tags), *sentences))
    splits = read_splits(str(tmp_path / "a.txt"), DataConfig())
    read_as = next(example.tags for example in [*splits.train.examples, *splits.validation.examples] if example.words[0] == "a")
    assert list(read_as) == expected
    assert any(re.search(message, line) for line in splits.said), splits.said


REFUSED: dict[str, tuple[str, str]] = {
    "BIO and BMES": (
        conll(*shuffled(BIO), *shuffled(SCHEMES["BMES"])),
        r"tags of several schemes are mixed: B-LOC \(line 1\), E-LOC \(line \d+\), I-LOC .*M-ORG",
    ),
    "IOBES and BILOU": (conll(*shuffled(SCHEMES["IOBES"]), *shuffled(SCHEMES["BILOU"])), r"tags of several schemes are mixed"),
    "BIO and IOBES": (
        conll(*shuffled(BIO), *shuffled(SCHEMES["IOBES"])),
        r"tags that stand where IOBES does not allow them: .*sentences of another scheme are mixed in",
    ),
    "with and without prefix": (conll(*shuffled(BIO), (["Bob"], ["PER"])), r"tags with and without a prefix are mixed \(B-LOC, line 1; PER, line \d+\)"),
    "another number of columns": (conll(*shuffled(BIO)) + "\nword\n", r"1 row with 1 cell in place of 2 \(line \d+\)"),
    "only O": (conll(*[([f"w{number}", "x"], ["O", "O"]) for number in range(4)]), r"every word has the tag O"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    text, message = REFUSED[case]
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_splits(str(tmp_path / "a.txt"), DataConfig())


def test_rows_whose_tags_are_not_as_many_as_their_words(tmp_path: Path) -> None:
    rows = [{"tokens": ["a", "b"], "tags": ["B-X", "O"]}, {"tokens": ["a", "b"], "tags": ["B-X"]}, {"tokens": [], "tags": []}, {"tokens": ["a", "b"]}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError) as caught:
        read(tmp_path / "a.jsonl")
    assert [problem.partition(" (")[0].partition(": ")[2] for problem in caught.value.problems] == [
        "1 row with another number of tags than words",
        "1 row without words",
        "1 row without tags",
    ]
    assert len(read(tmp_path / "a.jsonl", drop_bad_rows=True).examples) == 1


def test_a_type_that_training_never_saw_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(conll(*shuffled(BIO)))
    (tmp_path / "b.txt").write_text(conll((["x", "y", "z"], ["B-TIME", "I-TIME", "O"]), (WORDS, BIO)))
    with pytest.raises(InputError) as caught:
        read_splits(str(tmp_path / "a.txt"), DataConfig(validation=str(tmp_path / "b.txt")))
    assert len(caught.value.problems) == 1
    assert "label 'TIME' (1 row: line 1) was never seen in training, which had LOC, ORG, PER" in caught.value.problems[0]


def test_a_later_file_in_another_scheme_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(conll(*shuffled(BIO)))
    (tmp_path / "b.txt").write_text(conll(*shuffled(SCHEMES["BMES"])))
    splits = read_splits(str(tmp_path / "a.txt"), DataConfig(validation=str(tmp_path / "b.txt")))
    assert splits.validation.examples[0].tags == (*BIO, "O")

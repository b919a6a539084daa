"""How text is divided into documents and sentences, and how the division is guessed."""

from pathlib import Path

import pytest

from bertwright.data.cleaning import Tally
from bertwright.data.documents import Reading, guess_division, read_documents, rejoin_numbers, unwrap
from bertwright.data.prepare_config import Division
from bertwright.data.sources import find_sources

SHARED = Path(__file__).parents[2] / "../shared/data"
WIKI = (
    " \n = First Article = \n \n It begins . It goes on with 0 @.@ 5 m of text . \n \n = = History = = \n \n Long ago = no heading = \n \n"
    " = Second Article = \n \n The second . \n"
)


def divided(folder: Path, text: str, reading: Reading) -> list[tuple[str, ...]]:
    (folder / "a.txt").write_text(text)
    (source,) = find_sources([str(folder / "a.txt")], spool=folder).files
    return [document.sentences for document in read_documents(source, reading, Tally())]


@pytest.mark.parametrize(
    ("documents", "sentences", "expected"),
    [
        ("blank_line", "auto", [("Aa bb. ", "Cc dd.", "Ee ff."), ("Gg hh.",)]),
        ("blank_line", "line", [("Aa bb. Cc dd.", "Ee ff."), ("Gg hh.",)]),
        ("line", "auto", [("Aa bb.", "Cc dd."), ("Ee ff.",), ("Gg hh.",)]),
        ("line", "line", [("Aa bb. Cc dd.",), ("Ee ff.",), ("Gg hh.",)]),
        ("file", "auto", [("Aa bb.", "Cc dd.", "Ee ff.", "Gg hh.")]),
        ("file", "line", [("Aa bb. Cc dd.", "Ee ff.", "Gg hh.")]),
        ("heading", "line", [("Aa bb. Cc dd.", "Ee ff.", "Gg hh.")]),
    ],
)
def test_each_division(tmp_path: Path, documents: Division, sentences: str, expected: list[tuple[str, ...]]) -> None:
    found = divided(tmp_path, "\n\nAa bb. Cc dd.\nEe ff.\n \n\nGg hh.\n\n", Reading(documents, sentences))  # type: ignore[arg-type]
    assert found == [tuple(sentence.strip() for sentence in document) for document in expected]


def test_only_top_level_headings_begin_a_document(tmp_path: Path) -> None:
    first, second = divided(tmp_path, WIKI, Reading("heading"))
    assert first == ("= First Article =", "It begins .", "It goes on with 0 @.@ 5 m of text .", "= = History = =", "Long ago = no heading =")
    assert second == ("= Second Article =", "The second .")


def test_numbers_of_wikitext_stay_whole() -> None:
    assert rejoin_numbers(["it is 0 @.", "@ 7 – 2 @.", "@ 2 kg .", "Next"]) == ["it is 0 @.@ 7 – 2 @.@ 2 kg .", "Next"]


def test_lines_broken_to_fit_a_page_are_joined() -> None:
    page = ["The quick brown fox jumps over", "the lazy dog, which sleeps in", "the sun.", "A new line that was meant."]
    assert unwrap(page) == ["The quick brown fox jumps over the lazy dog, which sleeps in the sun.", "A new line that was meant."]
    assert unwrap(["x" * 300, "short", "lines"]) == ["x" * 300, "short", "lines"]
    assert unwrap(["这是一个很长的句子没有", "结束。"]) == ["这是一个很长的句子没有结束。"]


GUESSES = {
    "blank_line": "One.\nTwo.\n\nThree.\nFour.\n",
    "line": "One text here\nAnother text here\nA third one\n",
    "heading": WIKI,
    "file": "A single line of text",
}


@pytest.mark.parametrize("division", GUESSES)
def test_guesses(tmp_path: Path, division: str) -> None:
    (tmp_path / "a.txt").write_text(GUESSES[division])
    assert guess_division(find_sources([str(tmp_path)], spool=tmp_path), sentences="auto", errors="strict")[0] == division


def test_many_files_of_prose_are_documents_and_many_of_sentences_are_not(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.txt").write_text("A paragraph on a line, as books have it.\n\n" * 9)
    assert guess_division(find_sources([str(tmp_path)], spool=tmp_path), sentences="auto", errors="strict")[0] == "file"
    for number in range(9):
        (tmp_path / f"{number}.txt").write_text("A sentence on a line.\nAnother one.\nA third.\n\n" * 9)
    assert guess_division(find_sources([str(tmp_path)], spool=tmp_path), sentences="auto", errors="strict")[0] == "blank_line"


REAL = {
    "wikitext-2/train.txt": ("heading", 600),
    "books-en": ("file", 72),
    "peps": ("file", 318),
    "sample": ("blank_line", 3),
    "cluecorpussmall": ("blank_line", 2500),
    "shiji": ("blank_line", None),
}


@pytest.mark.parametrize("name", REAL)
def test_guesses_on_real_text(tmp_path: Path, name: str) -> None:
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is not here")
    sources = find_sources([str(SHARED / name)], spool=tmp_path)
    division, count = REAL[name]
    assert guess_division(sources, sentences="auto", errors="strict")[0] == division
    if name == "wikitext-2/train.txt":
        documents = list(read_documents(sources.files[0], Reading("heading", "line"), Tally()))
        assert len(documents) == count

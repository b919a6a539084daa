"""The demo's text: prose from Python's own files, read without importing anything."""

from pathlib import Path

import pytest

from bertwright.cli import demo_corpus
from bertwright.cli.demo_corpus import write_corpus

MODULE = '''"""Reads :class:`parcels` from a *queue*, with ``care``.

    >>> example(1)
    not prose

Takes these steps:

- Opens the queue that the caller has given.
- Closes it when the last parcel is read.

====== =====
column  two
====== =====
"""
raise SystemExit("this module must never be imported")

def read(*args, **options):
    """Return the parcel for *args and **options as a list.

    The first line of a paragraph
    goes on in the next one.
    """
    def inner():
        "Do the inner work here."

class Queue:
    """A queue of parcels is kept here."""
    def close(self):
        """Return the parcel for *args and **options as a list."""
'''


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    library = tmp_path / "library"
    (library / "test").mkdir(parents=True)
    (library / "parcels.py").write_text(MODULE, encoding="utf-8")
    (library / "broken.py").write_text('"""Never seen by anyone."""\ndef (', encoding="utf-8")
    (library / "test" / "test_parcels.py").write_text('"""Tests are left out here."""\n', encoding="utf-8")
    (library / "pydoc_data").mkdir()
    (library / "pydoc_data" / "topics.py").write_text("topics = {'raise': 'The raise statement\\n\\nRaises an error in the program.'}\n", encoding="utf-8")
    monkeypatch.setattr(demo_corpus.sysconfig, "get_path", lambda name: str(library))
    return library


def test_docstrings_become_paragraphs_in_the_order_of_the_source(library: Path, tmp_path: Path) -> None:
    size = write_corpus(tmp_path / "corpus.txt")
    topic, module = (tmp_path / "corpus.txt").read_text(encoding="utf-8").strip().split("\n\n")
    assert topic.splitlines() == ["The raise statement", "Raises an error in the program."]
    assert module.splitlines() == [
        "Reads parcels from a queue, with care.",
        "Takes these steps:",
        "Opens the queue that the caller has given.",
        "Closes it when the last parcel is read.",
        "Return the parcel for *args and **options as a list.",
        "The first line of a paragraph goes on in the next one.",
        "Do the inner work here.",
        "A queue of parcels is kept here.",
    ]
    assert size.documents == 2
    assert size.bytes == (tmp_path / "corpus.txt").stat().st_size


def test_this_pythons_own_documentation_is_megabytes_of_text(tmp_path: Path) -> None:
    size = write_corpus(tmp_path / "corpus.txt")
    assert size.words > 150_000
    assert size.documents > 300
    text = (tmp_path / "corpus.txt").read_text(encoding="utf-8")
    assert text.isascii()

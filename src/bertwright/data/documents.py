"""Text to documents, each a tuple of sentences; and the guess of how a text is divided into documents."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import NamedTuple

from bertwright.data.cleaning import Tally
from bertwright.data.prepare_config import Division, Sentences
from bertwright.data.readers import lines, text_chunks
from bertwright.data.sources import TEXT, Source, Sources
from bertwright.data.tables import row_texts
from bertwright.text.sentences import guess_language, split_sentences

LONGEST_DOCUMENT = 1 << 22  # characters: a longer document is cut at a paragraph and counted, so that memory stays bounded
PARAGRAPH_LINE = 200  # characters: a line this long was never broken to fit a page, it is a paragraph
MANY_FILES = 8  # with so many files of prose, a file is taken for a document
GUESSED_FROM = 2000  # lines of each of the first files
GUESSED_CHUNKS = 16  # of the reader, where lines have no end

# WikiText's top-level heading; its sub-headings have more of the signs: " = = History = = ".
_heading = re.compile(r"\s*= (?!=).*(?<!=) =\s*")


class Document(NamedTuple):
    """One document: its sentences, none of them blank, and the name of the file it comes from."""

    sentences: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Reading:
    """How text becomes documents. `documents` applies to text files; a row of a table or of JSON is always one document."""

    documents: Division
    sentences: Sentences = "auto"
    text_column: str = "text"
    encoding_errors: str = "strict"


def read_documents(source: Source, reading: Reading, tally: Tally) -> Iterator[Document]:
    """The documents of one source, in order; those without any text are left out.

    Raises InputError as the readers do. A document of more than `LONGEST_DOCUMENT` characters comes as several, counted in `tally.long_texts_cut`.
    """
    to_sentences = line_sentences if reading.sentences == "line" else split_block
    for blocks in _documents(source, reading, tally):
        sentences: list[str] = []
        for block in blocks:
            sentences += to_sentences(block)
        if sentences:
            yield Document(tuple(sentences), source.name)


def _documents(source: Source, reading: Reading, tally: Tally) -> Iterator[list[list[str]]]:
    """Documents as lists of blocks of lines, no longer than the limit."""
    if source.format == TEXT:
        blocks = _marked_blocks(lines(text_chunks(source, tally, errors=reading.encoding_errors), tally), reading.documents)
    else:
        texts = row_texts(source, tally, column=reading.text_column, errors=reading.encoding_errors)
        blocks = (marked for text in texts for marked in _marked_blocks(text.split("\n"), "file"))
    document: list[list[str]] = []
    size = 0
    for begins, block in blocks:
        if document and (begins or size > LONGEST_DOCUMENT):
            yield document
            tally.long_texts_cut += not begins
            document, size = [], 0
        document.append(block)
        size += sum(map(len, block))
    if document:
        yield document


def _marked_blocks(text_lines: Iterable[str], division: Division) -> Iterator[tuple[bool, list[str]]]:
    """(begins a document, block): blocks are runs of lines that are not blank."""
    if division == "line":
        yield from ((True, [line]) for line in text_lines if line and not line.isspace())
        return
    block: list[str] = []
    size = 0
    begins = True
    for line in text_lines:
        if line and not line.isspace():
            block.append(line)
            size += len(line)
            if size <= LONGEST_DOCUMENT:
                continue
        if block:
            heading = division == "heading" and len(block) == 1 and _heading.fullmatch(block[0]) is not None
            yield begins or heading, block
            begins = division == "blank_line" and not (line and not line.isspace())
            block, size = [], 0
    if block:
        heading = division == "heading" and len(block) == 1 and _heading.fullmatch(block[0]) is not None
        yield begins or heading, block


def line_sentences(block: list[str]) -> list[str]:
    """Each line a sentence, as BERT's own tools read text."""
    return [line.strip() for line in block]


def split_block(block: list[str]) -> list[str]:
    """The sentences of a block of lines: lines that were broken to fit a page are joined first."""
    sentences: list[str] = []
    for paragraph in unwrap(block):
        pieces = split_sentences(paragraph)
        sentences += rejoin_numbers(pieces) if "@" in paragraph else pieces
    return sentences


def unwrap(block: list[str]) -> list[str]:
    """Paragraphs of a block of lines. A line goes on in the next when the next one's first word would not have fitted on it.

    The width of the page is taken from the longest line; a block with a line of `PARAGRAPH_LINE` characters or more was never broken.
    """
    if len(block) == 1:
        return block
    width = max(map(len, block))
    if width >= PARAGRAPH_LINE:
        return block
    han = guess_language("".join(block)) != "en"
    paragraphs = [block[0].strip()]
    for before, line in pairwise(block):
        text = line.strip()
        first = 1 if han else len(text.split(" ", 1)[0])
        if len(before.rstrip()) + 1 + first > width:
            paragraphs[-1] += text if han else " " + text
        else:
            paragraphs.append(text)
    return paragraphs


def rejoin_numbers(sentences: list[str]) -> list[str]:
    """Undoes the cut inside WikiText's numbers ("0 @.@ 7"), whose point looks like the end of a sentence."""
    joined: list[str] = []
    for sentence in sentences:
        if joined and sentence.startswith("@ ") and joined[-1].endswith(" @."):
            joined[-1] += sentence
        else:
            joined.append(sentence)
    return joined


def guess_division(sources: Sources, *, sentences: str, errors: str) -> tuple[Division, str]:
    """How the text files among the sources are divided into documents, and the reason in words for the user."""
    texts = [source for source in sources.files if source.format == TEXT]
    if not texts:
        return "file", "one document for each row"
    found: Counter[str] = Counter()
    for source in texts[:MANY_FILES]:
        beginning = islice(text_chunks(source, Tally(), errors=errors), GUESSED_CHUNKS)
        found.update(_signs(islice(lines(beginning, Tally()), GUESSED_FROM)))
    if found["headings"] >= 2 and found["headings"] * 200 >= found["lines"]:
        return "heading", "a document begins at each ` = Title = ` line"
    per_line = found["lines"] >= 2 * found["blocks"] and found["one_sentence"] * 3 >= found["lines"] * 2
    if len(texts) >= MANY_FILES and not (per_line and found["blocks"] > len(texts)):
        return "file", f"each of the {len(texts)} text files is one document"
    if found["blocks"] > min(len(texts), MANY_FILES):
        return "blank_line", "a blank line ends a document"
    if sentences == "line" or found["lines"] <= min(len(texts), MANY_FILES):
        return "file", "each text file is one document"
    return "line", "each line is one document, for there are no blank lines"


def _signs(text_lines: Iterable[str]) -> Iterator[str]:
    """What a text shows of its division, one word for each occurrence."""
    blank = True
    for line in text_lines:
        if not line or line.isspace():
            blank = True
            continue
        yield "lines"
        if blank:
            yield "blocks"
            if _heading.fullmatch(line):
                yield "headings"
        if line.rstrip().endswith((".", "!", "?", "。", "！", "？", '"', "”", "」")):
            yield "one_sentence"
        blank = False

"""CoNLL columns: a word and its tags on a line, a blank line between sentences."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from bertwright.data.cleaning import Tally
from bertwright.data.labelled.schemes import OUTSIDE, split_tag
from bertwright.data.labelled.table import Row, Table, WrongCells
from bertwright.data.places import Place
from bertwright.data.readers import lines, text_chunks
from bertwright.data.sources import TEXT, Source
from bertwright.errors import InputError

DOCUMENT = "-DOCSTART-"
LOOKED_AT = 2000  # lines
MOST_COLUMNS = 12
LONGEST_CELL = 100  # characters of a tag
COMMENT = re.compile(r"#\s")


def looks_like_conll(source: Source) -> bool:
    """Whether the first lines are words in columns. In a .tsv, where each line could be a row, blank lines and tags with prefixes must tell."""
    seen = list(islice(_lines(source), LOOKED_AT))
    filled = [line for line in seen if line.strip() and not line.startswith(DOCUMENT) and not COMMENT.match(line)]
    if not filled:
        return any(line.startswith(DOCUMENT) for line in seen)
    width = _width(filled)
    rows = [cells for line in filled if len(cells := _cells(line, width[1])) == width[0]]
    if not 2 <= width[0] <= MOST_COLUMNS or len(rows) * 10 < len(filled) * 8:
        return False
    last = [cells[-1] for cells in rows]
    tagged = sum(tag == OUTSIDE or split_tag(tag) is not None for tag in last)
    if source.format != TEXT:
        return tagged == len(last) and any(not line.strip() for line in seen) and len(set(last)) > 1
    return all(len(tag) <= LONGEST_CELL for tag in last) and (
        tagged * 2 > len(last) or (any(not line.strip() for line in seen) and len(set(last)) * 2 <= len(last))
    )


def conll_table(source: Source) -> Table:
    """Sentences as rows of "tokens" and one column of tags for each further one of the file, by its number; the last is called "tags".

    A row's place is the line of its first word. -DOCSTART- lines are left out, and comments (# ...) at the beginning of a sentence.
    """
    filled = [line for line in islice(_lines(source), LOOKED_AT) if line.strip() and not line.startswith(DOCUMENT) and not COMMENT.match(line)]
    if not filled:
        raise InputError(f"{source.name}: no words in it: give lines of a word and its tag")
    width, tabs = _width(filled)
    names = ("tokens", *(str(number) for number in range(1, width - 1)), "tags")
    return Table(name=source.name, kind="CoNLL columns", columns=names, rows=_sentences(source, names, tabs))


def _lines(source: Source) -> Iterator[str]:
    return lines(text_chunks(source, Tally(), errors="refuse", cleaned=False), Tally())


def _width(filled: list[str]) -> tuple[int, bool]:
    """How many columns there are, and whether tabs are between them."""
    tabs = sum("\t" in line for line in filled) * 2 > len(filled)
    return Counter(len(_cells(line, tabs)) for line in filled).most_common(1)[0][0], tabs


def _cells(line: str, tabs: bool) -> list[str]:
    return line.rstrip("\t ").split("\t") if tabs else line.split()


def _sentences(source: Source, names: tuple[str, ...], tabs: bool) -> Iterator[tuple[Place, Row]]:
    width = len(names)
    for first, sentence in _blocks(_lines(source)):
        rows = [_cells(line, tabs) for line in sentence]
        wrong = next((number for number, row in enumerate(rows) if len(row) != width), None)
        if wrong is not None:
            yield Place(source.name, "line", first + wrong), WrongCells(len(rows[wrong]), width)
        else:
            yield Place(source.name, "line", first), dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def _blocks(all_lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """(line of the first word, the lines of a sentence)."""
    block: list[str] = []
    first = 0
    for number, line in enumerate(all_lines, start=1):
        if not line or line.isspace() or line.startswith(DOCUMENT):
            if block:
                yield first, block
                block = []
            continue
        if not block:
            if COMMENT.match(line) and "\t" not in line and split_tag(line.split()[-1]) is None and line.split()[-1] != OUTSIDE:
                continue
            first = number
        block.append(line)
    if block:
        yield first, block

"""The demo's corpus: the documentation that every Python carries, as plain text. Everything is read with `ast`; nothing is imported."""

import ast
import inspect
import re
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SKIPPED = frozenset({"test", "tests", "testing", "site-packages", "dist-packages", "_vendor", "_bundled", "__pycache__", "turtledemo", "node_modules"})
LARGEST = 2_000_000  # bytes: larger sources are generated tables
FEWEST_WORDS = 3
LETTERS = 0.86  # share of letters and spaces below which a paragraph is code, a table or a drawing

_MARKUP = (
    (re.compile(r":[a-z:]+:`~?([^`<]*?)\s*(?:<[^`]*>)?`"), r"\1"),  # :class:`str` and :ref:`text <target>`
    (re.compile(r"``([^`]*)``|`([^`]+)`_?_?"), r"\1\2"),
    (re.compile(r"(?<![\w*])(\*\*?)(?=\w)([^*\n]*?\w)\1(?![\w*])"), r"\2"),  # *emphasis*, but neither *args nor **options
    (re.compile(r"\s+\[\d+\](?=\W|$)"), ""),  # a footnote's number
)
_LIST_ITEM = re.compile(r"^\s*(?:[-*+•]|\d+[.)]|\(?[a-z]\))\s+")
_STRUCTURE = re.compile(r"\.\. |[=\-~^*#+|_]{3,}|>>>|\.\.\. ")

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class CorpusSize:
    """What was written: documents, words and bytes."""

    documents: int
    words: int
    bytes: int


def write_corpus(path: Path, *, packages: bool = False) -> CorpusSize:
    """Writes one paragraph a line and a blank line between documents (a module or a help topic each).

    packages: the docstrings of the installed packages too, after the standard library's.
    """
    documents = words = 0
    seen: set[str] = set()
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for paragraphs in _documents(packages=packages):
            fresh = [paragraph for paragraph in dict.fromkeys(paragraphs) if paragraph not in seen]
            seen.update(fresh)
            if fresh:
                out.write("\n".join(fresh) + "\n\n")
                documents += 1
                words += sum(len(paragraph.split()) for paragraph in fresh)
    return CorpusSize(documents, words, path.stat().st_size)


def _documents(*, packages: bool) -> Iterator[list[str]]:
    library = Path(sysconfig.get_path("stdlib"))
    yield from _topics(library / "pydoc_data" / "topics.py")
    for source in _sources(library):
        yield _prose(_docstrings(source))
    if packages:
        for source in _sources(Path(sysconfig.get_path("purelib"))):
            yield _prose(_docstrings(source))


def _sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if not SKIPPED.intersection(path.relative_to(folder).parts) and path.stat().st_size <= LARGEST)


def _topics(source: Path) -> Iterator[list[str]]:
    """The texts behind `help("topics")`: a dict of strings in one assignment."""
    tree = _parse(source)
    for node in tree.body if tree else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            for value in node.value.values:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield _prose([value.value])


def _docstrings(source: Path) -> Iterator[str]:
    if tree := _parse(source):
        yield from _in_order(tree)


def _in_order(node: Documented) -> Iterator[str]:
    if text := ast.get_docstring(node, clean=False):
        yield text
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _in_order(child)


def _parse(source: Path) -> ast.Module | None:
    with warnings.catch_warnings():
        # Old sources hold escapes that newer Pythons warn of; their text is still right.
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source.read_bytes())
        except (SyntaxError, ValueError, OSError):
            return None


def _prose(texts: Iterable[str]) -> list[str]:
    """The paragraphs that read as sentences, each on one line, without markup."""
    return [paragraph for text in texts for block in _blocks(inspect.cleandoc(text)) if (paragraph := _paragraph(block))]


def _blocks(text: str) -> Iterator[list[str]]:
    """Paragraphs as lists of lines; every item of a list is one of its own."""
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        if not line.strip() or _LIST_ITEM.match(line):
            yield block
            block = []
        if line.strip():
            block.append(line)
    yield block


def _paragraph(lines: list[str]) -> str | None:
    if not lines or any(_STRUCTURE.match(line.strip()) for line in lines) or _ragged(lines):
        return None
    text = " ".join(line.strip() for line in [_LIST_ITEM.sub("", lines[0]), *lines[1:]])
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    text = " ".join(text.split())
    letters = sum(character.isalpha() or character == " " for character in text)
    if len(text.split()) < FEWEST_WORDS or letters < LETTERS * len(text) or "  " in text or not text.isascii():
        return None
    return text


def _ragged(lines: list[str]) -> bool:
    """Columns or code: gaps inside the lines, or an indentation that keeps changing."""
    gaps = sum("   " in line.strip() for line in lines)
    return gaps * 2 >= len(lines) or len({len(line) - len(line.lstrip()) for line in lines[1:]}) > 2

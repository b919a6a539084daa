"""The Chinese README says what the English one says: the same commands, options, files, links and parts, in the same order."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
FENCED = r"^```(\w*)\n(.*?)^```$"


def outside_blocks(text: str) -> str:
    """The prose: without fenced and indented blocks, and without the line that leads to the other language."""
    prose = re.sub(FENCED, "", text, flags=re.DOTALL | re.MULTILINE)
    return "\n".join(line for line in prose.split("\n") if not line.startswith("    ") and "README" not in line)


def test_its_commands_and_programs_are_the_same() -> None:
    blocks = [re.findall(FENCED, text, flags=re.DOTALL | re.MULTILINE) for text in (ENGLISH, CHINESE)]
    assert len(blocks[0]) >= 8
    assert blocks[1] == blocks[0]


def test_its_indented_commands_are_the_same() -> None:
    lines = [re.findall(r"^    \S.*$", text, flags=re.MULTILINE) for text in (ENGLISH, CHINESE)]
    assert lines[1] == lines[0]


@pytest.mark.parametrize(
    ("what", "pattern"),
    [("options, files and names in the text", r"`([^`]+)`"), ("links", r"\]\((?!README)([^)]+)\)"), ("numbers of a list", r"^(\d\. \*\*\w+\*\*)")],
)
def test_it_names_the_same(what: str, pattern: str) -> None:
    named = [sorted(re.findall(pattern, outside_blocks(text), flags=re.MULTILINE)) for text in (ENGLISH, CHINESE)]
    assert named[1] == named[0], what


def test_it_has_the_same_parts_and_rows() -> None:
    shapes = [re.findall(r"^(#+ |\| )", text, flags=re.MULTILINE) for text in (ENGLISH, CHINESE)]
    assert shapes[1] == shapes[0]


def test_it_is_in_chinese() -> None:
    letters = re.findall(r"[一-鿿]", outside_blocks(CHINESE))
    assert len(letters) > 1500


def test_each_leads_to_the_other() -> None:
    assert "](README.zh-CN.md)" in ENGLISH
    assert "](README.md)" in CHINESE

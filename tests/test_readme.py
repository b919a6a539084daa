"""The README's commands and Python, run as they stand but for the budget."""

import contextlib
import io
import re
import shlex
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from bertwright.__main__ import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
TINY = (
    (r"--max_minutes \d+", "--max_steps 2 --batch_size 4 --max_seq_length 32"),
    (r"--model bert-\w+", "--model bert-tiny"),
    (r'model="bert-\w+", max_minutes=\d+', 'model="bert-tiny", max_steps=2, batch_size=4, max_seq_length=32'),
)
LINES = [
    "The keeper of the lamp walks to the harbour. A ship comes in from the sea.",
    "He lights the lamp when the wind is strong. The sailors see the light.",
    "The ship is safe in the harbour. The town sleeps and the wind falls.",
    "A crane is flying over the river. A crane driver came and he just left.",
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def tiny(text: str) -> str:
    for pattern, replacement in TINY:
        text = re.sub(pattern, replacement, text)
    return text


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the README takes for granted: texts in notes/, texts.txt with masks, and the train.csv that it has saved."""
    (tmp_path / "notes").mkdir()
    for number in range(4):
        text = "\n\n".join(f"{LINES[(number + place) % 4]} {LINES[(number * place) % 4]}" for place in range(12))
        (tmp_path / "notes" / f"{number}.txt").write_text(text + "\n", encoding="utf-8")
    (tmp_path / "texts.txt").write_text("the [MASK] of the lamp\nhe [MASK] the ship\n", encoding="utf-8")
    (saved,) = blocks("csv")
    (tmp_path / "train.csv").write_text(saved, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_line(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One command as a shell would run it: the pipe, the redirection and the glob of the README."""
    line, _, target = line.partition(" > ")
    source, _, command = line.rpartition(" | ")
    if source:
        piped = Path(source.removeprefix("cat ")).read_bytes()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped)))
    words = [path for word in shlex.split(command) for path in (map(str, sorted(Path().glob(word))) if "*" in word else [word])]
    monkeypatch.setattr(sys, "argv", words)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main() == 0, line
    written = [Path(word) for option, word in pairwise(words) if option == "--out"]
    assert out.getvalue().strip() or all(path.is_file() for path in written), line
    if target:
        Path(target).write_text(out.getvalue(), encoding="utf-8")


def test_the_journey_of_the_readme_runs_as_typed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [tiny(line) for block in blocks("bash") for line in block.splitlines() if line.strip()]
    assert len(lines) >= 10
    for line in lines:
        run_line(line, monkeypatch)
    assert len((home / "filled.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_the_python_of_the_readme_runs(home: Path) -> None:
    code = [tiny(block) for block in blocks("python")]
    assert len(code) == 2
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        for block in code:
            exec(compile(block, "README.md", "exec"), names)
    assert len(out.getvalue().splitlines()) == 7


def test_the_readme_names_the_pinned_torch() -> None:
    pinned = re.search(r"^torch==.*$", (Path(__file__).parents[1] / "constraints.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert pinned is not None
    assert f"pip install {pinned[0]} --index-url https://download.pytorch.org/whl/cpu" in README


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)#]+)", README))
def test_every_link_of_the_readme_leads_somewhere(target: str) -> None:
    assert (Path(__file__).parents[1] / target).exists()

"""The pages about the code name what there is: files, and the layers that the tests hold."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("architecture.md", "add-a-task.md", "add-an-objective.md", "batch-flow.md")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_files_that_a_page_names_are_there(name: str) -> None:
    named = re.findall(r"`([\w/]+/[\w/]+\.py)`", page(name))
    assert named
    assert [path for path in named if not any((folder / path).is_file() for folder in (ROOT, ROOT / "src" / "bertwright"))] == []


@pytest.mark.parametrize("name", [path.name for path in sorted((ROOT / "docs").glob("*.md"))])
def test_links_between_pages_lead_somewhere(name: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", page(name)) if "://" not in link]
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_the_house_is_listed_whole_and_the_layers_are_those_of_the_tests() -> None:
    spec = importlib.util.spec_from_file_location("layers", Path(__file__).parent / "test_layers.py")
    assert spec is not None
    assert spec.loader is not None
    layers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(layers)
    text = page("architecture.md")
    expected = [", ".join(parts) for parts in layers.LAYERS if "__init__" not in parts]
    assert "\n".join(f"    {line}" for line in expected) in text
    parts = {path.name for path in (ROOT / "src" / "bertwright").iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert parts == set(re.findall(r"^      (\w+)/ ", text, flags=re.MULTILINE))


def test_a_task_is_told_by_the_names_that_its_modules_have() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "bertwright").rglob("*.py"))
    for name in ("TaskName", "TASKS", "MAKERS", "HeadKind", "OPTIONS", "_build", "task_of", "to_json", "decomposes"):
        assert f"`{name}`" in page("add-a-task.md")
        assert re.search(rf"\b{name}\b", source), name

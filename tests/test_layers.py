"""The house's order: each layer imports from lower ones only, in the open, without circles; files stay short; the environment is read in two places."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "bertwright"
LAYERS = (
    ("errors", "readable"),
    ("architecture",),
    ("blocks", "text", "families"),
    ("models", "data"),
    ("checkpoints", "objectives", "metrics"),
    ("tasks", "analysis"),
    ("inference", "evaluation"),
    ("training",),
    ("reports", "serving"),
    ("bench",),
    ("api",),
    ("cli",),
    ("__init__", "__main__"),
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
# Bodies that are loaded when a command or a name of the public interface is first asked for.
LAZY = ("cli", "api", "__init__", "__main__")
MAX_LINES = 400
BANNED = {"utils", "util", "misc", "helper", "helpers", "manager"}
FILES = sorted(SOURCE.rglob("*.py"))


def part_of(module: str) -> str:
    """`bertwright.data.batch` -> `data`; the package itself -> `__init__`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def module_of(path: Path) -> str:
    parts = ("bertwright", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(node: ast.AST) -> list[str]:
    """The modules of this project that a statement imports, and the names taken from them, which may be modules too."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports hide what a module depends on"
        names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    else:
        return []
    return [name for name in names if name.split(".")[0] == "bertwright"]


def type_checking_only(tree: ast.Module) -> set[ast.AST]:
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")]
    return {inner for block in blocks for statement in block.body for inner in ast.walk(statement)}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def wrong_layers(path: Path, tree: ast.Module) -> list[str]:
    own = part_of(module_of(path))
    used = {part_of(name) for node in ast.walk(tree) for name in imported(node) if name != "bertwright"}
    return [f"{module_of(path)} imports {part}" for part in sorted(used) if part in LEVEL and part != own and LEVEL[part] >= LEVEL[own]]


def hidden_imports(tree: ast.Module) -> list[str]:
    """Imports of the project's own modules inside functions; a heavy or optional package may be imported where it is needed."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [ast.unparse(node) for function in functions for node in ast.walk(function) if imported(node)]


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Every module that can be reached from itself, with the way round."""
    found = []
    for start in graph:
        paths, seen = [[start]], set()
        while paths:
            path = paths.pop()
            for following in graph.get(path[-1], set()):
                if following == start:
                    found.append([*path, start])
                    paths = []
                    break
                if following not in seen:
                    seen.add(following)
                    paths.append([*path, following])
    return found


def environment_reads(tree: ast.Module) -> list[str]:
    attributes = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    taken = [
        f"{node.module}.{alias.name}" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module in ("os", "sys") for alias in node.names
    ]
    return [name for name in [*attributes, *taken] if name in ("os.environ", "os.getenv", "os.environb", "sys.argv")]


def test_every_part_of_the_package_has_a_layer() -> None:
    parts = {part_of(module_of(path)) for path in FILES}
    assert parts <= LEVEL.keys(), f"give {sorted(parts - LEVEL.keys())} a place in LAYERS"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_layer_imports_only_from_lower_ones(path: Path) -> None:
    assert wrong_layers(path, tree_of(path)) == []


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_no_import_hides_in_a_function(path: Path) -> None:
    if part_of(module_of(path)) not in LAZY:
        assert hidden_imports(tree_of(path)) == []


def test_no_module_is_reached_from_itself() -> None:
    modules = {module_of(path) for path in FILES}
    graph = {}
    for path in FILES:
        tree = tree_of(path)
        spared = type_checking_only(tree) | {
            node for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for node in ast.walk(function) if isinstance(node, ast.stmt)
        }
        # `from bertwright.x import y` inside x/__init__.py is no circle: y alone is loaded.
        graph[module_of(path)] = {
            name for node in ast.walk(tree) if node not in spared for name in imported(node) if name in modules and name != module_of(path)
        } - {module_of(path).rpartition(".")[0]}
    assert circles(graph) == []


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_files_stay_short_and_are_named_for_what_they_hold(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
    assert not BANNED & {path.stem, *path.relative_to(SOURCE).parts}


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_only_the_command_line_and_the_devices_read_the_environment(path: Path) -> None:
    module = module_of(path)
    if part_of(module) not in ("cli", "__main__") and module != "bertwright.training.devices":
        assert environment_reads(tree_of(path)) == []


@pytest.mark.parametrize("module", ["bertwright", "bertwright.errors", "bertwright.architecture", "bertwright.families", "bertwright.cli.app"])
def test_light_modules_load_nothing_heavy(module: str) -> None:
    heavy = "{'torch', 'matplotlib', 'pyarrow', 'transformers', 'sentencex'}"
    run = subprocess.run([sys.executable, "-c", f"import {module}, sys; print(*({heavy} & sys.modules.keys()))"], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_the_checks_see_what_they_are_for() -> None:
    upward = ast.parse("from bertwright.training.loop import train")
    assert wrong_layers(SOURCE / "data" / "batch.py", upward)
    assert wrong_layers(SOURCE / "data" / "batch.py", ast.parse("import bertwright.models"))
    assert not wrong_layers(SOURCE / "data" / "batch.py", ast.parse("from bertwright.text import Tokenizer"))
    assert hidden_imports(ast.parse("def f():\n    from bertwright import cli"))
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert not circles({"a": {"b"}, "b": set()})
    assert environment_reads(ast.parse("import os\nos.environ['X']"))
    assert environment_reads(ast.parse("from os import environ"))

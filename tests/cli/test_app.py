"""The command line as a user meets it: help, mistakes, exit codes."""

import subprocess
import sys
from importlib import import_module

import pytest

from bertwright.__main__ import main
from bertwright.cli.app import COMMANDS, Command

HEAVY = ("torch", "numpy", "matplotlib", "pyarrow", "tokenizers", "transformers", "sentencex", "huggingface_hub")


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["bertwright", *words])
    code = main()
    out, err = capsys.readouterr()
    return code, out, err


def imported_by(*words: str) -> set[str]:
    program = f"import sys; sys.argv = {['bertwright', *words]!r}\nfrom bertwright.__main__ import main\nmain()\nprint('MODULES', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.rsplit("MODULES", 1)[1].split())


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("pretrain", "--help"), ("predict", "--help"), ("evaluate", "--help"), ("demo", "--help")])
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    assert not imported_by(*words) & set(HEAVY)


def test_importing_bertwright_costs_nothing() -> None:
    program = "import sys, bertwright, bertwright.errors, bertwright.architecture; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert not set(done.stdout.split()) & {*HEAVY, "cyclopts", "rich", "yaml"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_in_the_table_is_there_and_has_its_help(command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module, _, function = command.target.partition(":")
    assert callable(getattr(import_module(module), function))
    code, out, _ = call(monkeypatch, capsys, command.name, "--help")
    assert code == 0
    assert f"bertwright {command.name}" in out
    assert "--config" in out


def test_the_commands_stand_in_the_order_of_the_journey(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(monkeypatch, capsys, "--help")
    places = [out.index(f"│ {command.name} ") for command in COMMANDS]
    assert code == 0
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("pretrian",), "error: bertwright knows no 'pretrian': did you mean pretrain?"),
        (
            ("frobnicate",),
            "error: bertwright knows no 'frobnicate': there are demo, prepare, pretrain, finetune, evaluate, predict, report, push, summary, memory, plan, "
            "bench, tokenize",
        ),
        (("predict",), "error: bertwright predict needs CHECKPOINT: see bertwright predict --help"),
        (("predict", "run", "--topk", "3"), "error: Unknown option: --topk. Did you mean --top_k?"),
        (("predict", "run", "--top_k"), "error: --top_k needs a value: see bertwright predict --help"),
        (("predict", "run", "--top_k", "many"), 'error: Invalid value for --top_k: unable to convert "many" into int.'),
        (("pretrain", "shards"), "error: bertwright pretrain needs --out: see bertwright pretrain --help"),
        (
            ("pretrain", "a", "b", "--out", "c"),
            "error: bertwright pretrain has no use for 'b': see bertwright pretrain --help (a text of several words goes in quotes)",
        ),
        (("predict", "run", "--config"), "error: --config needs a file: --config FILE.yaml"),
        (("predict", "run", "--config", "none.yaml"), "error: --config none.yaml: there is no such file"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_exit_2(
    words: tuple[str, ...], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, capsys, *words) == (2, "", line + "\n")


@pytest.mark.parametrize("option", ["--top_k", "--top-k"])
def test_underscores_and_hyphens_are_alike(option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(monkeypatch, capsys, "predict", "run", "text", option, "many")
    assert (code, "unable to convert" in err) == (2, True)


def test_a_closed_pipe_is_quiet() -> None:
    program = "import sys, bertwright.__main__ as m; m.run = lambda *_: print('x' * 1_000_000); sys.exit(m.main())"
    done = subprocess.run(
        ["bash", "-c", f'{sys.executable} -c "{program}" | true; echo ${{PIPESTATUS[0]}}'], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout.strip(), done.stderr) == ("141", "")


def test_ctrl_c_is_130_and_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bertwright.__main__.run", interrupted)
    assert call(monkeypatch, capsys, "demo") == (130, "", "error: interrupted\n")

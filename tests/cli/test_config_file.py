"""`--config FILE.yaml`: the same keys, the command line wins, every mistake at once."""

from pathlib import Path
from typing import Annotated, Any

import pytest
from cyclopts import App, Parameter

from bertwright.cli.config_file import ConfigFile, take_config_option
from bertwright.errors import InputError
from bertwright.training.config import PretrainConfig


def resolve(tmp_path: Path, text: str, *words: str, commands: tuple[str, ...] = ("train", "prepare")) -> Any:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    file = ConfigFile(path, commands=commands)
    app = App(config=file, default_parameter=Parameter(name_transform=str))

    @app.command
    def train(shards: Path, *, out: Path = Path("out"), config: Annotated[PretrainConfig | None, Parameter(name="*")] = None) -> tuple[Path, PretrainConfig]:
        return out, config or PretrainConfig()

    command, bound, _ = app.parse_args(["train", "shards", *words], exit_on_error=False, print_error=False)
    if file.problems:
        raise InputError(*file.problems)
    return command(*bound.args, **bound.kwargs)


def test_values_come_from_the_file_and_the_command_line_wins(tmp_path: Path) -> None:
    out, config = resolve(tmp_path, "learning_rate: 1e-3\nmax_steps: 7\nbf16: false\nout: runs/a\n", "--max_steps", "9")
    assert out == Path("runs/a")
    assert (config.learning_rate, config.max_steps, config.bf16) == (1e-3, 9, False)


def test_a_budget_of_the_command_line_takes_the_place_of_the_files(tmp_path: Path) -> None:
    _, config = resolve(tmp_path, "num_train_epochs: 3\nmax_minutes: 4\nseed: 5\n", "--max_steps", "9")
    assert (config.max_steps, config.num_train_epochs, config.max_minutes, config.seed) == (9, None, None, 5)


def test_hyphens_and_null_are_understood(tmp_path: Path) -> None:
    _, config = resolve(tmp_path, "learning-rate: 0.5\nmax_minutes: null\ninit_from: null\nsave_total_limit: null\neval_steps: epoch\n")
    assert (config.learning_rate, config.max_minutes, config.init_from, config.save_total_limit, config.eval_steps) == (0.5, None, None, 2, "epoch")


def test_a_command_reads_its_own_section_and_passes_over_the_others(tmp_path: Path) -> None:
    _, config = resolve(tmp_path, "seed: 3\nprepare:\n  vocab_size: 100\ntrain:\n  max_steps: 5\n")
    assert (config.seed, config.max_steps) == (3, 5)


def test_every_mistake_is_named_at_once_with_the_nearest_key(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        resolve(tmp_path, "lerning_rate: 1\nmax_steps: many\nseed: x\nzzzzzz: 1\n")
    lines = caught.value.problems
    assert len(lines) == 4
    assert any("lerning_rate" in line and "did you mean learning_rate?" in line for line in lines)
    assert any("max_steps is 'many'" in line and "into int" in line for line in lines)
    assert any("seed is 'x'" in line for line in lines)
    assert any("zzzzzz" in line for line in lines)
    assert all(str(tmp_path / "config.yaml") in line for line in lines)


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "a: [1\n", "a: 1\n\tb: 2\n"])
def test_a_file_that_is_no_mapping_is_one_clear_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"config\.yaml") as caught:
        resolve(tmp_path, text)
    assert len(caught.value.problems) == 1
    assert "\n" not in caught.value.problems[0]


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert resolve(tmp_path, "")[1] == PretrainConfig()


def test_the_option_is_taken_out_of_the_command_line() -> None:
    assert take_config_option(["pretrain", "a", "--config", "c.yaml", "--out", "b"]) == (["pretrain", "a", "--out", "b"], Path("c.yaml"))
    assert take_config_option(["pretrain", "--config=c.yaml"]) == (["pretrain"], Path("c.yaml"))
    assert take_config_option(["predict", "r", "--", "--config", "x"]) == (["predict", "r", "--", "--config", "x"], None)
    with pytest.raises(InputError, match="2 times"):
        take_config_option(["--config", "a", "--config", "b"])

"""Lists of values on the command line, in a file and in Python become the runs that they ask for; what cannot stand is named at once."""

import pytest

from bertwright.errors import InputError
from bertwright.training.finetune_config import FinetuneConfig
from bertwright.training.grid import combinations, configs_of, grid_of, lists_of_tokens, lists_of_values

CONFIG = FinetuneConfig()


def test_a_command_line_is_parted_into_single_values_and_lists() -> None:
    tokens = [
        "finetune",
        "ckpt",
        "a,b.csv",
        "--out",
        "runs/x",
        "--learning_rate",
        "1e-5,3e-5",
        "--weight-decay=0,0.1",
        "--bf16",
        "--label_names",
        "a,b",
        "--several_labels",
        ",",
        "--seed",
        "3",
    ]
    rest, lists = lists_of_tokens(tokens, FinetuneConfig)
    assert rest == ["finetune", "ckpt", "a,b.csv", "--out", "runs/x", "--bf16", "--label_names", "a,b", "--several_labels", ",", "--seed", "3"]
    assert lists == {"learning_rate": ["1e-5", "3e-5"], "weight_decay": ["0", "0.1"]}
    assert grid_of(lists, CONFIG) == {"learning_rate": (1e-5, 3e-5), "weight_decay": (0.0, 0.1)}


def test_what_follows_two_hyphens_and_what_belongs_to_other_options_stays() -> None:
    tokens = ["--out", "a,b", "--json", "--text_column", "a,b", "--", "--seed", "1,2"]
    assert lists_of_tokens(tokens, FinetuneConfig) == (tokens, {})
    assert lists_of_tokens(["--seed"], FinetuneConfig) == (["--seed"], {})


def test_values_of_a_file_or_of_python() -> None:
    single, lists = lists_of_values({"learning_rate": [1e-5, "3e-5"], "seed": (1, 2), "batch_size": 8, "observers": [print]}, FinetuneConfig)
    assert single == {"batch_size": 8, "observers": [print]}
    assert grid_of(lists, CONFIG) == {"learning_rate": (1e-5, 3e-5), "seed": (1, 2)}


@pytest.mark.parametrize(
    ("key", "texts", "values"),
    [
        ("batch_size", ["8", " 16"], (8, 16)),
        ("eval_steps", ["epoch", "50"], ("epoch", 50)),
        ("bf16", ["true", "no"], (True, False)),
        ("gradient_checkpointing", [True, False], (True, False)),
        ("optimizer", ["adamw", "muon"], ("adamw", "muon")),
        ("adversarial", ["fgm", None], ("fgm", None)),
        ("ema_decay", [0, "0.9"], (0.0, 0.9)),
    ],
)
def test_values_have_the_kind_of_their_key(key: str, texts: list[object], values: tuple[object, ...]) -> None:
    (found,) = grid_of({key: texts}, CONFIG).values()
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


def test_seeds_follow_the_config_s_own() -> None:
    assert grid_of({}, CONFIG, seeds=3) == {"seed": (0, 1, 2)}
    assert grid_of({"batch_size": ["8"]}, FinetuneConfig(seed=7), seeds=2) == {"batch_size": (8,), "seed": (7, 8)}
    assert grid_of({}, CONFIG) == {}


def test_every_mistake_is_named_at_once() -> None:
    lists = {
        "learning_rate": ["1e-5", "fast"],
        "batch_size": ["8", "8"],
        "weight_decai": [1, 2],
        "label_names": ["a", "b"],
        "seed": [],
        "adam_beta1": [True],
        "weight_decay": [-1],
    }
    with pytest.raises(InputError) as caught:
        grid_of(lists, CONFIG, seeds=0)
    assert caught.value.problems == (
        "learning_rate is 'fast': give a number",
        "batch_size has 8 twice: once is enough",
        "weight_decai is not an option: did you mean weight_decay?",
        "label_names takes one value: give one",
        "seed is an empty list: give one value or more",
        "adam_beta1 is True: give a number",
        "seeds is 0: it must be at least 1",
        "seeds is 0 and seed is a list: take one away",
        "weight_decay is -1.0: it must be 0 or more",
    )


def test_values_are_checked_in_the_configs_that_they_make() -> None:
    with pytest.raises(InputError) as caught:
        grid_of({"learning_rate": ["1e-5", "-1"], "optimizer": ["adamw", "sgd"]}, CONFIG)
    assert sorted(caught.value.problems) == ["learning_rate is -1.0: it must be above 0", "optimizer is 'sgd': take one of muon, adamw"]
    with pytest.raises(InputError, match="max_steps and num_train_epochs are both given"):
        grid_of({"max_steps": ["1", "2"]}, FinetuneConfig(num_train_epochs=1))


def test_combinations() -> None:
    grid = {"learning_rate": (1e-5, 3e-5), "seed": (0, 1)}
    assert combinations(grid) == [{"learning_rate": rate, "seed": seed} for rate in (1e-5, 3e-5) for seed in (0, 1)]
    assert [(one.learning_rate, one.seed, one.batch_size) for one in configs_of(grid, FinetuneConfig(batch_size=4))][-1] == (3e-5, 1, 4)

"""The published recipes: every key is known, the models have the stated sizes, and a dry run goes through on shards of a tiny text."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bertwright.architecture import Dropout
from bertwright.checkpoints.huggingface import read_architecture
from bertwright.cli.app import run
from bertwright.cli.config_file import ConfigFile
from bertwright.data.prepare_config import PrepareConfig
from bertwright.errors import InputError
from bertwright.training.config import PretrainConfig
from bertwright.training.finetune_config import FinetuneConfig

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
SECTIONS: dict[str, Any] = {"prepare": PrepareConfig, "pretrain": PretrainConfig, "finetune": FinetuneConfig}
FINETUNINGS = ["chnsenticorp", "cola", "conll2003", "emotion", "lcqmc", "mrpc", "resume-ner", "rte", "squad", "sst2", "stsb", "stsb-vectors"]
# Pre-trainings of new weights by one file each, with what kind of text it is written for, and those that go on with a checkpoint.
OBJECTIVES = ["albert", "bart", "electra", "gpt2", "gpt2-shakespeare", "roberta", "t5", "wwm-token"]
FURTHER = ["classical-chinese", "distilbert", "domain-1-head", "domain-2-all", "domain-3-peps"]

every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)


def bertwright(recipe: Path, *words: str | Path) -> None:
    run([str(word) for word in words], ConfigFile(recipe, commands=list(SECTIONS)))


def sections(recipe: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    return found


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Twelve articles of WikiText's form: headings, paragraphs of several sentences, words known and unknown."""
    lines = []
    for number in range(12):
        lines += [f" = Article {number} = ", ""]
        lines += [" The crane stood by the river . It was a tall machine of <unk> steel . He just left . ", ""] * 3
    path = tmp_path / "train.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    words = ["The", "crane", "stood", "by", "the", "river", "It", "was", "a", "tall", "machine", "of", "steel", "He", "just", "left", "Article", "=", "."]
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *map(str, range(12))]) + "\n", encoding="utf-8")
    return path


def test_there_are_recipes() -> None:
    assert sorted(path.stem for path in RECIPES) == sorted(["bert-zh", "d2l-bert", "rocm-bert", *OBJECTIVES, *FURTHER, *FINETUNINGS])


@every_recipe
def test_every_key_is_known_and_every_value_can_stand(recipe: Path) -> None:
    found = sections(recipe)
    known = {"finetune"} if recipe.stem in FINETUNINGS else {"prepare", "pretrain"}
    assert set(found) == known or (recipe.stem in FURTHER and set(found) < known)
    for name, values in found.items():
        assert set(values) <= {field.name for field in dataclasses.fields(SECTIONS[name])}
        begun = {"init_from": "WEIGHTS"} if name == "pretrain" and "model" not in values else {}
        assert SECTIONS[name](**values, **begun).problems() == []


def test_a_recipe_of_a_fine_tuning_runs_dry(tmp_path: Path, start: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"a small text number {number},{number % 6}\n" for number in range(60))
    (tmp_path / "train.csv").write_text("text,labels\n" + rows, encoding="utf-8")
    bertwright(ROOT / "recipes" / "emotion.yaml", "finetune", start("bert"), tmp_path / "train.csv", "--out", tmp_path / "run", "--dry_run")
    planned = yaml.safe_load(capsys.readouterr().out)
    assert (planned["task"], planned["num_train_epochs"], planned["batch_size"], planned["learning_rate"]) == ("classify", 3, 32, 1e-4)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_recipe_of_an_objective_runs_dry(name: str, tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, shards = ROOT / "recipes" / f"{name}.yaml", tmp_path / "shards"
    bertwright(recipe, "prepare", text, "--vocab_size", "none", "--out", shards)
    capsys.readouterr()
    bertwright(recipe, "pretrain", shards, "--out", tmp_path / "run", "--dry_run")
    planned = yaml.safe_load(capsys.readouterr().out)
    assert {key: planned[key] for key in ("model", "objective")} == {key: sections(recipe)["pretrain"][key] for key in ("model", "objective")}


def test_a_domain_goes_through_its_three_recipes(tmp_path: Path, text: Path, start: Callable[[str], Path]) -> None:
    """The text is the vocabulary's own, so that something is left to mask."""
    (tmp_path / "words.txt").write_text("\n\n".join(["a small text . a small number of texts ."] * 30), encoding="utf-8")
    begun: Path = start("bert")
    for number, name in enumerate(("domain-1-head", "domain-2-all", "domain-3-peps")):
        recipe, shards, out = ROOT / "recipes" / f"{name}.yaml", tmp_path / f"shards-{number}", tmp_path / f"run-{number}"
        files = [tmp_path / "words.txt", "--documents", "blank_line", "--tokenizer", begun]
        run([str(word) for word in ("prepare", *files, "--out", shards)])
        short = ["--num_train_epochs", "none", "--max_minutes", "none", "--max_steps", "2", "--batch_size", "2", "--max_seq_length", "16"]
        short += ["--freeze_layers", "1"] if number == 0 else []
        also = ["--also_evaluate", tmp_path / "shards-0"] if number == 2 else []
        bertwright(recipe, "pretrain", shards, "--init_from", begun, *also, *short, "--out", out)
        begun = out
    assert (begun / "report.html").exists()


def test_the_books_model_has_the_books_size() -> None:
    architecture = read_architecture(ROOT / sections(ROOT / "recipes" / "d2l-bert.yaml")["pretrain"]["model"])
    block = architecture.encoder.block
    assert (architecture.encoder.num_layers, block.hidden_size, block.num_heads, block.intermediate_size) == (2, 128, 2, 256)
    assert (block.dropout, block.activation) == (Dropout.usual(0.2), "relu")
    assert architecture.encoder.positions.max_length == 64


def test_the_books_recipe_runs_dry(tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, shards = ROOT / "recipes" / "d2l-bert.yaml", tmp_path / "shards"
    bertwright(recipe, "prepare", text, "--out", shards)
    capsys.readouterr()
    # The config.json names no vocabulary, so that it takes the size of whatever shards it is given.
    bertwright(recipe, "pretrain", shards, "--model", ROOT / "recipes" / "d2l-bert.config.json", "--out", tmp_path / "run", "--dry_run")
    planned = yaml.safe_load(capsys.readouterr().out)
    assert (planned["max_steps"], planned["batch_size"], planned["max_seq_length"], planned["start"]) == (50, 512, 64, "random")
    assert (planned["learning_rate"], planned["lr_scheduler_type"], planned["weight_decay"], planned["hidden_dropout_prob"]) == (0.003, "constant", 0, 0.2)
    assert not (tmp_path / "run").exists()


def test_the_blogs_recipe_runs_dry_on_a_cased_vocabulary(tmp_path: Path, text: Path, vocabulary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, shards = ROOT / "recipes" / "rocm-bert.yaml", tmp_path / "shards"
    bertwright(recipe, "prepare", text, "--tokenizer", vocabulary, "--out", shards)
    capsys.readouterr()
    bertwright(recipe, "pretrain", shards, "--out", tmp_path / "run", "--dry_run")
    planned = yaml.safe_load(capsys.readouterr().out)
    assert (planned["model"], planned["max_seq_length"], planned["learning_rate"], planned["optimizer"]) == ("bert-base", 128, 5e-5, "adamw")
    assert (planned["eval_steps"], planned["save_steps"], planned["num_train_epochs"]) == ("epoch", "epoch", 200)


def test_the_blogs_smoke_run_takes_another_budget(tmp_path: Path, text: Path, vocabulary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, shards = ROOT / "recipes" / "rocm-bert.yaml", tmp_path / "shards"
    bertwright(recipe, "prepare", text, "--tokenizer", vocabulary, "--out", shards)
    capsys.readouterr()
    bertwright(recipe, "pretrain", shards, "--out", tmp_path / "run", "--num_train_epochs", "none", "--max_steps", "20", "--dry_run")
    assert yaml.safe_load(capsys.readouterr().out)["max_steps"] == 20


def test_a_recipe_with_a_wrong_key_would_be_refused(tmp_path: Path, text: Path) -> None:
    changed = tmp_path / "changed.yaml"
    changed.write_text((ROOT / "recipes" / "d2l-bert.yaml").read_text(encoding="utf-8").replace("unknown_marker", "unknown_mark"), encoding="utf-8")
    with pytest.raises(InputError, match=r"unknown_mark .*did you mean unknown_marker"):
        bertwright(changed, "prepare", text, "--out", tmp_path / "shards")

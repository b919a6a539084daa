"""torch.hub on a clone of this repository."""

import ast
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import torch

from bertwright.checkpoints.huggingface import SavableModel, save_model
from bertwright.errors import InputError
from bertwright.families import FAMILIES, Family, preset
from bertwright.models import Model
from bertwright.text.training import train_tokenizer

ROOT = Path(__file__).parents[1]
ENTRIES = {
    "model": (),
    "modelForMaskedLM": ("ForMaskedLM",),
    "modelForPreTraining": ("ForPreTraining", "ForMaskedLM", "LMHeadModel", "ForConditionalGeneration"),
    "modelForCausalLM": ("LMHeadModel",),
    "modelForSeq2SeqLM": ("ForConditionalGeneration",),
    "modelForSequenceClassification": ("ForSequenceClassification",),
    "modelForTokenClassification": ("ForTokenClassification",),
    "modelForQuestionAnswering": ("ForQuestionAnswering",),
}
# What the entry points must do without: everything this project needs beside hubconf's `dependencies`.
UNNEEDED = ("cyclopts", "rich", "yaml", "sentencex", "pyarrow", "matplotlib", "transformers")
CLONE = """
import importlib.util, sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {unneeded!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refused())
assert importlib.util.find_spec("bertwright") is None, "the test needs a Python in which bertwright is not installed"
import torch
names = torch.hub.list("someone/bertwright:main", trust_repo=True, verbose=False)
print(*names)
print(all("Example:" in torch.hub.help("someone/bertwright:main", name, trust_repo=True) for name in names))
model = torch.hub.load({clone!r}, "modelForMaskedLM", {checkpoint!r}, source="local")
print(model(torch.tensor([[2, 7, 3]])).logits.shape)
print(torch.hub.load({clone!r}, "model", "t5-tiny", vocab_size=64, source="local").head_kinds)
print(torch.hub.load({clone!r}, "tokenizer", {checkpoint!r}, source="local").vocab_size)
import bertwright
print(bertwright.__file__)
"""


def load(name: str, *args: Any, **keys: Any) -> Any:
    return torch.hub.load(str(ROOT), name, *args, source="local", **keys)


def wanted(family: Family, entry: str) -> tuple[str, ...] | None:
    """The heads of the family's class for an entry point; None where it has none."""
    if entry == "model":
        return family.base_heads
    names = [name for ending in ENTRIES[entry] for name in family.classes if name.endswith(ending)]
    return family.complete_heads(family.classes[names[0]]) if names else None


def test_a_clone_that_is_not_installed_is_enough(tmp_path: Path) -> None:
    """torch.hub's own folder holds the clone, under the name that it would give a download: `list` and `help` know no other place."""
    clone, checkpoint = tmp_path / "hub" / "someone_bertwright_main", tmp_path / "checkpoint"
    shutil.copytree(ROOT / "src" / "bertwright", clone / "src" / "bertwright", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "hubconf.py", clone)
    config = preset("bert-tiny", vocab_size=60)
    save_model(Model(FAMILIES[0].architecture(config), ("mlm",)), checkpoint, config=config)
    train_tokenizer(["the cat sat on the mat"] * 3, kind="wordpiece", vocab_size=40, lowercase=True, min_frequency=1).save(checkpoint)
    program = CLONE.format(clone=str(clone), checkpoint=str(checkpoint), unneeded=UNNEEDED)
    # Without `site` no .pth file is read, and so no editable installation is seen.
    environment = {"PYTHONPATH": sysconfig.get_path("purelib"), "TORCH_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-S", "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    names, helped, shape, heads, entries, where = done.stdout.splitlines()
    assert set(names.split()) == {"config", "tokenizer", *ENTRIES}
    assert helped == "True"
    assert shape == "torch.Size([1, 3, 60])"
    assert heads == "()"
    assert int(entries) <= 40
    assert where == str(clone / "src" / "bertwright" / "__init__.py")
    assert "t5-tiny: a preset with random weights and a vocabulary of 64" in done.stderr


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("entry", ENTRIES)
def test_presets_of_every_family_have_exactly_the_heads_of_the_class(family: Family, entry: str) -> None:
    keys = {"vocab_size": 64, "pad_token_id": 0, "num_labels": 5}
    heads = wanted(family, entry)
    if heads is None:
        with pytest.raises(InputError, match=f"the {family.name} family has no class {ENTRIES[entry][0]}: it has .*{family.base_class}"):
            load(entry, f"{family.name}-tiny", **keys)
        return
    model = load(entry, f"{family.name}-tiny", **keys)
    assert isinstance(model, SavableModel)
    assert model.head_kinds == heads
    assert not model.training
    ids = torch.tensor([[5, 6, model.architecture.eos_id or 2]])
    with torch.no_grad():
        output = model(ids)
    if entry.endswith(("LM",)):
        assert output.logits.shape == (1, 3, 64)
    elif entry == "modelForSequenceClassification":
        assert output.logits.shape == (1, 5)
    elif entry == "modelForTokenClassification":
        assert output.logits.shape == (1, 3, 5)
    elif entry == "modelForQuestionAnswering":
        assert output.start_logits.shape == output.end_logits.shape == (1, 3)
    else:
        assert output.last_hidden_state.shape == (1, 3, 128)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_checkpoints_of_every_family_load_and_say_what_they_lacked(family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = preset(f"{family.name}-tiny", vocab_size=64, pad_token_id=0)
    entry = next(name for name in ENTRIES if name.endswith("LM") and wanted(family, name) is not None) if family.name != "electra" else "modelForMaskedLM"
    heads = wanted(family, entry)
    assert heads is not None
    saved = Model(family.architecture(config), heads)
    save_model(saved, tmp_path / "a", config=config)
    model = load(entry, str(tmp_path / "a"))
    assert model.head_kinds == heads
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in saved.state_dict().items())
    assert capsys.readouterr().err == f"checkpoint: {tmp_path / 'a'}\n"
    model.save_pretrained(tmp_path / "b")
    assert (tmp_path / "b" / "model.safetensors").is_file()
    other = wanted(family, "modelForSequenceClassification")
    if other is not None:
        assert load("modelForSequenceClassification", str(tmp_path / "a")).head_kinds == other
        lacked = [head for head in other if head not in heads]
        line = f"{tmp_path / 'a'} has no {' and no '.join(lacked)} head: made new, with random weights"
        assert capsys.readouterr().err.splitlines() == [f"checkpoint: {tmp_path / 'a'}", line]


def test_a_config_can_be_changed_and_made_into_a_model() -> None:
    config = load("config", "bert-tiny", num_hidden_layers=1, vocab_size=50)
    assert (config["model_type"], config["num_hidden_layers"], config["vocab_size"]) == ("bert", 1, 50)
    model = load("modelForTokenClassification", config, num_labels=7)
    assert len(model.encoder.blocks) == 1
    assert model(torch.tensor([[5, 6]])).logits.shape == (1, 2, 7)
    with pytest.raises(InputError, match="num_attention_heads"):
        load("config", "bert-tiny", num_attention_heads=5)


def test_a_checkpoints_config_is_read(tmp_path: Path) -> None:
    config = preset("gpt2-tiny", vocab_size=64, n_positions=32, pad_token_id=0)
    save_model(Model(next(family for family in FAMILIES if family.name == "gpt2").architecture(config)), tmp_path, config=config)
    assert load("config", str(tmp_path))["n_positions"] == 32


LABELS = {"id2label": {"0": "A", "1": "B", "2": "C"}, "label2id": {"A": 0, "B": 1, "C": 2}}


def test_a_number_of_labels_goes_before_the_names_of_others(tmp_path: Path) -> None:
    config = preset("bart-tiny", vocab_size=64) | LABELS
    save_model(Model(next(family for family in FAMILIES if family.name == "bart").architecture(config)), tmp_path, config=config)
    for asked, labels in ((5, 5), (3, 3), (None, 3)):
        keys = {} if asked is None else {"num_labels": asked}
        described = load("config", str(tmp_path), **keys)
        assert ("id2label" in described, "label2id" in described) == (labels == 3, labels == 3)
        for given in (described, str(tmp_path)):
            more = keys if given == str(tmp_path) else {}
            assert load("modelForSequenceClassification", given, **more)(torch.tensor([[5, 6, 2]])).logits.shape == (1, labels)
        assert load("modelForSequenceClassification", config, **keys)(torch.tensor([[5, 6, 2]])).logits.shape == (1, labels)
    assert "id2label" in config
    names = {"0": "X", "1": "Y"}
    assert load("config", str(tmp_path), num_labels=2, id2label=names)["id2label"] == names


def test_mistakes_name_the_mend(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean bert-base"):
        load("model", "bert-bass")
    with pytest.raises(InputError, match="a preset, which has no tokenizer: give a checkpoint"):
        load("tokenizer", "bert-base")
    with pytest.raises(InputError, match=r"no config\.json"):
        load("model", str(tmp_path))
    config = preset("bert-tiny", vocab_size=60)
    save_model(Model(FAMILIES[0].architecture(config)), tmp_path / "a", config=config)
    with pytest.raises(InputError, match=r"vocab_size cannot be given for .*: a checkpoint has its own config"):
        load("model", str(tmp_path / "a"), vocab_size=5)


def test_a_folder_goes_before_a_preset_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = preset("bert-tiny", vocab_size=60)
    save_model(Model(FAMILIES[0].architecture(config)), tmp_path / "bert-tiny", config=config)
    monkeypatch.chdir(tmp_path)
    assert load("model", "bert-tiny").architecture.vocab_size == 60


def test_every_entry_point_has_an_example() -> None:
    for name in ("config", "tokenizer", *ENTRIES):
        described = next(node for node in ast.parse((ROOT / "hubconf.py").read_text(encoding="utf-8")).body if getattr(node, "name", "") == name)
        assert isinstance(described, ast.FunctionDef)
        assert f'torch.hub.load(REPO, "{name}"' in (ast.get_docstring(described) or "")


def test_a_checkpoints_new_head_has_the_labels_asked_for(tmp_path: Path) -> None:
    config = preset("bert-tiny", vocab_size=64)
    save_model(Model(FAMILIES[0].architecture(config), ("mlm",)), tmp_path, config=config)
    model = load("modelForSequenceClassification", str(tmp_path), num_labels=6)
    assert model(torch.tensor([[2, 7, 3]])).logits.shape == (1, 6)
    model.save_pretrained(tmp_path / "saved")
    assert load("modelForSequenceClassification", str(tmp_path / "saved"))(torch.tensor([[2, 7, 3]])).logits.shape == (1, 6)

"""`bertwright summary`: what it prints, as text and as JSON."""

import json
import re
from pathlib import Path

import pytest

from bertwright.checkpoints.huggingface import save_model
from bertwright.cli.summary import summary
from bertwright.errors import InputError
from bertwright.families import FAMILIES, Family, preset, preset_architecture
from bertwright.models import Model


def test_the_parts_sizes_operations_and_modules_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    summary(model="bert-base", max_seq_length=128)
    shown, said = capsys.readouterr()
    rows = [line.split() for line in shown.splitlines()]
    assert said == "model: bert-base with a vocabulary of 30,522 (--vocab_size gives another)\n"
    assert shown.startswith("bert-base: bert, encoder of 12 layers x 768, 12 heads of 64, feed-forward 3072; vocabulary 30,522, 512 positions\n")
    assert ["embeddings", "23,837,184", "21.77%"] in rows
    assert ["encoder", "85,054,464", "77.69%"] in rows
    assert ["pooler", "590,592", "0.54%"] in rows
    assert ["all", "109,482,240", "100.00%"] in rows
    assert "trainable 109,482,240, frozen 0; 437.9 MB in float32, 219 MB in bfloat16 and float16" in shown
    assert ["encoder", "174.6", "M", "349.2", "M"] in rows
    up = next(line for line in shown.splitlines() if line.strip().startswith("up "))
    assert up.split("  ")[-1].strip() == "2,362,368"
    assert "batch x length x 768" in up
    assert "batch x length x 3072" in up
    assert "blocks.0 to 11 (12 times)" in shown
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 200


def test_a_model_of_two_stacks_says_what_its_words_mean(capsys: pytest.CaptureFixture[str]) -> None:
    summary(model="bart-tiny", vocab_size=500, max_seq_length=64)
    shown, said = capsys.readouterr()
    assert said == ""
    assert "rows of 64 tokens of source and 64 of target" in shown
    assert "batch x target x 128" in shown
    assert "target: tokens of the target" in shown


def test_a_narrow_terminal_gets_every_name_and_number_whole(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    summary(model="bart-base", heads="lm")
    lines = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if "…" in line]
    (up, _) = (line.split("  ") for line in lines if line.strip().startswith("up "))
    assert [part.strip() for part in up if part.strip()] == ["up", "B x L x 768", "B x L x 3072", "2,362,368"]
    assert lines[-1] == "B: batch, L: length of the source, T: of the target"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_json_is_one_object_that_adds_up(family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = preset(f"{family.name}-tiny", vocab_size=70, pad_token_id=0)
    heads = family.complete_heads(next(iter(family.classes.values())))
    save_model(Model(family.architecture(config), heads), tmp_path, config=config)
    summary(str(tmp_path), json=True)
    out, said = capsys.readouterr()
    shown = json.loads(out)
    assert said == f"checkpoint: {tmp_path}\n"
    assert (shown["family"], shown["heads"], shown["vocab_size"]) == (family.name, list(heads), 70)
    parts = shown["parameters"]["parts"].values()
    assert sum(part["parameters"] for part in parts) == shown["parameters"]["total"] == shown["modules"]["parameters"]
    assert sum(part["share"] for part in parts) == pytest.approx(1)
    operations = shown["operations_per_token"]
    assert sum(part["forward"] for part in operations["parts"].values()) == pytest.approx(operations["forward"])
    assert shown["bytes"]["float32"] == 2 * shown["bytes"]["bfloat16"]
    assert shown["architecture"]["vocab_size"] == 70
    assert shown["modules"]["children"][0]["outputs"] == {"output": ["batch", "length", shown["architecture"]["embedding_size"]]}


def test_the_heads_asked_for_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    summary(model="bert-tiny", heads="mlm, nsp", json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["heads"] == ["pooler", "mlm", "nsp"]
    architecture = preset_architecture("bert-tiny", vocab_size=30522)
    assert shown["parameters"]["total"] == sum(parameter.numel() for parameter in Model(architecture, ("pooler", "mlm", "nsp")).parameters())


def test_what_does_not_go_together_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes a CHECKPOINT or --model PRESET, one of them"):
        summary()
    with pytest.raises(InputError, match="takes a CHECKPOINT or --model PRESET, one of them"):
        summary("runs/a", model="bert-base")
    with pytest.raises(InputError, match="--vocab_size 5 is for --model: a checkpoint has its own"):
        summary(str(tmp_path), vocab_size=5)
    with pytest.raises(InputError, match="--heads mlm is for --model"):
        summary(str(tmp_path), heads="mlm")

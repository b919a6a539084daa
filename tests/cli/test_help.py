"""What a command's help shows, and in which order."""

import dataclasses
import re

import pytest

from bertwright.cli.app import build_app
from bertwright.cli.help import SECTIONS
from bertwright.data.labelled.config import DataConfig
from bertwright.training.config import PretrainConfig
from bertwright.training.finetune_config import FinetuneConfig
from bertwright.training.settings import TrainingConfig


def shown(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    build_app(chosen=command).help_print([command])
    return capsys.readouterr().out


def places(text: str) -> dict[str, int]:
    return {name: found.start() for name in re.findall(r"--(\w+)", text) if (found := re.search(rf"--{name}\b", text))}


def test_pretrain_shows_its_own_keys_before_those_of_every_training(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown("pretrain", capsys)
    found, heading = places(text), text.index("─ Training ─")
    shared = {field.name for field in dataclasses.fields(TrainingConfig)}
    own = {field.name for field in dataclasses.fields(PretrainConfig)} - shared
    assert {"model", "init_from", "objective"} < own
    # The width of the panel cuts the longest names.
    assert [name for name in {"shards", "out", "json"} | own if name in found and found[name] > heading] == []
    assert [name for name in shared if name in found and found[name] < heading] == []
    assert len(shared & found.keys()) > len(shared) - 3


def test_a_command_that_shares_a_few_names_keeps_them_as_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown("evaluate", capsys)
    assert "--batch_size" in text
    assert "─ Training ─" not in text


def test_sections_share_no_key_and_hold_all_of_fine_tuning() -> None:
    keys = [key for section in SECTIONS.values() for key in section]
    assert len(keys) == len(set(keys))
    assert set(keys) == {field.name for field in dataclasses.fields(FinetuneConfig)}
    assert "task" in {field.name for field in dataclasses.fields(DataConfig)} & SECTIONS["Labelled data"]

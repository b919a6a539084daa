"""`bertwright memory`: tables, JSON, a picture, mistakes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest


def test_tables_for_people(call: Callable[..., tuple[int, str, str]]) -> None:
    code, shown, _ = call("memory", "--model", "bert-tiny", "--vocab_size", "400", "--micro_batch_size", "4", "--card", "1GB")
    assert code == 0
    assert shown.startswith("bert-tiny with a vocabulary of 400: mlm+nsp, 4 rows of 128 tokens, float32, muon\n")
    names = [line.split("  ")[0] for line in shown.splitlines()]
    assert {"parameters", "gradients", "optimizer", "activations: attention", "workspace", "context", "all", "256 tokens", "128 tokens, bfloat16"} <= set(names)
    assert "1GB has 1 GB: passes of up to " in shown


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"max_seq_length": "9999"}, "512 positions"),
        ({"micro_batch_size": "0"}, "micro_batch_size is 0"),
        ({"card": "banana"}, "card banana is not known"),
        ({"objective": "clm"}, "objective clm"),
        ({"objective": "distill"}, "a teacher, which is not counted"),
        ({"vocab_size": "20"}, "vocab_size is 20"),
        ({"model": "bert-enormous"}, "bert-enormous"),
        ({"plot": "growth.txt"}, "ends with .png"),
    ],
)
def test_mistakes_are_told(keys: dict[str, str], said: str, call: Callable[..., tuple[int, str, str]]) -> None:
    options = {"model": "bert-tiny", "vocab_size": "400", **keys}
    code, shown, told = call("memory", *(part for key, value in options.items() for part in (f"--{key}", value)))
    assert (code, shown) == (2, "")
    assert said in told


def test_json_and_a_picture(tmp_path: Path, call: Callable[..., tuple[int, str, str]]) -> None:
    given = ("--model", "bert-tiny", "--vocab_size", "400", "--micro_batch_size", "4", "--card", "t4", "--plot", tmp_path / "growth.png")
    code, shown, _ = call("memory", *given, "--json")
    assert code == 0
    found = json.loads(shown)
    assert found["total"] == sum(found["parts"].values()) == found["reserved"] + found["context"]
    assert found["largest_micro_batch_size"] > 4
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")

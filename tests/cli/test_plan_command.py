"""`bertwright plan`: numbers as people write them, a page that says what is assumed, JSON, and what is wrong."""

import json

import pytest

from bertwright.cli.app import run
from bertwright.errors import InputError


def test_a_plan_says_hours_memory_disk_cost_and_what_it_assumes(capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", "--model", "bert-tiny", "--tokens", "10B", "--device", "h200", "--count", "8", "--price_per_hour", "3.5"])
    said = capsys.readouterr().out
    for word in ("assumed  40% of 989 Tflop/s", "gradients at 200 GB/s", "for 10,000,000,000 tokens", "of 141 GB", "three checkpoints", "at 28.00 an hour"):
        assert word in said


@pytest.mark.parametrize(("text", "value"), [("10B", 10e9), ("2.5m", 2.5e6), ("3e9", 3e9), ("10_000", 1e4), ("1,000,000", 1e6)])
def test_tokens_are_read_as_people_write_them(capsys: pytest.CaptureFixture[str], text: str, value: float) -> None:
    run(["plan", "--model", "bert-tiny", "--tokens", text, "--device", "t4", "--json"])
    assert json.loads(capsys.readouterr().out)["tokens"] == value


@pytest.mark.parametrize("text", ["many", "-5", "10 GB", ""])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="write a number such as 10B"):
        run(["plan", "--model", "bert-tiny", "--device", "t4", f"--tokens={text}"])

"""Texts with labels: what the columns are taken for, how labels are named and ordered, and what is refused."""

from pathlib import Path

import pytest

from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.reading import read_splits

SHARED = Path(__file__).parents[2] / "../shared/data"


def shared(name: str) -> str:
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is not there")
    return str(SHARED / name)


def test_emotion_reads_without_options() -> None:
    splits = read_splits(shared("emotion"), DataConfig(), seed=0)
    assert (splits.train.task, splits.train.labels) == ("classify", ("0", "1", "2", "3", "4", "5"))
    assert [len(part.examples) for part in (splits.train, splits.validation, splits.test) if part] == [16000, 2000, 2000]
    assert splits.train.examples[0].text == "i didnt feel humiliated"

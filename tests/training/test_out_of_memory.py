"""A pass that does not fit is halved and the training goes on as if it had begun so; the automatic size follows the memory that is free."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from bertwright.data.batch import Batch
from bertwright.data.samples import Vocabulary
from bertwright.data.shards import TokenShards
from bertwright.errors import OutOfMemory
from bertwright.families import preset_architecture
from bertwright.objectives.mlm import MaskedLanguageModel
from bertwright.objectives.objective import Losses
from bertwright.training.config import PretrainConfig
from bertwright.training.course import Course
from bertwright.training.devices import Device, is_out_of_memory
from bertwright.training.plan import make_plan
from bertwright.training.room import rows_that_fit

losses_of = MaskedLanguageModel.losses


@pytest.mark.parametrize("message", ["CUDA out of memory", "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"])
def test_a_pass_that_does_not_fit_is_halved_until_it_does(tiny_run: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    whole = tiny_run("whole")
    whole.train(steps=6, course=Course(4, ((0, 1),)))
    error = torch.OutOfMemoryError(message) if "CUDA" in message else RuntimeError(message)

    def losses(self: MaskedLanguageModel, model: nn.Module, batch: Batch) -> Losses:
        found = losses_of(self, model, batch)
        if len(batch.input_ids) > 1:
            next(iter(found.values())).sum.backward()  # what a broken-off pass leaves behind
            raise error
        return found

    monkeypatch.setattr(MaskedLanguageModel, "losses", losses)
    short = tiny_run("short")
    state = short.train(steps=6, course=Course(4, ((0, 4),)))
    assert state.progress.samples == 24
    texts = [str(event.values["text"]) for event in short.told if event.kind == "note"]
    assert texts == [f"out of memory: {rows} a pass from now on, as many an update as before" for rows in ("2 sequences", "1 sequence")]
    for name, tensor in whole.updater.parameters.state().items():
        assert torch.equal(tensor, short.updater.parameters.state()[name]), name


def test_where_one_sequence_does_not_fit_the_mend_is_said(tiny_run: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def losses(self: MaskedLanguageModel, model: nn.Module, batch: Batch) -> Losses:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(MaskedLanguageModel, "losses", losses)
    with pytest.raises(OutOfMemory, match="with one sequence a pass: give --gradient_checkpointing"):
        tiny_run("a").train(steps=6)


def test_what_cannot_be_parted_is_not_halved(tiny_run: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def losses(self: MaskedLanguageModel, model: nn.Module, batch: Batch) -> Losses:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(MaskedLanguageModel, "losses", losses)
    monkeypatch.setattr(MaskedLanguageModel, "decomposes", False)
    with pytest.raises(OutOfMemory, match="a batch as one pass"):
        tiny_run("a").train(steps=6)


def test_other_errors_stay_what_they_are(tiny_run: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def losses(self: MaskedLanguageModel, model: nn.Module, batch: Batch) -> Losses:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(MaskedLanguageModel, "losses", losses)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        tiny_run("a").train(steps=6)


def test_what_a_cpu_really_says_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 55, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(("free", "least", "most"), [(64 * 2**30, 512, 512), (2 * 2**30, 60, 300), (2**20, 1, 1)])
def test_the_automatic_size_is_what_the_free_memory_holds(monkeypatch: pytest.MonkeyPatch, free: int, least: int, most: int) -> None:
    monkeypatch.setattr(Device, "free_bytes", lambda self: free)
    vocabulary = Vocabulary(8192, 0, 2, 3, 4, (0, 1, 2, 3, 4))
    architecture, objective = preset_architecture("bert-mini", vocab_size=8192), MaskedLanguageModel(vocabulary)
    device = Device(torch.device("cpu"), torch.bfloat16)
    found = rows_that_fit(architecture, objective, vocabulary, PretrainConfig(), device, rows=512, length=128)
    assert least <= found <= most


@pytest.mark.parametrize(("given", "rows"), [(None, 1), (3, 3)])
def test_a_plan_takes_it_unless_a_size_is_given(given: int | None, rows: int, shards: TokenShards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "free_bytes", lambda self: 2**20)
    config = PretrainConfig(model="bert-tiny", max_seq_length=32, batch_size=6, micro_batch_size=given, max_steps=1)
    assert make_plan(shards, config, Device(torch.device("cpu"), torch.float32)).config.micro_batch_size == rows

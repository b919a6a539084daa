"""Compiled blocks train as the others do; where nothing compiles, training goes on without."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bertwright import pretrain
from bertwright.blocks.layout import Padded
from bertwright.blocks.transformer_block import TransformerBlock
from bertwright.data.shards import TokenShards
from bertwright.families import preset_architecture
from bertwright.models import Model
from bertwright.training.compiling import compile_blocks


@pytest.mark.parametrize("name", ["bert-tiny", "modernbert-tiny", "t5-tiny", "bart-tiny"])
def test_compiled_blocks_give_the_same_losses_and_gradients(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    traced, called = list[Any](), list[tuple[Any, ...]]()
    compile_by = torch.compile  # traced alone, for not every machine has a C++ compiler

    def compiled_by_tracing(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        made = compile_by(function, backend=lambda graph, given: traced.append(graph) or graph.forward)
        return lambda *given: called.append(given) or made(*given)

    monkeypatch.setattr(torch, "compile", compiled_by_tracing)
    torch.manual_seed(0)
    model = Model(preset_architecture(name, vocab_size=50)).double().train()
    for module in model.modules():
        if hasattr(module, "rate"):
            module.rate = 0.0
    ids, scored = torch.randint(5, 50, (3, 16)), torch.arange(0, 48, 5)
    given: dict[str, Any] = {"decoder_input_ids": ids} if model.architecture.decoder is not None and model.architecture.encoder is not None else {}

    def gradients() -> list[Tensor]:
        loss = model(ids, layout=Padded(), predict_positions=scored, **given).last_hidden_state.sin().sum()
        return [grad for grad in torch.autograd.grad(loss, list(model.parameters()), allow_unused=True) if grad is not None]

    plain = gradients()
    state = torch.random.get_rng_state()
    said = compile_blocks(model, rows=3, length=16)
    assert said.startswith("torch.compile: ")
    assert torch.equal(torch.random.get_rng_state(), state), "a run with compiled blocks draws the same numbers"
    count = len(traced)
    assert count
    called.clear()
    with torch.no_grad():
        model(ids, layout=Padded(), **given)
    assert not called, "it is for training"
    for ours, theirs in zip(gradients(), plain, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert [block for block, *_ in called] == [block for stack in (model.encoder, model.decoder) if stack is not None for block in stack.in_order()]
    assert len(traced) == count, "nothing is compiled once training goes on"


def test_without_a_compiler_nothing_changes_and_that_is_said(tmp_path: Path, shards: TokenShards, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(function: object) -> Callable[..., Tensor]:
        def fails(*given: object) -> Tensor:
            raise RuntimeError("No working C++ compiler found\nin a long text")

        return fails

    monkeypatch.setattr(torch, "compile", none)
    models: list[nn.Module] = []
    monkeypatch.setattr("bertwright.training.pretrain.compile_blocks", lambda model, **sizes: models.append(model) or compile_blocks(model, **sizes))
    pretrain(shards.folder, out=tmp_path / "run", model="bert-tiny", max_seq_length=32, max_steps=2, torch_compile=True)
    assert "torch.compile is not to be had here: RuntimeError: No working C++ compiler found\n" in (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    assert {block.compiled for block in models[0].modules() if isinstance(block, TransformerBlock)} == {None}

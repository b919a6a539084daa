"""Packed rows by the lengths of their sequences: what is asked of torch's kernel, which runs on GPUs alone, is checked with a plain one in its place."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import varlen
from torch.utils.checkpoint import checkpoint

from bertwright.blocks import layout, sequence_attention
from bertwright.blocks.layout import Packed
from bertwright.blocks.scores import Scores
from bertwright.blocks.sequence_attention import Borders, sequence_attention_suits, works

SEQUENCES = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 1, 2], [0, 0, 0, 0, 0, 0]])


def plain(query: Tensor, key: Tensor, value: Tensor, of_queries: Tensor, of_keys: Tensor, *longest: int, scale: float, window_size: tuple[int, int]) -> Tensor:
    """torch.nn.attention.varlen.varlen_attn as it is documented, one sequence after the other."""
    assert of_queries.dtype == of_keys.dtype == torch.int32
    assert int(of_queries.diff().max()) <= longest[0] == longest[1]
    found = []
    for begin, end in zip(of_queries.tolist(), of_queries.tolist()[1:], strict=False):
        products = torch.einsum("qhd,khd->hqk", query[begin:end], key[begin:end]) * scale
        distance = torch.arange(end - begin) - torch.arange(end - begin)[:, None]
        left, right = (reach if reach >= 0 else end for reach in window_size)
        chances = products.masked_fill((distance < -left) | (distance > right), -torch.inf).softmax(-1)
        found.append(torch.einsum("hqk,khd->qhd", chances, value[begin:end]))
    return torch.cat(found)


@pytest.mark.parametrize(("causal", "window"), [(False, None), (True, None), (False, 1), (False, 2), (True, 1), (True, 0)])
def test_it_gives_what_masks_give(causal: bool, window: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    given = [torch.randn(3, 2, 6, 4, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    scores = Scores(scale=0.7, causal=causal, window=window)
    masked = Packed(SEQUENCES).attend(*given, scores)
    monkeypatch.setattr(varlen, "varlen_attn", plain)
    monkeypatch.setattr(layout, "sequence_attention_suits", lambda *given: True)
    found = Packed(SEQUENCES).attend(*given, scores)
    torch.testing.assert_close(found, masked)
    for ours, theirs in zip(*(torch.autograd.grad(each.sin().sum(), given) for each in (found, masked)), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_borders_are_worked_out_once_and_go_along() -> None:
    moved = Packed(SEQUENCES).each(torch.clone)
    assert moved.borders.places.tolist() == [0, 3, 6, 7, 11, 12, 18]
    assert moved.borders.longest == 6
    assert moved._given is not None, "on a GPU they would have to be waited for"


def wide(*given: Any, scale: float, window_size: tuple[int, int]) -> Tensor:
    return plain(*given, scale=scale, window_size=(-1, window_size[1] if window_size[0] < 0 else -1))


def seeing(*given: Any, scale: float, window_size: tuple[int, int]) -> Tensor:
    return plain(*given, scale=scale, window_size=(window_size[0], window_size[0]))


def refusing(*given: Any, **named: Any) -> Tensor:
    raise NotImplementedError("no kernel for this device")


@pytest.mark.parametrize(("kernel", "trusted"), [(plain, True), (wide, False), (seeing, False), (refusing, False), (lambda query: query, False), (None, False)])
def test_a_kernel_is_trusted_once_it_gives_what_a_mask_gives(kernel: Callable[..., Tensor] | None, trusted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel is not None:  # torch's own refuses a CPU
        monkeypatch.setattr(varlen, "varlen_attn", kernel)
    works.cache_clear()
    with torch.inference_mode():
        assert works(torch.device("cpu"), torch.float32, 64) == trusted
    works.cache_clear()


def test_the_trial_may_fall_into_a_block_that_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(varlen, "varlen_attn", plain)
    works.cache_clear()
    given = torch.randn(4, requires_grad=True)

    def block(given: Tensor) -> Tensor:
        return given.sin() if works(torch.device("cpu"), torch.bfloat16, 64) else given

    checkpoint(block, given, use_reentrant=False).cos().sum().backward()
    works.cache_clear()


def test_without_memory_for_the_trial_nothing_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any, **named: Any) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(varlen, "varlen_attn", full)
    works.cache_clear()
    with pytest.raises(torch.OutOfMemoryError):
        works(torch.device("cpu"), torch.bfloat16, 64)


def test_it_is_for_half_precision_on_a_gpu_without_bias_dropout_or_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence_attention, "works", lambda *given: True)

    def on_gpu(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Any:
        return SimpleNamespace(is_cuda=True, dtype=dtype, shape=torch.Size(shape), device=torch.device("cuda"))

    usual, plain_scores = on_gpu(2, 4, 128, 64), Scores(scale=1.0)
    assert sequence_attention_suits(usual, usual, plain_scores)
    assert not sequence_attention_suits(torch.zeros(2, 4, 128, 64, dtype=torch.bfloat16), usual, plain_scores)
    assert not sequence_attention_suits(usual, on_gpu(2, 4, 130, 64), plain_scores)
    for other in (on_gpu(2, 4, 128, 64, dtype=torch.float32), on_gpu(2, 4, 128, 12), on_gpu(2, 4, 128, 512)):
        assert not sequence_attention_suits(other, other, plain_scores)
    for scores in (Scores(scale=1.0, dropout=0.1), Scores(scale=1.0, bias=torch.zeros(1)), Scores(scale=1.0, mix=lambda chances: chances)):
        assert not sequence_attention_suits(usual, usual, scores)


def test_every_row_begins_a_sequence() -> None:
    starts = torch.zeros(2, 4, dtype=torch.bool)
    starts[:, 0] = starts[0, 3] = True
    borders = Borders.of(starts)
    assert (borders.places.tolist(), borders.longest) == ([0, 3, 4, 8], 4)

"""The chunked loss is the plain one, in value and gradients, and never holds the logits of all rows."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bertwright.blocks import cross_entropy
from bertwright.blocks.cross_entropy import linear_cross_entropy

ROWS, SIZE, CLASSES = 37, 8, 50


def inputs(dtype: torch.dtype = torch.float32, rows: int = ROWS) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(n, SIZE, generator=generator).to(dtype).requires_grad_() for n in (rows, CLASSES))
    bias = torch.randn(CLASSES, generator=generator).requires_grad_()
    return hidden, weight, bias, torch.randint(CLASSES, (rows,), generator=generator)


def test_default_chunks_hold_at_least_as_many_rows_as_products_need() -> None:
    assert cross_entropy.CHUNK_ROWS >= 64
    assert cross_entropy.CHUNK_VALUES * 4 <= 64 * 2**20


@pytest.mark.parametrize("chunk", [1, 5, 37, 1000])
def test_value_and_gradients_are_those_of_the_plain_loss(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK_ROWS", chunk)
    monkeypatch.setattr(cross_entropy, "CHUNK_VALUES", chunk * CLASSES)
    hidden, weight, bias, labels = inputs()
    ours = linear_cross_entropy(hidden, weight, bias, labels)
    plain = F.cross_entropy(F.linear(hidden, weight, bias), labels, reduction="sum")
    torch.testing.assert_close(ours, plain)
    # Scaled, as the loop scales it: gradients made in the forward pass must still follow what comes from above.
    found, expected = (torch.autograd.grad(loss * 3, (hidden, weight, bias)) for loss in (ours, plain))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_half_precision_rows_with_a_float32_decoder_stay_close_and_keep_their_dtypes() -> None:
    _, weight, bias, labels = inputs()
    hidden = inputs(torch.bfloat16)[0]
    ours = linear_cross_entropy(hidden, weight, bias, labels)
    plain = F.cross_entropy(F.linear(hidden.float(), weight, bias), labels, reduction="sum")
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, plain, rtol=2e-2, atol=0.0)
    found, expected = (torch.autograd.grad(loss, (hidden, weight, bias)) for loss in (ours, plain))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert float((one - other).norm() / other.norm()) < 0.05


def test_no_rows_are_no_loss_and_no_gradient() -> None:
    hidden, weight, bias, labels = inputs(rows=0)
    loss = linear_cross_entropy(hidden, weight, bias, labels)
    assert loss.item() == 0
    assert all(not gradient.any() for gradient in torch.autograd.grad(loss, (hidden, weight, bias)))


def test_float16_keeps_gradients_of_words_too_rare_for_it() -> None:
    hidden, weight, _, labels = inputs(torch.float16)
    bias = torch.zeros(CLASSES)
    bias[7] = -17.0  # a probability of some 1e-9, where float16 ends at 6e-8
    labels = torch.where(labels == 7, 8, labels)
    full = weight.detach().float().requires_grad_()
    (found,) = torch.autograd.grad(linear_cross_entropy(hidden, full, bias, labels), full)
    (expected,) = torch.autograd.grad(F.cross_entropy(F.linear(hidden.float(), full, bias), labels, reduction="sum"), full)
    assert expected[7].abs().max() < 6e-8 * ROWS
    torch.testing.assert_close(found[7], expected[7], rtol=0.2, atol=1e-9)

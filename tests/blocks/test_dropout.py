"""Dropout drops its share, evenly and independently, keeps the mean, and gives the gradient of what it kept."""

import pytest
import torch

from bertwright.blocks.dropout import STEPS, Dropout, dropout, kept

COUNT = 2**20


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.001, 0.999])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_share_that_is_dropped(dtype: torch.dtype, rate: float) -> None:
    torch.manual_seed(0)
    dropped = 1 - kept(torch.empty(COUNT, dtype=dtype), rate).double().mean().item()
    assert dropped == pytest.approx(round(rate * STEPS) / STEPS, abs=5 * (rate * (1 - rate) / COUNT) ** 0.5)
    assert abs(round(rate * STEPS) / STEPS - rate) <= 0.5 / STEPS


def test_each_of_the_four_numbers_of_a_draw_has_that_share_and_none_hangs_on_another() -> None:
    torch.manual_seed(1)
    four = kept(torch.empty(COUNT // 4, 4), 0.3).double()
    bound = 5 * (0.21 / (COUNT / 4)) ** 0.5
    assert (four.mean(0) - 0.7).abs().max() < bound
    correlations = torch.corrcoef(torch.cat([four[1:], four[:-1]], 1).T) - torch.eye(8)
    assert correlations.abs().max() < 5 * (COUNT / 4) ** -0.5


@pytest.mark.parametrize("shape", [(7,), (3, 5, 11), (1, 1), (0, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_kept_is_scaled_and_so_is_its_gradient(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    values = torch.randn(shape, dtype=dtype, requires_grad=True)
    out = dropout(values, 0.25)
    keep = out != 0
    torch.testing.assert_close(out, torch.where(keep, values / 0.75, 0), rtol=1e-2 if dtype == torch.bfloat16 else 1e-6, atol=0)
    (grad,) = torch.autograd.grad(out.sum(), values)
    torch.testing.assert_close(grad, keep.to(dtype) / 0.75, rtol=1e-2 if dtype == torch.bfloat16 else 1e-6, atol=0)


def test_a_seed_gives_the_same_places_and_another_others() -> None:
    torch.manual_seed(4)
    first = kept(torch.empty(1000), 0.5)
    second = kept(torch.empty(1000), 0.5)
    torch.manual_seed(4)
    assert torch.equal(first, kept(torch.empty(1000), 0.5))
    assert not torch.equal(first, second)


def test_nothing_is_dropped_in_evaluation_or_at_rate_0() -> None:
    values = torch.randn(100)
    assert Dropout(0.5).eval()(values) is values
    assert Dropout(0.0)(values) is values
    assert (Dropout(0.5)(values) == 0).any()

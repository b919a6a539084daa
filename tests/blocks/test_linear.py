"""The linear layer gives what torch's gives, by whichever library."""

import pytest
import torch
import torch.nn.functional as F

from bertwright.blocks import linear
from bertwright.blocks.linear import Linear


@pytest.mark.skipif(not linear.AVAILABLE, reason="oneDNN is not used on this machine")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(linear.ROWS, 24), (7, 40, 24)])
def test_inference_gives_the_same_product(shape: tuple[int, ...], bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer, x = Linear(24, 17, bias=bias), torch.randn(shape)
    expected = F.linear(x, layer.weight, layer.bias)
    monkeypatch.setattr(F, "linear", lambda *given: pytest.fail("torch's own product was taken"))
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), expected)


def test_everything_else_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, asked = Linear(24, 17), []
    plain = F.linear
    monkeypatch.setattr(F, "linear", lambda *given: (asked.append(1), plain(*given))[1])
    x = torch.randn(linear.ROWS, 24)
    layer(x)
    with torch.no_grad():
        layer(x)
    with torch.inference_mode():
        layer(x[:-1])
        layer.double()(x.double())
        layer.bfloat16()(x.bfloat16())
    assert len(asked) == 5


def test_gradients_flow() -> None:
    layer, x = Linear(24, 17), torch.randn(linear.ROWS, 24, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand_as(x))

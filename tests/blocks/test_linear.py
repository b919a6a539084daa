"""The linear layer gives what torch's gives, by whichever library."""

import pytest
import torch
import torch.nn.functional as F

from bertwright.blocks import linear
from bertwright.blocks.linear import Linear, transposed_product


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


@pytest.mark.skipif(not linear.AVAILABLE, reason="oneDNN is not used on this machine")
@pytest.mark.parametrize("trained", ["all", "weights", "input"])
@pytest.mark.parametrize("shape", [(linear.ROWS, 24), (7, 40, 24)])
def test_training_gives_the_same_product_and_gradients(shape: tuple[int, ...], trained: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer, given, of_output = Linear(24, 150), torch.randn(shape), torch.randn(*shape[:-1], 150)
    layer.requires_grad_(trained != "input")
    found = []
    for product in (F.linear, lambda x, *_: layer(x)):
        x = given.clone().requires_grad_(trained != "weights")
        out = product(x, layer.weight, layer.bias)
        out.backward(of_output)
        found.append([out.detach(), x.grad, layer.weight.grad, layer.bias.grad])
        layer.zero_grad()
        monkeypatch.setattr(F, "linear", lambda *given: pytest.fail("torch's own product was taken"))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=5e-5)  # sums of up to 280 products


def test_everything_else_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, asked = Linear(24, 17), []
    plain = F.linear
    monkeypatch.setattr(F, "linear", lambda *given: (asked.append(1), plain(*given))[1])
    x = torch.randn(linear.ROWS, 24)
    layer(x[:-1])
    with torch.inference_mode():
        layer(x[:-1])
    layer.double()(x.double())
    layer.bfloat16()(x.bfloat16())
    assert len(asked) == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [3, linear.ROWS])
def test_a_transposed_product_is_that_of_matrices(rows: int, dtype: torch.dtype) -> None:
    left, right = torch.randn(24, rows, dtype=dtype).t(), torch.randn(17, 24, dtype=dtype)
    torch.testing.assert_close(transposed_product(left, right), left @ right.t())


def test_gradients_flow() -> None:
    layer, x = Linear(24, 17), torch.randn(linear.ROWS, 24, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand_as(x))


@pytest.mark.skipif(not linear.AVAILABLE, reason="oneDNN is not used on this machine")
def test_a_gradient_of_a_gradient_is_refused_and_not_wrong() -> None:
    layer, given = Linear(24, 17), torch.randn(linear.ROWS, 24, requires_grad=True)
    (grad,) = torch.autograd.grad(layer(given).square().sum(), given, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_compiled_it_leaves_the_product_to_the_compiler() -> None:
    graphs: list[str] = []

    def traced(graph: torch.fx.GraphModule, given: object) -> object:
        graphs.append(graph.code)
        return graph.forward

    torch.compile(Linear(64, 64), backend=traced)(torch.randn(256, 64)).sum().backward()
    assert graphs
    assert not any("linear_pointwise" in code for code in graphs), "its compiler refuses weights that are trained"

"""A model whose parameters lie in one vector has the gradients that it would have alone."""

import copy

import pytest
import torch
from torch import nn

from bertwright.training.parameters import FlatParameters


class Tied(nn.Module):
    """Words in, words out by the same table."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tokens, self.middle = nn.Embedding(50, 8, padding_idx=0), nn.Linear(8, 8)

    def forward(self, ids: torch.Tensor, *, tied: bool) -> torch.Tensor:
        hidden: torch.Tensor = self.middle(self.tokens(ids))
        return (hidden @ self.tokens.weight.T if tied else hidden).square().sum()


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_of_an_embedding_add_up_to_the_dense_gradient(dtype: torch.dtype, tied: bool) -> None:
    alone, model = Tied(), Tied()
    before = copy.deepcopy(model.tokens)
    parameters = FlatParameters(model, dtype=dtype, optimizer="adamw")
    assert model.tokens.sparse == (model.tokens.weight.dtype == torch.float32), "a dense gradient of a large table costs more than the rest of a short step"
    for seed in range(2):  # the second is added to the first
        ids = torch.randint(0, 9, (4, 6), generator=torch.Generator().manual_seed(seed))
        alone(ids, tied=tied).backward()
        if dtype == torch.float32:
            model(ids, tied=tied).backward()
        else:
            with torch.autocast("cpu", dtype=dtype):
                model(ids, tied=tied).backward()
        parameters.collect()
    expected = alone.tokens.weight.grad
    assert expected is not None
    found = next(place.of(parameters.grad) for place in parameters.places if place.name == "tokens.weight")
    torch.testing.assert_close(
        found, expected, rtol=1e-5 if dtype == torch.float32 else 0.1, atol=1e-5 if dtype == torch.float32 else 0.1 * float(expected.abs().max())
    )
    parameters.give_back()
    assert not model.tokens.sparse
    assert torch.equal(model.tokens.weight, before.weight)

"""AdamW and Muon over a flat vector of parameters."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.profiler import record_function

from bertwright.training.parameters import FlatParameters, Span

# One odd quintic after the other, each the best at bringing [0.02, 1], or what the one before made of it, to 1 (Amsel et al. 2025, arXiv 2505.16932,
# section 3): singular values from a fiftieth of the matrix's norm on come within a tenth of 1. Five of Jordan et al.'s 2024 teach as much an update and cost
# two thirds more.
COEFFICIENTS = ((7.7110, -22.1138, 16.2487), (3.2153, -2.4112, 0.5013), (2.2183, -1.5940, 0.4107))
# Muon's momentum (Jordan et al. 2024); 0.2 * sqrt(larger side) gives its updates the size of AdamW's (Liu et al. 2025, arXiv 2502.16982, section 2.2).
MOMENTUM = 0.95
SCALE = 0.2
# What a profile calls the parts of an optimizer's step.
OPTIMIZER = ("optimizer: AdamW", "optimizer: Muon", "optimizer: new weights")


def orthogonalise(matrices: Tensor, *, dtype: torch.dtype) -> Tensor:
    """Near-orthogonal factors of [count, rows, columns], computed in `dtype`: singular values drawn towards 1."""
    x = matrices.to(dtype)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.float().norm(dim=(-2, -1), keepdim=True) + 1e-7).to(x.dtype)
    for a, b, c in COEFFICIENTS:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon:
    """Momentum, orthogonalised (Jordan et al. 2024), over stacks of matrices of one shape."""

    def __init__(self, parameters: FlatParameters, spans: list[Span], *, weight_decay: float) -> None:
        self.master, self.grad, self.weight_decay = parameters.master, parameters.grad, weight_decay
        self.spans = spans
        # Half precision is enough for a direction, but only where the hardware is fast at it and the run is not to be exact.
        self.dtype = torch.bfloat16 if parameters.dtype == torch.bfloat16 else torch.float32
        self.momentum = [torch.zeros_like(self.master[span.start : span.stop]) for span in spans]

    def step(self, learning_rate: float) -> None:
        for (_, shape, start, stop, factor, _), momentum in zip(self.spans, self.momentum, strict=True):
            weights, grad, rate = self.master[start:stop], self.grad[start:stop], learning_rate * factor
            momentum.lerp_(grad, 1 - MOMENTUM)
            update = orthogonalise(torch.lerp(grad, momentum, MOMENTUM).view(-1, *shape), dtype=self.dtype)
            weights.mul_(1 - rate * self.weight_decay)
            weights.view(-1, *shape).add_(update, alpha=-rate * SCALE * max(shape) ** 0.5)


class Optimizers:
    """What updates a FlatParameters: one AdamW for each decay rule and factor, one Muon for the matrices. `step` takes the schedule's factor."""

    def __init__(
        self, parameters: FlatParameters, *, learning_rate: float, muon_learning_rate: float, weight_decay: float, betas: tuple[float, float], eps: float
    ) -> None:
        self.parameters, self.learning_rate, self.muon_learning_rate = parameters, learning_rate, muon_learning_rate
        groups, stacks = [], []
        for span in parameters.spans():
            if span.rule == "muon":
                stacks.append(span)
                continue
            flat = torch.nn.Parameter(parameters.master[span.start : span.stop])
            flat.grad = parameters.grad[span.start : span.stop]
            # A weight that counts in units moves by as many of them, and is drawn to 0 no faster than others.
            decay = weight_decay / span.unit if span.rule == "adamw" else 0.0
            groups.append({"params": [flat], "weight_decay": decay, "factor": span.factor * span.unit})
        # Without a parameter of its own torch refuses it: there may be matrices alone.
        self.adamw = torch.optim.AdamW(groups or [{"params": []}], lr=learning_rate, betas=betas, eps=eps, fused=True)
        self.muon = Muon(parameters, stacks, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Updates the masters from their gradients, empties these, publishes the new weights. `factor` scales both learning rates."""
        for group in self.adamw.param_groups:
            group["lr"] = self.learning_rate * factor * group.get("factor", 1.0)
        with record_function(OPTIMIZER[0]):
            self.adamw.step()
        with record_function(OPTIMIZER[1]):
            self.muon.step(self.muon_learning_rate * factor)
        with record_function(OPTIMIZER[2]):
            self.parameters.grad.zero_()
            self.parameters.publish()

    def state(self) -> dict[str, Tensor]:
        """Every tensor a resume needs, by a stable name."""
        found = {f"muon.{i}.momentum": tensor for i, tensor in enumerate(self.muon.momentum)}
        for i, flat in enumerate(self._flats()):
            found |= {f"adamw.{i}.{key}": value for key, value in self.adamw.state[flat].items()}
        return found

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Puts back what `state` gave, from any device. Raises KeyError on a missing tensor."""
        for i, momentum in enumerate(self.muon.momentum):
            momentum.copy_(state[f"muon.{i}.momentum"])
        for i, flat in enumerate(self._flats()):
            self.adamw.state[flat] = {name: state[f"adamw.{i}.{name}"].to(flat.device, copy=True) for name in ("step", "exp_avg", "exp_avg_sq")}

    def _flats(self) -> list[Tensor]:
        return [flat for group in self.adamw.param_groups for flat in group["params"]]

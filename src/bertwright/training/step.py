"""One update: micro-batches, their gradients over global weights, the check that they are finite, clipping, the optimizers."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import record_function

from bertwright.data import keys as draws
from bertwright.data.batch import Batch
from bertwright.errors import NonFiniteError, OutOfMemory
from bertwright.objectives.objective import Trainable
from bertwright.training.adversarial import Adversary, room_for, token_table
from bertwright.training.averaging import Average, LastAverage, MovingAverage
from bertwright.training.devices import Device, is_out_of_memory
from bertwright.training.optimizers import Optimizers
from bertwright.training.parameters import FlatParameters
from bertwright.training.settings import TrainingConfig

# Dynamic loss scaling for float16 (Micikevicius et al. 2018, section 3.2), with PyTorch's GradScaler's constants.
FIRST_SCALE, GROWTH_INTERVAL, LEAST_SCALE = 2.0**16, 2000, 1.0

# What a profile calls the parts of an update.
FORWARD, BACKWARD, GRADIENTS = "forward", "backward", "gradients: collected"


@dataclass(frozen=True)
class StepResult:
    """What a step did: mean of each loss term times its coefficient, their sum, the gradient's norm before clipping, tokens read over all processes.

    told: the mean of each term that is no part of the loss.
    """

    terms: Mapping[str, float]
    loss: float
    grad_norm: float
    tokens: int
    told: Mapping[str, float] = field(default_factory=dict)


class Updater:
    """A model in training: its parameters, optimizers and loss scale, and the step that moves them.

    All processes begin with the leading one's tensors. Their gradients are summed once an update, as one vector, so parameters that a loss does not reach are
    no matter, and a model is called in whatever way the objective likes. adversary: also trains on token embeddings that it moves; average: keeps an
    average of the weights.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Trainable,
        parameters: FlatParameters,
        optimizers: Optimizers,
        device: Device,
        *,
        max_grad_norm: float,
        seed: int,
        adversary: Adversary | None = None,
        average: Average | None = None,
    ) -> None:
        self.objective, self.parameters, self.optimizers, self.device = objective, parameters, optimizers, device
        self.adversary, self.average = adversary, average
        self.table = None if adversary is None else token_table(model)
        self.room = [] if self.table is None else room_for(self.table)
        self.max_grad_norm, self.seed = max_grad_norm, seed
        self.scale = FIRST_SCALE if device.dtype == torch.float16 else 1.0
        self.good_steps = 0
        self.model = model
        device.share([*parameters.shared(), *(() if average is None else average.shared())])
        parameters.publish_all()

    @classmethod
    def of(
        cls,
        model: nn.Module,
        objective: Trainable,
        config: TrainingConfig,
        device: Device,
        *,
        factor_of: Callable[[str], float] | None = None,
        units: Mapping[str, float] | None = None,
        adversary: Adversary | None = None,
        average: float | None = None,
        average_last: int = 0,
    ) -> "Updater":
        """With the parameters and optimizers that a config asks for; its rates are given.

        factor_of: of a parameter's learning rate, by its name; units: as in `FlatParameters`; average: decay of the moving average, None or 0 for none;
        average_last: evaluations over whose weights to average, 0 for none.
        """
        parameters = FlatParameters(model, dtype=device.dtype, optimizer=config.optimizer, factor_of=factor_of, units=units)
        optimizers = Optimizers(
            parameters,
            learning_rate=config.learning_rate or 0.0,
            muon_learning_rate=config.muon_learning_rate or 0.0,
            weight_decay=config.weight_decay,
            betas=(config.adam_beta1, config.adam_beta2),
            eps=config.adam_epsilon,
        )
        return cls(
            model,
            objective,
            parameters,
            optimizers,
            device,
            max_grad_norm=config.max_grad_norm,
            seed=config.seed,
            adversary=adversary,
            average=MovingAverage(parameters, decay=average) if average else LastAverage(parameters, count=average_last) if average_last else None,
        )

    def step(self, batches: Sequence[Batch], *, number: int, factor: float) -> StepResult:
        """Trains on this process' micro-batches of one update; `number` counts updates, `factor` scales the learning rates.

        Raises, before anything is changed, NonFiniteError when a loss or gradient is no number, and OutOfMemory, on every process, when one of them ran out
        of memory.
        """
        weights, tokens = self._global(batches)
        torch.manual_seed(int(draws.draw(draws.key_of(self.seed, number), self.device.rank, draws.DROPOUT)[0] >> np.uint64(1)))
        sums, told = self._gradients(batches, weights)
        self.device.sum(self.parameters.grad)
        self.parameters.in_units()
        values = self.device.sum(torch.stack(list(sums.values()))).tolist()
        means = {name: value / (weights[name] or 1.0) for name, value in zip(sums, values, strict=True)}
        terms = {name: value for name, value in means.items() if name not in told}
        grad_norm = self._update(terms, batches, number=number, factor=factor)
        self.device.share(self.model.buffers())  # running statistics, which each process made of its own rows
        if self.average is not None:
            self.average.update(number)
        return StepResult(terms, sum(terms.values()), grad_norm, tokens, {name: means[name] for name in told})

    def _gradients(self, batches: Sequence[Batch], weights: Mapping[str, float]) -> tuple[dict[str, Tensor], list[str]]:
        """As `_pass`, with the adversary's share. Raises OutOfMemory as `_together` does."""
        found = self._together(batches, weights)
        if self.adversary is not None and self.table is not None:
            self.adversary.train(self.table, partial(self._together, batches, weights), self.device, self.room)
        return found

    def _together(self, batches: Sequence[Batch], weights: Mapping[str, float], only: list[nn.Parameter] | None = None) -> tuple[dict[str, Tensor], list[str]]:
        """As `_pass`. Raises OutOfMemory, without gradients, on all processes alike when one ran out: the others would wait for ever for its share."""
        found: tuple[dict[str, Tensor], list[str]] | None = None
        said = "another process ran out of memory"
        try:
            found = self._pass(batches, weights, only)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            said = str(error).partition("\n")[0]
        short = self.device.largest(torch.tensor(float(found is None), device=self.device.device)).item() if self.device.world_size > 1 else 0.0
        if found is None or short:
            self.parameters.drop_gradients()
            raise OutOfMemory(said)
        return found

    def _pass(self, batches: Sequence[Batch], weights: Mapping[str, float], only: list[nn.Parameter] | None) -> tuple[dict[str, Tensor], list[str]]:
        """All micro-batches forward and backward: adds to the gradients, of `only` these parameters.

        Returns the sum of each term times its coefficient, and the names of those that are no part of the loss.
        """
        told: dict[str, None] = {}
        sums = {name: torch.zeros((), device=self.device.device) for name in weights}
        for batch in batches:
            with record_function(FORWARD):
                losses = self.objective.losses(self.model, batch.to(self.device.device))
            parts = [term.coefficient * term.sum / (weights[name] or 1.0) for name, term in losses.items() if term.trained]
            total = torch.stack([part.float() for part in parts]).sum()
            with record_function(BACKWARD):
                (total * self.scale).backward(inputs=only)  # type: ignore[no-untyped-call]
            with record_function(GRADIENTS):
                self.parameters.collect()
            for name, term in losses.items():
                sums[name] += term.coefficient * term.sum.detach().float()
            told |= dict.fromkeys(name for name, term in losses.items() if not term.trained)
        return sums, list(told)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The model as it is to be measured and saved, for as long as the context lasts: with the average where there is one, else as it is."""
        if self.average is None:
            yield
            return
        with self.average.in_place():
            yield

    def _global(self, batches: Sequence[Batch]) -> tuple[dict[str, float], int]:
        """The weights and tokens of all micro-batches of all processes."""
        names = self.objective.terms
        local = [sum(batch.weights[name] for batch in batches) for name in names]
        shared = torch.tensor([*local, sum(batch.tokens for batch in batches)], dtype=torch.float64, device=self.device.device)
        *found, tokens = self.device.sum(shared).tolist()
        return dict(zip(names, found, strict=True)), int(tokens)

    def _update(self, terms: Mapping[str, float], batches: Sequence[Batch], *, number: int, factor: float) -> float:
        grad = self.parameters.grad
        norm: float = (torch.linalg.vector_norm(grad) / self.scale).item()
        loss_is_finite = all(math.isfinite(value) for value in terms.values())
        if loss_is_finite and not math.isfinite(norm) and self.device.dtype == torch.float16 and self.scale > LEAST_SCALE:
            self.scale, self.good_steps = self.scale / 2, 0
            grad.zero_()
            return norm
        if not (loss_is_finite and math.isfinite(norm)):
            raise NonFiniteError(self._not_finite(terms, norm, batches, number=number))
        clip = min(1.0, self.max_grad_norm / (norm + 1e-6)) if self.max_grad_norm else 1.0
        if clip / self.scale != 1.0:
            grad.mul_(clip / self.scale)
        self.optimizers.step(factor)
        if self.device.dtype == torch.float16:
            self.good_steps += 1
            if self.good_steps == GROWTH_INTERVAL:
                self.scale, self.good_steps = self.scale * 2, 0
        return norm

    @staticmethod
    def _not_finite(terms: Mapping[str, float], norm: float, batches: Sequence[Batch], *, number: int) -> str:
        first, last = batches[0].numbers[0], batches[-1].numbers[-1]
        losses = ", ".join(f"{name} loss {value:g}" for name, value in terms.items())
        return (
            f"step {number}: not finite ({losses}, gradient norm {norm:g}) on samples {first} to {last}; nothing was updated: "
            "lower learning_rate, or look at these samples"
        )

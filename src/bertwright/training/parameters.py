"""A model's parameters as one flat float32 vector that optimizers work on, and its copy in the precision that is computed in."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from bertwright.blocks.attention import Attention
from bertwright.errors import InputError
from bertwright.models.heads import Labelling

Rule = Literal["muon", "adamw", "adamw_no_decay"]


@dataclass(frozen=True)
class Place:
    """Where one parameter lies in the flat vector; `factor`: of its learning rate; `unit`: what it counts in."""

    name: str
    shape: torch.Size
    start: int
    rule: Rule
    factor: float = 1.0
    unit: float = 1.0

    @property
    def stop(self) -> int:
        return self.start + self.shape.numel()

    def of(self, flat: Tensor) -> Tensor:
        """This parameter's part of a flat vector, in its own shape."""
        return flat[self.start : self.stop].view(self.shape)


class Span(NamedTuple):
    """Parameters that lie together and that one optimizer call takes; `shape`: of each of them, which matters to Muon alone; factor, unit: of a `Place`."""

    rule: Rule
    shape: torch.Size
    start: int
    stop: int
    factor: float
    unit: float


def rule_of(name: str, parameter: Tensor, *, optimizer: str) -> Rule:
    """Muon for the matrices of blocks and heads (Jordan et al. 2024); AdamW for the rest, without decay on biases and norms.

    The model may stand inside another module, whose own matrices AdamW takes.
    """
    if parameter.ndim < 2:
        return "adamw_no_decay"
    path = f".{name}"
    inside = ".blocks." in path or path.endswith((".encoder.projection.weight", ".decoder.projection.weight", ".dense.weight"))
    return "muon" if optimizer == "muon" and inside else "adamw"


def query_factors(model: nn.Module) -> dict[str, float]:
    """The factor of the learning rate of every query matrix whose scores are not divided by the root of the head size: its inverse, by the matrix's name.

    Such queries begin that much smaller (`initialise`), and a step of every matrix's usual size would let the scores run away: T5's authors train with steps
    in proportion to a matrix's own size (Shazeer & Stern 2018, section 8).
    """
    unscaled = {name: module for name, module in model.named_modules() if isinstance(module, Attention) and module.scale == 1}
    return {f"{name}.query.weight": module.head_size**-0.5 for name, module in unscaled.items()}


class FlatParameters:
    """Takes over the parameters of a model, or of a module that has one inside: float32 masters, gradients and the copies in `dtype` lie in one vector each.

    Parameters are ordered by rule, factor of the learning rate (`factor_of` their name; 1 without) and shape, so every AdamW rule is one slice and Muon's
    matrices of one shape are one stacked tensor, for each factor. units: by name, what a parameter of AdamW's counts in where that is not 1: it is trained as
    if it stood divided by its unit (`in_units`, `Optimizers`). Embedding tables, the decoder's own matrix, its bias and the output of classes and numbers are
    float32 under any `dtype`: the tables' gradients add up over many tokens, the others span more than half precision resolves. Parameters that are not
    trained (`requires_grad` false) are computed with in the same precisions, and `frozen` keeps them by name in float32; buffers stay as they are.
    Raises InputError where nothing is trained.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        dtype: torch.dtype,
        optimizer: str,
        factor_of: Callable[[str], float] | None = None,
        units: Mapping[str, float] | None = None,
    ) -> None:
        named = [(name, parameter, rule_of(name, parameter, optimizer=optimizer)) for name, parameter in model.named_parameters() if parameter.requires_grad]
        factors = {name: 1.0 if factor_of is None else factor_of(name) for name, _, _ in named}
        if not named:
            raise InputError("the module has nothing to train, every parameter has requires_grad False: set it to True on those that are to be trained")
        units = {name: (units or {}).get(name, 1.0) for name, _, _ in named}
        named.sort(key=lambda item: (not self._stays_float32(item[0]), item[2], factors[item[0]], units[item[0]], tuple(item[1].shape)))
        self.model, self.dtype = model, dtype
        self.places: list[Place] = []
        start = 0
        for name, parameter, rule in named:
            self.places.append(Place(name, parameter.shape, start, rule, factors[name], units[name]))
            start += parameter.numel()
        self._counted = [place for place in self.places if place.unit != 1]
        self.direct = start if dtype == torch.float32 else sum(place.shape.numel() for place in self.places if self._stays_float32(place.name))
        device = named[0][1].device
        self.master = torch.empty(start, device=device)
        self.grad = torch.zeros(start, device=device)
        self.compute = torch.empty(start - self.direct, device=device, dtype=dtype)
        self.compute_grad = torch.zeros_like(self.compute)
        for place, (_, parameter, _) in zip(self.places, named, strict=True):
            place.of(self.master).copy_(parameter.detach())
            self._adopt(place, parameter)
        idle = {name: parameter for name, parameter in model.named_parameters() if not parameter.requires_grad and parameter.is_floating_point()}
        self.frozen = {name: parameter.detach().float() for name, parameter in idle.items()}
        for name, parameter in idle.items():
            parameter.data = self.frozen[name].to(torch.float32 if self._stays_float32(name) else dtype)
        self.sparse = [table for table in model.modules() if isinstance(table, nn.Embedding) and self._adds_rows_alone(table)]
        for table in self.sparse:
            table.sparse = True
        self.publish()

    @staticmethod
    def _stays_float32(name: str) -> bool:
        path = f".{name}"
        tables = (".positions.", ".segments.", ".heads.mlm.decoder.", ".heads.lm.decoder.", Labelling.EXACT)
        return path.endswith((".tokens.weight", ".heads.mlm.bias", ".heads.lm.bias")) or any(table in path for table in tables)

    @staticmethod
    def _adds_rows_alone(table: nn.Embedding) -> bool:
        """Whether a table's gradient is to come as the rows that a batch reads, added to the flat vector: a dense one is written, read and added whole.

        Not on a GPU, where sorting the rows costs more, and not where torch knows no such gradient.
        """
        weight = table.weight
        suits = weight.requires_grad and weight.device.type == "cpu" and weight.dtype == torch.float32
        return suits and not table.sparse and not table.scale_grad_by_freq

    def _adopt(self, place: Place, parameter: nn.Parameter) -> None:
        if place.start < self.direct:
            parameter.data, parameter.grad = place.of(self.master), place.of(self.grad)
        else:
            moved = Place(place.name, place.shape, place.start - self.direct, place.rule)
            parameter.data, parameter.grad = moved.of(self.compute), moved.of(self.compute_grad)

    @torch.no_grad()
    def publish(self) -> None:
        """Copies the masters into the computed precision."""
        self.compute.copy_(self.master[self.direct :])

    @torch.no_grad()
    def collect(self) -> None:
        """Adds the gradients of the computed precision to the float32 ones and empties them."""
        if len(self.compute):
            self.grad[self.direct :] += self.compute_grad
            self.compute_grad.zero_()

    def drop_gradients(self) -> None:
        """Empties all gradients, those of a pass that was broken off too."""
        self.grad.zero_()
        self.compute_grad.zero_()

    @torch.no_grad()
    def in_units(self) -> None:
        """Makes of the gradients those by each parameter divided by its unit."""
        for place in self._counted:
            place.of(self.grad).mul_(place.unit)

    def spans(self) -> Iterator[Span]:
        """Runs of parameters that one optimizer call takes."""
        alike = groupby(self.places, lambda place: (place.rule, place.factor, place.unit, place.shape if place.rule == "muon" else None))
        for _, run in alike:
            first, *rest = run
            yield Span(first.rule, first.shape, first.start, (rest or [first])[-1].stop, first.factor, first.unit)

    def state(self) -> dict[str, Tensor]:
        """The masters by parameter name, as views, and the model's tensors that are not trained, all of them in full precision."""
        whole = {**self.frozen, **{place.name: place.of(self.master) for place in self.places}}
        return {**{name: tensor for name, tensor in self.model.state_dict().items() if name not in whole}, **whole}

    def shared(self) -> list[Tensor]:
        """What all processes have alike: the masters, what is frozen, the buffers."""
        return [self.master, *self.frozen.values(), *self.model.buffers()]

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Puts back what `state` gave, in place. Raises KeyError on a missing tensor."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
        self.publish_all()

    @torch.no_grad()
    def publish_all(self) -> None:
        """Copies the masters, and what is frozen, into the computed precision."""
        self.publish()
        named = dict(self.model.named_parameters())
        for name, whole in self.frozen.items():
            named[name].copy_(whole)

    def give_back(self) -> None:
        """Leaves every parameter in memory of its own again, in float32: as it was trained or, frozen, as it came."""
        named = dict(self.model.named_parameters())
        for place in self.places:
            named[place.name].grad = None
            named[place.name].data = place.of(self.master).clone()
        for name, whole in self.frozen.items():
            named[name].data = whole
        for table in self.sparse:
            table.sparse = False

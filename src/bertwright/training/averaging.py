"""An average of the weights, to evaluate and to save in place of the last ones."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from bertwright.training.parameters import FlatParameters


class Average(ABC):
    """What stands in place of the masters where a model is measured and saved."""

    parameters: FlatParameters

    @property
    @abstractmethod
    def average(self) -> Tensor:
        """As one vector, laid out as the masters."""

    @abstractmethod
    def shared(self) -> Sequence[Tensor]:
        """What all processes have alike."""

    def update(self, number: int) -> None:
        """Takes in the masters after update `number`, counted from 0, where each of them counts."""
        return

    def reached(self) -> None:
        """Takes in the masters where the model is about to be measured, where these moments count."""
        return

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model computes with the average, and the masters hold it, for as long as the context lasts; then all is as it was, bit for bit."""
        masters = self.parameters.master.clone()
        self._put(self.average)
        try:
            yield
        finally:
            self._put(masters)

    def masters(self) -> dict[str, Tensor]:
        """The weights that training goes on with, by parameter name, as views, and what else a resume needs beside the average."""
        return {place.name: place.of(self.parameters.master) for place in self.parameters.places}

    @abstractmethod
    def load(self, masters: Mapping[str, Tensor]) -> None:
        """Takes what the parameters hold, as read from a saved model, for the average, and puts these masters back. Raises KeyError on a missing tensor."""

    @torch.no_grad()
    def _put(self, flat: Tensor) -> None:
        self.parameters.master.copy_(flat)
        self.parameters.publish()

    @torch.no_grad()
    def _put_back(self, masters: Mapping[str, Tensor]) -> None:
        for name, tensor in Average.masters(self).items():
            tensor.copy_(masters[name])
        self.parameters.publish()


class MovingAverage(Average):
    """An exponential moving average of the masters (Polyak & Juditsky 1992, in TensorFlow's form): average = d * average + (1 - d) * masters.

    d is `decay`, and at first (1 + updates) / (10 + updates), so that the first weights are soon forgotten. What is not trained needs no average.
    """

    def __init__(self, parameters: FlatParameters, *, decay: float) -> None:
        self.parameters, self.decay = parameters, decay
        self._average = parameters.master.clone()

    @property
    def average(self) -> Tensor:
        return self._average

    def shared(self) -> Sequence[Tensor]:
        return [self._average]

    @torch.no_grad()
    def update(self, number: int) -> None:
        decay = min(self.decay, (1 + number) / (10 + number))
        self._average.lerp_(self.parameters.master, 1 - decay)

    @torch.no_grad()
    def load(self, masters: Mapping[str, Tensor]) -> None:
        self._average.copy_(self.parameters.master)
        self._put_back(masters)


class LastAverage(Average):
    """The mean of the weights at the last `count` evaluations (Kaddour 2022, LAWA, arXiv 2209.14981); the masters themselves before the first.

    Holds the weights of each of these moments, here and in every checkpoint: a mean alone could not drop the oldest.
    """

    def __init__(self, parameters: FlatParameters, *, count: int) -> None:
        self.parameters, self.count = parameters, count
        self.kept: list[Tensor] = []

    @property
    def average(self) -> Tensor:
        if not self.kept:
            return self.parameters.master
        total = self.kept[0].clone()
        for weights in self.kept[1:]:
            total += weights
        return total.div_(len(self.kept))

    def shared(self) -> Sequence[Tensor]:
        return self.kept

    @torch.no_grad()
    def reached(self) -> None:
        self.kept = [*self.kept, self.parameters.master.clone()][-self.count :]

    def masters(self) -> dict[str, Tensor]:
        earlier = {_kept_name(number, place.name): place.of(weights) for number, weights in enumerate(self.kept) for place in self.parameters.places}
        return {**super().masters(), **earlier}

    @torch.no_grad()
    def load(self, masters: Mapping[str, Tensor]) -> None:
        first = self.parameters.places[0].name
        count = sum(_kept_name(number, first) in masters for number in range(self.count))
        self.kept = [torch.empty_like(self.parameters.master) for _ in range(count)]
        for number, weights in enumerate(self.kept):
            for place in self.parameters.places:
                place.of(weights).copy_(masters[_kept_name(number, place.name)])
        self._put_back(masters)


def _kept_name(number: int, name: str) -> str:
    return f"kept.{number}.{name}"

"""A moving average of the weights, to evaluate and to save in place of the last ones."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from bertwright.training.parameters import FlatParameters


class Average:
    """An exponential moving average of the masters (Polyak & Juditsky 1992, in TensorFlow's form): average = d * average + (1 - d) * masters.

    d is `decay`, and at first (1 + updates) / (10 + updates), so that the first weights are soon forgotten. What is not trained needs no average.
    """

    def __init__(self, parameters: FlatParameters, *, decay: float) -> None:
        self.parameters, self.decay = parameters, decay
        self.average = parameters.master.clone()

    @torch.no_grad()
    def update(self, number: int) -> None:
        """Takes in the masters after update `number`, counted from 0."""
        decay = min(self.decay, (1 + number) / (10 + number))
        self.average.lerp_(self.parameters.master, 1 - decay)

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
        """The weights that training goes on with, by parameter name, as views; a resume needs them beside the average."""
        return {place.name: place.of(self.parameters.master) for place in self.parameters.places}

    @torch.no_grad()
    def load(self, masters: Mapping[str, Tensor]) -> None:
        """Takes what the parameters hold, as read from a saved model, for the average, and puts these masters back. Raises KeyError on a missing tensor."""
        self.average.copy_(self.parameters.master)
        for name, tensor in self.masters().items():
            tensor.copy_(masters[name])
        self.parameters.publish()

    @torch.no_grad()
    def _put(self, flat: Tensor) -> None:
        self.parameters.master.copy_(flat)
        self.parameters.publish()

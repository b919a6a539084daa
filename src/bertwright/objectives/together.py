"""The model that is trained and what it is trained with: a generator, a teacher, a projection."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import Architecture, HeadKind
from bertwright.models import Model


@dataclass(frozen=True, kw_only=True)
class Companion:
    """A second model that an objective needs. name: what it is called, also as a folder in a checkpoint; heads: exactly those it has.

    Either `architecture`, of one that is trained along and saved with the model, or `checkpoint`, of one that stays as it is and is only read.
    """

    name: str
    heads: tuple[HeadKind, ...]
    architecture: Architecture | None = None
    checkpoint: str | None = None


class Disentangled(nn.Embedding):
    """A token table that is the sum of another model's, whose gradient stops here, and a difference of its own (He et al. 2021, arXiv 2111.09543, section 3.3).

    `weight`, [vocab_size, embedding_size], is the difference alone; the other table is no part of this module.
    """

    def __init__(self, own: nn.Embedding, base: nn.Embedding) -> None:
        super().__init__(own.num_embeddings, own.embedding_dim, _weight=own.weight.detach() - base.weight.detach())
        self._base = (base,)  # in a tuple, so that it is not registered as a part

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + F.embedding(input, self._base[0].weight.detach())


class Together(nn.Module):
    """`model` is what a run is for; `beside`, by name, is trained along or, without anything that requires a gradient, stays as it is.

    What stays as it is never drops out. Parameters that two of them share have the name of the first one that holds them.
    """

    def __init__(self, model: Model, beside: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.model, self.beside = model, nn.ModuleDict(beside)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.beside.values():
            if not is_trained(module):
                module.train(False)
        return self

    def of(self, name: str) -> Model:
        """A second model by its name."""
        return cast(Model, self.beside[name])

    def kept(self) -> list[str]:
        """The names, in this module, of the parameters that a resume needs beside the saved model: what trains along, a difference saved as a sum."""
        trained = tuple(f"beside.{name}." for name, module in self.beside.items() if is_trained(module))
        summed = ("model.tokens.weight",) if isinstance(self.model.tokens, Disentangled) else ()
        return [name for name, _ in self.named_parameters() if name.startswith(trained) or name in summed]

    @torch.no_grad()
    def finished(self, state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """The tensors of the model ("") and of each trained Model beside it, by their own names, as they are saved: from this module's in full precision."""
        parts = {"": self.model, **{name: module for name, module in self.beside.items() if isinstance(module, Model) and is_trained(module)}}
        by_place = {id(parameter): state[name] for name, parameter in self.named_parameters()}
        found = {name: {own: by_place.get(id(tensor), tensor) for own, tensor in _tensors(part).items()} for name, part in parts.items()}
        if isinstance(table := self.model.tokens, Disentangled):
            found[""]["tokens.weight"] = found[""]["tokens.weight"] + by_place[id(table._base[0].weight)]
        return found


def _tensors(part: nn.Module) -> dict[str, Tensor]:
    """The tensors of a module's state, parameters as themselves."""
    own = dict(part.named_parameters(remove_duplicate=False))
    return {name: own.get(name, tensor) for name, tensor in part.state_dict().items()}


def is_trained(module: nn.Module) -> bool:
    """Whether anything in a module is learnt."""
    return any(parameter.requires_grad for parameter in module.parameters())


def main_model(module: nn.Module) -> Model:
    """The model that a run is for: of what it is trained with, or the module itself."""
    return cast(Model, module.model if isinstance(module, Together) else module)


def together(module: nn.Module) -> Together:
    """The module, which must hold a model and what is beside it. Raises ValueError for a model alone."""
    if not isinstance(module, Together):
        raise ValueError("this objective trains a model with another: give what its `together` returned")
    return module

"""Adversarial training: the token embeddings are moved to where the loss is higher, and the model is trained on them there too."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bertwright.errors import InputError
from bertwright.training.devices import Device


@dataclass(frozen=True, kw_only=True)
class Adversary:
    """Moves the token table along its gradient, `steps` times by a move of norm `alpha`, never farther than `epsilon` from where it was.

    The gradient of the last step's passes is added to that of the ordinary ones (Madry et al. 2018, section 2.1: projected gradient descent, here in the
    Euclidean norm of the whole table). One step of the full length is the fast gradient method.
    """

    epsilon: float
    alpha: float
    steps: int

    @classmethod
    def fgm(cls, *, epsilon: float = 1.0) -> "Adversary":
        """One move of norm `epsilon` along the gradient (Miyato et al. 2017, section 3, equation 5)."""
        return cls(epsilon=epsilon, alpha=epsilon, steps=1)

    @classmethod
    def pgd(cls, *, epsilon: float = 1.0, alpha: float = 0.3, steps: int = 3) -> "Adversary":
        """Several moves of norm `alpha`, drawn back to within `epsilon`."""
        return cls(epsilon=epsilon, alpha=alpha, steps=steps)

    @torch.no_grad()
    def train(self, table: nn.Parameter, passes: Callable[[list[nn.Parameter] | None], object], device: Device, room: Sequence[Tensor]) -> None:
        """Adds the adversarial gradient to those that the ordinary passes left, and puts the table back bit for bit.

        passes: runs the update's micro-batches forward and backward, and adds the gradients of the parameters given, of all where none are. room: `room_for`
        the table, made once, so that memory runs out in passes alone.
        The gradient that leads the way is that of all processes. One of zero, or one that is no number, leads nowhere: then there is no adversarial pass.
        """
        grad = table.grad
        if grad is None:
            raise InputError("adversarial moves the token embeddings, and they have no gradient: train them, or leave adversarial out")
        before, ordinary, spare = room
        before.copy_(table)
        ordinary.copy_(grad)
        try:
            for step in range(self.steps):
                if not self._move(table, before, device.sum(spare.copy_(grad))):
                    break
                last = step + 1 == self.steps
                grad.copy_(ordinary) if last else grad.zero_()
                with torch.enable_grad():
                    passes(None if last else [table])
            else:
                return
            grad.copy_(ordinary)
        finally:
            table.copy_(before)

    def _move(self, table: Tensor, before: Tensor, grad: Tensor) -> bool:
        """One step of the table; false where the gradient, which is overwritten, does not say where to."""
        norm = torch.linalg.vector_norm(grad).item()
        if not 0 < norm < float("inf"):
            return False
        table.add_(grad, alpha=self.alpha / norm)
        if self.steps > 1:
            away = torch.sub(table, before, out=grad)
            distance = torch.linalg.vector_norm(away).item()
            if distance > self.epsilon:
                table.copy_(before).add_(away, alpha=self.epsilon / distance)
        return True


def room_for(table: Tensor) -> list[Tensor]:
    """What `Adversary.train` works in: three tensors like the table."""
    return [torch.empty_like(table, requires_grad=False) for _ in range(3)]


def token_table(model: nn.Module) -> nn.Parameter:
    """The token embeddings of a model, or of the one inside a module. Raises InputError where there are none that are trained."""
    for name, parameter in model.named_parameters():
        if f".{name}".endswith(".tokens.weight"):
            if not parameter.requires_grad:
                raise InputError("adversarial moves the token embeddings, and freeze_layers keeps them as they are: leave one of the two out")
            return parameter
    raise InputError("adversarial moves the token embeddings, and this module has none of that name (tokens.weight): leave it out")

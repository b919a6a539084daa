"""First weights as BERT has them."""

from torch import nn


def initialise(model: nn.Module, *, std: float) -> None:
    """Normal weights of deviation `std`, zero biases, unit norms (Devlin et al. 2018, released code)."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)

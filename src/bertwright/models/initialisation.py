"""First weights, as the papers' released code has them."""

import math

import torch
from torch import nn

from bertwright.architecture import Architecture
from bertwright.blocks.attention import Attention
from bertwright.blocks.feed_forward import FeedForward
from bertwright.blocks.positions import AbsolutePosition, BucketedPosition, RelativeTablePosition


@torch.no_grad()
def initialise(model: nn.Module, architecture: Architecture) -> None:
    """Normal weights of deviation `initializer_range`, zero biases, unit norms (Devlin et al. 2018, released code).

    With `fan_in`, matrices take the inverse root of their inputs, token vectors 1, queries also the inverse root of the head size where scores are not scaled
    (Raffel et al. 2019, released code). With `scaled_residuals`, what writes to the residual is divided by the root of twice the layers.
    """
    usual = architecture.initializer_range
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5 if architecture.fan_in else usual)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=1.0 if architecture.fan_in else usual)
        elif isinstance(module, AbsolutePosition | BucketedPosition):
            nn.init.normal_(module.weight, std=architecture.hidden_size**-0.5 if architecture.fan_in else usual)
        elif isinstance(module, RelativeTablePosition):
            for table in module.distances:
                nn.init.normal_(table, std=usual)
    for module in model.modules():
        if isinstance(module, Attention) and architecture.fan_in and module.scale == 1:
            module.query.weight.mul_(module.head_size**-0.5)
        if architecture.scaled_residuals and isinstance(module, Attention | FeedForward):
            matrix = module.output if isinstance(module, Attention) else module.down
            matrix.weight.div_(math.sqrt(2 * architecture.last.num_layers))

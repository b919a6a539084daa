"""Norms by their architecture name."""

from torch import nn

from bertwright.architecture import Block


def norm(size: int, block: Block) -> nn.Module:
    """LayerNorm (Ba et al. 2016), with a bias or without, or RMSNorm (Zhang and Sennrich 2019): [..., size] -> the same shape."""
    if block.norm == "rms":
        return nn.RMSNorm(size, eps=block.norm_eps)
    return nn.LayerNorm(size, eps=block.norm_eps, bias=block.norm_bias)

"""softmax(query key^T) value, by the fastest way that what is asked for allows."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bertwright.blocks.dropout import dropout
from bertwright.blocks.short_attention import short_attention, suits


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How a layer scores: `scale` of the products; how far it looks; a `bias` [.., heads, queries, keys] added before the softmax; `mix`, which makes of
    the probabilities what is added to the values (NEZHA); dropout of the probabilities.
    """

    scale: float
    causal: bool = False
    window: int | None = None
    bias: Tensor | None = None
    mix: Callable[[Tensor], Tensor] | None = None
    dropout: float = 0.0


def attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, scores: Scores, *, triangle: bool = False) -> Tensor:
    """[batch, heads, queries, head_size], twice [batch, heads, keys, head_size] -> the shape of the query.

    `allowed`: bool, true where attention may go; triangle: it lets each query see the keys up to its own place, and kernels know that by themselves.
    """
    if scores.mix is not None:
        chances = dropout(probabilities(query, key, allowed, scores), scores.dropout)
        return chances @ value + scores.mix(chances)
    if scores.bias is None and suits(query, dropout=scores.dropout):
        return short_attention(query, key, value, allowed, scale=scores.scale, dropout=scores.dropout)
    mask = None if triangle else allowed if scores.bias is None else biased(scores.bias, allowed).to(query.dtype)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=scores.dropout, scale=scores.scale, is_causal=triangle)


def probabilities(query: Tensor, key: Tensor, allowed: Tensor | None, scores: Scores) -> Tensor:
    """The attention after the softmax, without dropout, [batch, heads, queries, keys], in plain operations."""
    products = query @ key.transpose(-1, -2) * scores.scale
    if scores.bias is not None:
        products = products + scores.bias.to(products.dtype)
    if allowed is not None:
        products = products.masked_fill(~allowed, torch.finfo(products.dtype).min)
    return products.softmax(-1)


def biased(bias: Tensor, allowed: Tensor | None) -> Tensor:
    """A bias that keeps attention where it may go, broadcastable as both."""
    return bias if allowed is None else bias.masked_fill(~allowed, torch.finfo(bias.dtype).min)

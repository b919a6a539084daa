"""Attention of packed rows on a GPU: flash attention over sequences of their own lengths (Dao 2023, arXiv 2307.08691), without a mask over whole rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bertwright.blocks.scores import Scores

# What flash attention is written for.
HEAD_STEP, HEAD_LARGEST = 8, 256


@dataclass(frozen=True)
class Borders:
    """Where sequences lie in the flattened rows: `places` int32 [sequences + 1], each first place and the end; longest: tokens of the longest."""

    places: Tensor
    longest: int

    @classmethod
    def of(cls, starts: Tensor) -> "Borders":
        """starts: bool [batch, length], true on the first token of every sequence; rows begin one."""
        places = torch.cat([starts.flatten().nonzero().flatten(), torch.tensor([starts.numel()], device=starts.device)])
        return cls(places.int(), int(places.diff().max()))

    def each(self, change: Callable[[Tensor], Tensor]) -> "Borders":
        """The same with its tensor changed so, such as copied to another device."""
        return Borders(change(self.places), self.longest)


def sequence_attention(query: Tensor, key: Tensor, value: Tensor, borders: Borders, scores: Scores) -> Tensor:
    """[batch, heads, length, head_size] thrice -> the same shape; every token sees those of its own sequence that are within the layer's reach."""
    from torch.nn.attention import varlen  # brings what compiles with it, two seconds that a CPU need not wait

    batch, heads, length, size = query.shape
    query, key, value = (given.transpose(1, 2).flatten(0, 1) for given in (query, key, value))
    reach = -1 if scores.window is None else scores.window
    ends, longest = borders.places, borders.longest
    window = (reach, 0 if scores.causal else reach)
    found: Any = varlen.varlen_attn(query, key, value, ends, ends, longest, longest, scale=scores.scale, window_size=window)
    out: Tensor = found.view(batch, length, heads, size).transpose(1, 2)
    return out


def sequence_attention_suits(query: Tensor, key: Tensor, scores: Scores) -> bool:
    """Whether this is the way: on a GPU in half precision, no bias, no dropout, nothing cached."""
    if not query.is_cuda or query.dtype not in (torch.bfloat16, torch.float16) or query.shape != key.shape:
        return False
    if scores.bias is not None or scores.mix is not None or scores.dropout:
        return False
    return query.shape[-1] % HEAD_STEP == 0 and query.shape[-1] <= HEAD_LARGEST and works(query.device, query.dtype, query.shape[-1])


@cache
def works(device: torch.device, dtype: torch.dtype, head_size: int) -> bool:
    """Whether the kernel gives on this device what a mask gives: not every GPU and not every build of torch has it. Tried once."""
    generator = torch.Generator().manual_seed(0)
    starts = torch.zeros(2, 64, dtype=torch.bool, device=device)
    starts[:, 0] = starts[0, 23] = starts[1, 40] = True
    # The trial may fall into any pass: where nothing keeps gradients, and where what a pass keeps is counted, to be computed again.
    with torch.inference_mode(False), torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(_as_it_is, _as_it_is):
        query, key, value = (torch.randn(2, 2, 64, head_size, generator=generator).to(device, dtype).requires_grad_() for _ in range(3))
        try:
            return all(_agrees(query, key, value, starts, causal=causal, window=window) for causal in (False, True) for window in (None, 8))
        except (ImportError, RuntimeError, TypeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            return False


def _agrees(query: Tensor, key: Tensor, value: Tensor, starts: Tensor, *, causal: bool, window: int | None) -> bool:
    """Output and gradients, by the kernel and by a mask."""
    places = torch.arange(starts.shape[1], device=starts.device)
    distance, sequence = places - places[:, None], starts.flatten().cumsum(0).view_as(starts)
    allowed = (sequence[:, None, :, None] == sequence[:, None, None, :]) & (distance.abs() <= (len(places) if window is None else window))
    scores = Scores(scale=query.shape[-1] ** -0.5, causal=causal, window=window)
    found = sequence_attention(query, key, value, Borders.of(starts), scores)
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed & (distance <= 0) if causal else allowed, scale=scores.scale)
    ours, theirs = ([each, *torch.autograd.grad(each.square().sum(), (query, key, value))] for each in (found, expected))
    return all(torch.allclose(one.float(), other.float(), rtol=0.05, atol=0.05) for one, other in zip(ours, theirs, strict=True))


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor

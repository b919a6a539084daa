"""What a run will cost, told before it starts: operations, seconds, bytes. Rough figures, from counts and one short measurement."""

import time

import torch
import torch.nn.functional as F

from bertwright.analysis.operations import block_weights, row_operations, row_tokens
from bertwright.architecture import LM, MLM, Architecture
from bertwright.training.devices import Device

# Share of the matrix rate that a training step reaches: measured between 0.5 and 0.6 on CPUs at 4x256 and 12x768.
EFFICIENCY = 0.5
# Tokens of the matrix products that tell how fast the device is: enough for its full rate, few enough to be done at once.
TRIED_TOKENS = 2048
# Values of hidden size kept for the backward pass of a block, per token: input, query, key, value, mixed, two norms and residuals, and
# before and after the activation of a four times wider feed-forward.
KEPT_PER_BLOCK = 17


def operations_per_token(architecture: Architecture, *, length: int, scored: float) -> float:
    """Floating-point operations of one token, forward and backward, with a language-modelling head on the `scored` share of tokens where the family has one.

    What is counted is said in `analysis/operations.py`.
    """
    kinds = tuple(head.kind for head in architecture.heads if head.kind in (MLM, LM))[:1]
    counts = row_operations(architecture, kinds, length=length, scored=scored).values()
    return sum(count.forward + count.backward for count in counts) / row_tokens(architecture, length=length)


def matrix_rate(architecture: Architecture, device: Device, *, tokens: int, scored: int, seconds: float = 0.02) -> float:
    """The best rate of `torch.nn.functional.linear` over the shapes of a model, in operations per second and in the run's precision.

    tokens: of a pass; scored: those of them that a language-modelling head reads, 0 for none; seconds: for each shape.
    """
    block = architecture.last.block
    inner = block.num_heads * block.head_size
    shapes = {
        (tokens, block.hidden_size, inner),
        (tokens, inner, block.hidden_size),
        (tokens, block.hidden_size, block.intermediate_size),
        (tokens, block.intermediate_size, block.hidden_size),
        *([(scored, architecture.embedding_size, architecture.vocab_size)] if scored else []),
    }
    return max(_rate(shape, device, seconds=seconds) for shape in shapes)


@torch.no_grad()
def _rate(shape: tuple[int, int, int], device: Device, *, seconds: float) -> float:
    rows, inputs, outputs = shape
    given = torch.randn(rows, inputs, device=device.device, dtype=device.dtype)
    weight = torch.randn(outputs, inputs, device=device.device, dtype=device.dtype)
    _ = F.linear(given, weight)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        _ = F.linear(given, weight)
        if device.device.type == "cuda":
            torch.cuda.synchronize()
        count += 1
    return count * 2.0 * rows * inputs * outputs / (time.perf_counter() - start)


def bytes_needed(architecture: Architecture, *, parameters: int, muon: bool, half: bool, rows: int, length: int, scored: float) -> int:
    """Weights, gradients, optimizer and activations of one pass of `rows` x `length` tokens, in bytes; the interpreter not counted."""
    block, layers = architecture.last.block, architecture.last.depth
    width, tokens = (2 if half else 4), rows * length
    in_muon = layers * block_weights(block) if muon else 0
    state = parameters * (8 + (2 * width if half else 0)) + 4 * in_muon + 8 * (parameters - in_muon)
    kept = layers * (KEPT_PER_BLOCK * block.hidden_size + block.num_heads * length) * tokens * width
    logits = min(int(scored * tokens), 128 + 4 * 2**20 // architecture.vocab_size) * architecture.vocab_size * 8
    return state + kept + logits

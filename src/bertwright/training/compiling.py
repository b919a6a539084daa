"""torch.compile, for what a block does for each place alone: `--torch_compile`."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bertwright.blocks.transformer_block import TransformerBlock
from bertwright.training.devices import is_out_of_memory


def compile_blocks(model: nn.Module, *, rows: int, length: int) -> str:
    """Has the blocks of a model, or of a module with one inside, train by compiled code, and says how long compiling took: torch keeps it for the next run.

    It is tried on a pass of `rows` x `length`. Where it fails, for want of a compiler, nothing changes, and that is said.
    """
    blocks = [module for module in model.modules() if isinstance(module, TransformerBlock)]
    begun = time.monotonic()
    try:
        compiled = torch.compile(TransformerBlock.onward)
        with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else []):
            for block in blocks:
                _try(block, compiled, (rows, length))
                _try(block, compiled, (rows * length,))  # where only scored places go on, whose number changes
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        reason = str(error).strip().partition("\n")[0]
        return f"torch.compile is not to be had here: {type(error).__name__}: {reason}"
    for block in blocks:
        block.compiled = compiled
    return f"torch.compile: {len(blocks)} blocks in {time.monotonic() - begun:.1f} s"


def _try(block: TransformerBlock, compiled: Callable[..., Tensor], places: tuple[int, ...]) -> None:
    """Forward and backward, so that both are compiled."""
    down = block.feed_forward.down
    hidden, found = (torch.zeros(*places, down.out_features, dtype=down.weight.dtype, device=down.weight.device, requires_grad=True) for _ in range(2))
    if len(places) == 1:
        for given in (hidden, found):
            torch._dynamo.mark_dynamic(given, 0)
    out = compiled(block, hidden, found, block.cross_attention_norm or block.attention_norm)
    torch.autograd.grad(out, hidden, torch.zeros_like(out))

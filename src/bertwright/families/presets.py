"""Architectures by name: `<family>-<size>`."""

import difflib

from bertwright.architecture import Absolute, Architecture, Block, Stack
from bertwright.errors import InputError

# Layers and hidden size: base and large are the paper's (Devlin et al. 2018, section 3), the smaller ones those of Turc et al. 2019 (arXiv 1908.08962).
# Heads are of size 64, the feed-forward is four times as wide as the model.
SIZES = {"tiny": (2, 128), "mini": (4, 256), "small": (4, 512), "medium": (8, 512), "base": (12, 768), "large": (24, 1024)}
PRESETS = tuple(f"bert-{size}" for size in SIZES)
HEAD_SIZE = 64


def preset(name: str, *, vocab_size: int, max_length: int = 512) -> Architecture:
    """The architecture of a preset, with no dropout: the first training on much text needs none.

    vocab_size: entries of the tokenizer; max_length: positions, in tokens. Raises InputError for an unknown name, naming the nearest, and for impossible sizes.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InputError(f"model {name!r} is no preset: {hint}take one of {', '.join(PRESETS)}, or a config.json")
    num_layers, hidden_size = SIZES[name.removeprefix("bert-")]
    block = Block(hidden_size=hidden_size, num_heads=hidden_size // HEAD_SIZE, intermediate_size=4 * hidden_size)
    stack = Stack(block=block, num_layers=num_layers, positions=Absolute(max_length=max_length), segments=2)
    return Architecture(vocab_size=vocab_size, pad_id=0, embedding_size=hidden_size, encoder=stack).check()

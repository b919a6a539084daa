"""Which characters are Chinese ones."""

import numpy as np
from numpy.typing import NDArray

# Unified ideographs with extension A, the compatibility ones, and the supplementary planes, as BERT's tokenizer takes them (google-research/bert).
HAN = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))


def code_points(text: str) -> NDArray[np.uint32]:
    """[characters]; a lone surrogate counts as it is."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def is_han(codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """bool, of the same shape: which code points are Chinese characters."""
    found = np.zeros(codes.shape, dtype=np.bool_)
    for first, last in HAN:
        found |= (codes >= first) & (codes <= last)
    return found


def has_han(text: str) -> bool:
    """Whether a text has a Chinese character."""
    return bool(is_han(code_points(text)).any())

"""bertwright: from raw text to a trained BERT-family model, with Hugging Face files at every step.

    bertwright.prepare("notes/*.txt", out="shards")
    bertwright.pretrain("shards", out="runs/a", max_minutes=3)
    bertwright.evaluate("runs/a", "held_out.txt")
    bertwright.load("runs/a").fill_mask("Paris is the [MASK] of France.")

The names arrive when they are first asked for, so `import bertwright` costs nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bertwright.api import evaluate, load, prepare, pretrain

__version__ = "0.2.0"
__all__ = ["__version__", "evaluate", "load", "prepare", "pretrain"]


def __getattr__(name: str) -> object:
    if name in ("evaluate", "load", "prepare", "pretrain"):
        from bertwright import api

        return getattr(api, name)
    raise AttributeError(f"module 'bertwright' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

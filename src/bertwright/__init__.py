"""bertwright: from raw text to a trained BERT-family model, with Hugging Face files at every step.

    bertwright.prepare("notes/*.txt", out="shards")
    bertwright.pretrain("shards", out="runs/a", max_minutes=3)
    bertwright.evaluate("runs/a", "held_out.txt")
    bertwright.load("runs/a").fill_mask("Paris is the [MASK] of France.")

The names arrive when they are first asked for, so `import bertwright` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bertwright.api import evaluate, finetune, load, prepare, pretrain
    from bertwright.training.callbacks import Callback

__version__ = "0.4.0"
__all__ = ["Callback", "__version__", "evaluate", "finetune", "load", "prepare", "pretrain"]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(import_module("bertwright.training.callbacks" if name == "Callback" else "bertwright.api"), name)
    raise AttributeError(f"module 'bertwright' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""One model, built from an architecture; its heads, its output, its first weights."""

from bertwright.models.output import Output
from bertwright.models.transformer import Model

__all__ = ["Model", "Output"]

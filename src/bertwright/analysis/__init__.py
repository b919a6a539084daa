"""Looking at a model without running it: parameters, shapes, operations, sizes."""

from bertwright.analysis.operations import Operations, row_operations
from bertwright.analysis.subject import Subject, of_checkpoint, of_preset_or_config, usual_config
from bertwright.analysis.summary import Summary, summarise

__all__ = ["Operations", "Subject", "Summary", "of_checkpoint", "of_preset_or_config", "row_operations", "summarise", "usual_config"]

"""The model families, as data: configs both ways, two-way name rules, heads of each Hugging Face class. Nothing here builds a module or imports torch."""

from bertwright.families.family import Config, Family
from bertwright.families.presets import PRESETS, preset, preset_architecture
from bertwright.families.registry import FAMILIES, family_of

__all__ = ["FAMILIES", "PRESETS", "Config", "Family", "family_of", "preset", "preset_architecture"]

"""How a command's options are shown: its own first, then those that it shares with other commands, under a heading of their own."""

import dataclasses
from typing import TYPE_CHECKING, Any

from bertwright.data.labelled.config import DataConfig
from bertwright.training.finetune_config import FinetuneConfig
from bertwright.training.settings import TrainingConfig

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions


def _keys(config: type[Any], *bases: type[Any]) -> frozenset[str]:
    return frozenset(field.name for field in dataclasses.fields(config)).difference(*(_keys(base) for base in bases))


SECTIONS = {"Labelled data": _keys(DataConfig), "Fine-tuning": _keys(FinetuneConfig, DataConfig, TrainingConfig), "Training": _keys(TrainingConfig)}


def in_sections(console: "Console", options: "ConsoleOptions", panel: "HelpPanel") -> None:
    """cyclopts' own way to show a panel, for each section of it."""
    from cyclopts.help.formatters import DefaultFormatter  # with rich's tables: a tenth of a second that only help needs

    for section in sections(panel):
        DefaultFormatter()(console, options, section)


def sections(panel: "HelpPanel") -> "list[HelpPanel]":
    """The panel without the keys of SECTIONS, and these, by heading; a command that has not all keys of a section keeps them as its own."""
    shown = {name.removeprefix("--") for entry in panel.entries for name in entry.names}
    home = {key: title for title, keys in SECTIONS.items() if keys <= shown for key in keys}
    parts: dict[str, list[HelpEntry]] = {str(panel.title): [], **{title: [] for title in SECTIONS}}
    for entry in panel.entries:
        found = [home[key] for name in entry.names if (key := name.removeprefix("--")) in home]
        parts[found[0] if found else str(panel.title)].append(entry)
    return [panel.copy(title=title, entries=entries) for title, entries in parts.items() if entries]

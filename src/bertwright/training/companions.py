"""The second model that an objective asks for: found and checked for a plan, then built or read."""

from dataclasses import dataclass
from pathlib import Path

import torch

from bertwright.architecture import Architecture
from bertwright.checkpoints.huggingface import empty_model, load_model, read_architecture
from bertwright.checkpoints.resolve import Resolved, find_checkpoint
from bertwright.errors import InputError
from bertwright.models import Model
from bertwright.models.resizing import NewRows, grown
from bertwright.objectives.objective import Objective
from bertwright.objectives.together import Companion
from bertwright.text.tokenizer import Tokenizer
from bertwright.training.resuming import weights_hash


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A companion that was found. architecture: its own; folder: what its weights are read from, None for new ones."""

    companion: Companion
    architecture: Architecture
    folder: Path | None = None

    @property
    def is_frozen(self) -> bool:
        return self.companion.checkpoint is not None

    def data(self) -> dict[str, str]:
        """What a run is bound to: SHA-256 of weights that it reads again at every start."""
        if self.folder is None or not self.is_frozen:
            return {}
        return {f"{self.companion.name}_hash": weights_hash(self.folder)}

    def build(self, *, skip_weights: bool, rows: NewRows | None = None) -> Model:
        """The model: in evaluation mode and frozen where it only is read. skip_weights: those that train along are put back afterwards; rows: entries that
        the vocabulary of one that trains along lacks."""
        if self.folder is None or (skip_weights and not self.is_frozen):
            return Model(self.architecture, self.companion.heads).train()
        loaded = load_model(self.folder, heads=self.companion.heads, dropout=0.0 if self.is_frozen else None, dtype=torch.float32, verify=True)
        if loaded.created:
            raise InputError(f"{self.companion.name} {self.folder} has no {' and no '.join(loaded.created)} head: take a checkpoint that was trained with one")
        if self.is_frozen:
            return loaded.model.requires_grad_(False).eval()
        if rows is None:
            return loaded.model.train()
        whole = empty_model(self.architecture, self.companion.heads)
        whole.load_state_dict(grown(loaded.model.state_dict(), rows, size=self.architecture.vocab_size), assign=True)
        return whole.train()


def find_companion(
    objective: Objective, architecture: Architecture, tokenizer: Tokenizer, *, begun: Resolved | None, length: int
) -> tuple[Beside | None, list[str]]:
    """The second model of an objective, None where it needs none or has problems; and one line for each of these.

    begun: the checkpoint that the model begins with, whose companion goes on too; length: tokens of the longest row that it will read.
    """
    try:
        wanted = objective.companion(architecture)
        if wanted is None:
            return None, []
        if wanted.architecture is not None:
            return _training_along(wanted, wanted.architecture, begun)
        return _read_only(wanted, tokenizer, vocab_size=architecture.vocab_size, length=length)
    except InputError as error:
        return None, list(error.problems)


def _training_along(wanted: Companion, architecture: Architecture, begun: Resolved | None) -> tuple[Beside | None, list[str]]:
    folder = None if begun is None else begun.folder / wanted.name
    if folder is None or not (folder / "config.json").is_file():
        return Beside(companion=wanted, architecture=architecture), architecture.problems()
    own = read_architecture(folder)
    if own.hidden_size != architecture.hidden_size or own.last.num_layers != architecture.last.num_layers:
        return None, [
            f"the {wanted.name} in {folder} has {own.last.num_layers} layers x {own.hidden_size}, this run's would have {architecture.last.num_layers} x "
            f"{architecture.hidden_size}: take its sizes, or remove that folder to begin with a new one"
        ]
    return Beside(companion=wanted, architecture=architecture, folder=folder), []


def _read_only(wanted: Companion, tokenizer: Tokenizer, *, vocab_size: int, length: int) -> tuple[Beside | None, list[str]]:
    name = wanted.checkpoint or ""
    folder = find_checkpoint(name).folder
    architecture, problems = read_architecture(folder), []
    try:
        own: Tokenizer | None = Tokenizer.load(folder)
    except InputError:
        own = None  # its size is all that can be compared
    mend = f"prepare the text again with --tokenizer {name}, or take a {wanted.name} that was trained with the shards' tokenizer"
    if own is not None and own.vocab != tokenizer.vocab:
        problems.append(f"{wanted.name} {name} has another vocabulary ({own.vocab_size} entries) than the shards' tokenizer ({tokenizer.vocab_size}): {mend}")
    elif own is None and architecture.vocab_size != vocab_size:
        problems.append(f"{wanted.name} {name} has {architecture.vocab_size} entries, the model {vocab_size}: {mend}")
    if architecture.max_length is not None and length > architecture.max_length:
        problems.append(f"max_seq_length {length} is longer than the {architecture.max_length} positions of {wanted.name} {name}: take that or less")
    if architecture.encoder is None or architecture.decoder is not None:
        problems.append(f"{wanted.name} {name} is no encoder: take a model of BERT's kind")
    return Beside(companion=wanted, architecture=architecture, folder=folder), problems

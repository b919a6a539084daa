"""The protocol between a training loop and what is trained for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor, nn

from bertwright.architecture import Architecture, HeadKind
from bertwright.data.batch import Batch
from bertwright.data.keys import KeyArray
from bertwright.data.samples import IntArray, Samples, Source, Vocabulary
from bertwright.data.shards import Split
from bertwright.models import Model
from bertwright.objectives.together import Companion


@dataclass(frozen=True)
class Term:
    """One part of a loss: summed over what it scores. The loop divides by the weight of all micro-batches and ranks, then scales.

    trained: false for what is told beside the loss and no part of it, such as how many answers are right; hits: how many of what it scores are right, where
    they were counted.
    """

    sum: Tensor
    coefficient: float = 1.0
    trained: bool = True
    hits: Tensor | None = None


Losses = Mapping[str, Term]
Vectors = Literal["cls", "mean"]


class Trainable(Protocol):
    """What the loop knows of what is trained for: how a batch is made and how it is scored."""

    @property
    def terms(self) -> tuple[str, ...]:
        """The names of its loss terms, and of what is told beside them."""

    @property
    def decomposes(self) -> bool:
        """Whether the loss of a batch is the sum of its parts' (contrastive losses are not, so an update is one pass)."""
        return True

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> Batch:
        """Pure, on the CPU; keys: uint64 [batch]. Its `weights` hold one number for each of `terms`."""

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        """One term for each of `terms`."""


class Objective(Trainable, Protocol):
    """What a model is pre-trained for: also the heads and token types it needs, the samples it reads, how held-out text is measured. A frozen dataclass."""

    @property
    def heads(self) -> tuple[HeadKind, ...]:
        """The heads a model needs."""

    @property
    def segments(self) -> int:
        """The token types that a model must have: 2 for pairs of texts, 0 where it needs none."""
        return 0

    @property
    def stacks(self) -> tuple[str, ...]:
        """The stacks of the models that it can train: a reader's alone unless it says other."""
        return ("encoder",)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The roles that it needs the vocabulary to have a token for, see `Vocabulary.check`."""
        return ("pad", "cls", "sep", "mask")

    @property
    def simpler(self) -> "Objective | None":
        """What held-out text is measured with where it cannot serve this objective; None where there is nothing simpler."""
        return None

    @property
    def measured(self) -> "Objective":
        """The same as held-out text is measured with all through a run."""
        return self

    def over(self, samples: float) -> "Objective":
        """The same for a run of so many samples, where what it does moves with the run's progress."""
        return self

    @property
    def vectors(self) -> Vectors | None:
        """How a text becomes the vector that is learnt; None where none is."""
        return None

    @property
    def dropout(self) -> float:
        """The rate of a model's dropout where a run does not name one."""
        return 0.0

    def companion(self, architecture: Architecture) -> Companion | None:
        """The second model that it needs beside one of this architecture. Raises InputError where there can be none."""
        return None

    def together(self, model: Model, companion: Model | None) -> nn.Module:
        """What is trained, and what `losses` is given: the model, with what is to stand beside it."""
        return model

    def source(self, split: Split, vocabulary: Vocabulary, *, length: int, seed: int) -> Source:
        """The samples of a split. Raises InputError where the text cannot serve."""

    def measures(self, model: nn.Module, batch: Batch) -> Losses:
        """As `losses`, of held-out samples and without gradients: with hits, where that has a meaning."""

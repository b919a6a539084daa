"""A classifier that learns from a fine-tuned one beside its labels (Hinton et al. 2015, arXiv 1503.02531, section 2)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.checkpoints.huggingface import SavableModel, load_model
from bertwright.checkpoints.resolve import find_checkpoint
from bertwright.data.batch import Batch
from bertwright.data.keys import KeyArray
from bertwright.data.samples import IntArray, Samples
from bertwright.errors import InputError
from bertwright.models.output import Output
from bertwright.objectives.distill import soft_loss
from bertwright.objectives.objective import Losses, Term
from bertwright.objectives.together import together
from bertwright.tasks.classification import Classification
from bertwright.tasks.registry import Start, task_of
from bertwright.tasks.task import Reading, Task, TaskBatch, call
from bertwright.training.labelled_source import LabelledItems
from bertwright.training.resuming import weights_hash


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A fine-tuned classifier. order: where each label of the student stands among its own; weight: the share of the loss that is learnt from it."""

    folder: Path
    order: tuple[int, ...]
    several: bool
    weight: float
    temperature: float

    def data(self) -> dict[str, str]:
        """What a run is bound to: SHA-256 of its weights."""
        return {"teacher_hash": weights_hash(self.folder)}

    def build(self) -> SavableModel:
        """Frozen, in evaluation mode and in float32."""
        return load_model(self.folder, dtype=torch.float32, verify=True).model.requires_grad_(False).eval()


def find_teacher(name: str, task: Task, start: Start, *, length: int, weight: float, temperature: float) -> Teacher:
    """The teacher of a task. Raises InputError with one line for each reason why it cannot teach one that begins as `start`; length: tokens of a row."""
    if not isinstance(task, Classification):
        raise InputError(f"teacher is given, and task {task.name} cannot learn from one, classify alone can: leave it out")
    folder = find_checkpoint(name).folder
    taught, theirs = Start.of(folder), task_of(folder)
    problems = []
    if not isinstance(theirs, Classification) or theirs.several != task.several or set(theirs.labels) != set(task.labels):
        kind = f"a classifier of {', '.join(theirs.labels[:8])}" if isinstance(theirs, Classification) else "no classifier"
        problems.append(f"teacher {name} is {kind}, the labels here are {', '.join(task.labels[:8])}: take one that was fine-tuned for these")
    if taught.tokenizer.vocab != start.tokenizer.vocab:
        sizes = f"({taught.tokenizer.vocab_size} entries) than the student ({start.tokenizer.vocab_size})"
        problems.append(f"teacher {name} has another vocabulary {sizes}: take two of one vocabulary")
    if taught.architecture.max_length is not None and length > taught.architecture.max_length:
        problems.append(f"max_seq_length {length} is longer than the {taught.architecture.max_length} positions of teacher {name}: take that or less")
    if problems or not isinstance(theirs, Classification):
        raise InputError(*problems)
    order = tuple(theirs.labels.index(label) for label in task.labels)
    return Teacher(folder=folder, order=order, several=task.several, weight=weight, temperature=temperature)


def reading_for(reading: Reading, teacher: Start) -> Reading:
    """A student's reading of rows, with the token types of pairs that its teacher tells apart, where the student has none and passes them over."""
    stack = teacher.architecture.encoder
    return replace(reading, types=stack.segments) if reading.types == 0 and stack is not None else reading


class TaughtItems(LabelledItems):
    """A task's items, learnt from their labels and, by `weight`, from what a teacher says of them. What is trained is a `Together` with the teacher."""

    teacher: Teacher

    @classmethod
    def of(cls, items: LabelledItems, teacher: Teacher) -> "TaughtItems":
        found = cls(items.task, items.items, reading_for(items.reading, Start.of(teacher.folder)), batch_size=items.batch_size, seed=items.seed)
        found.teacher = teacher
        return found

    @property
    def terms(self) -> tuple[str, ...]:
        return (*self.task.terms, "soft")

    def batch(self, samples: Samples, keys: KeyArray, numbers: IntArray) -> Batch:
        batch = super().batch(samples, keys, numbers)
        return replace(batch, weights={**batch.weights, "soft": float(len(numbers))})

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        both, share = together(model), self.teacher.weight
        if not isinstance(batch, TaskBatch):
            raise ValueError("this batch has no targets")
        with torch.no_grad():
            taught = call(both.of("teacher"), batch, heads_only=True).logits[:, list(self.teacher.order)]
        with outputs_of(both.model) as seen:
            own = self.task.losses(both.model, batch)
        told: Mapping[str, Term] = {name: replace(term, coefficient=term.coefficient * (1 - share)) if term.trained else term for name, term in own.items()}
        logits = seen[-1].logits
        if logits is None:
            raise ValueError("the model has no head for this task")
        return {**told, "soft": Term(self._soft(logits, taught), coefficient=share)}

    def _soft(self, logits: Tensor, taught: Tensor) -> Tensor:
        """[rows, labels] twice -> the divergence from the teacher, summed over rows; of several labels that of each label's yes and no, a mean over labels."""
        temperature = self.teacher.temperature
        if not self.teacher.several:
            return soft_loss(logits, taught, temperature=temperature)
        sides = [torch.stack([F.logsigmoid(scores.float() / temperature), F.logsigmoid(-scores.float() / temperature)]) for scores in (logits, taught)]
        return F.kl_div(sides[0], sides[1], reduction="sum", log_target=True) * temperature**2 / logits.shape[1]


@contextmanager
def outputs_of(model: nn.Module) -> Iterator[list[Output]]:
    """Gets what each call of the model in the context returned."""
    found = list[Output]()

    def keep(module: nn.Module, given: object, output: Output) -> None:
        found.append(output)

    hook = model.register_forward_hook(keep)
    try:
        yield found
    finally:
        hook.remove()

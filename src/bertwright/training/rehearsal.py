"""A step of training without numbers: the very code that trains runs on tensors that have shapes and no memory, and what it would hold is counted."""

import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bertwright.blocks.attention import Attention
from bertwright.blocks.feed_forward import FeedForward
from bertwright.blocks.short_attention import probabilities_kept
from bertwright.blocks.transformer_block import TransformerBlock
from bertwright.data.batch import Batch
from bertwright.models.stack import recompute_activations
from bertwright.objectives.objective import Objective
from bertwright.training.optimizers import Optimizers
from bertwright.training.parameters import FlatParameters

# Bytes of a block that is no longer small: of such there are few, and they find their places again.
LARGE = 64 * 2**20
EMBEDDINGS, ATTENTION, FEED_FORWARD, REST, HEADS = "embeddings", "attention", "feed-forward", "norms and residuals", "heads and loss"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How a pass is computed. dtype: in which precision; recompute: activations are computed again in the backward pass.

    kept: whether attention keeps its probabilities, which grow with the square of the length; None: as it is fastest on a CPU, for short rows alone.
    """

    dtype: torch.dtype = torch.float32
    optimizer: Literal["muon", "adamw"] = "adamw"
    recompute: bool = False
    kept: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes that a pass holds at its fullest moment, besides the process itself.

    parameters: in float32; copies: of them in half precision; gradients; optimizer; activations: what the forward pass leaves for the backward one, by part;
    workspace: what comes and goes at the fullest moment; small: of activations and workspace, what is in blocks of less than
    `LARGE`, the many that a heap keeps in pieces.
    """

    parameters: int
    copies: int = 0
    gradients: int = 0
    optimizer: int = 0
    activations: Mapping[str, int] = field(default_factory=dict)
    workspace: int
    small: int = 0

    @property
    def total(self) -> int:
        return self.parameters + self.copies + self.gradients + self.optimizer + sum(self.activations.values()) + self.workspace


class TrainingRehearsal:
    """Updates of what `build` makes, of one pass each, in the context that `rehearsal` gives."""

    def __init__(self, build: Callable[[], nn.Module], setting: Setting, held: "Held") -> None:
        self.held, self.setting = held, setting
        self.model = build().train()
        if setting.recompute:
            recompute_activations(self.model)
        self.parameters = FlatParameters(self.model, dtype=setting.dtype, optimizer=setting.optimizer)
        self.optimizers = Optimizers(self.parameters, learning_rate=1e-3, muon_learning_rate=1e-3, weight_decay=0.01, betas=(0.9, 0.999), eps=1e-8)
        self.optimizers.step(1.0)  # AdamW makes its moments in its first step
        self.lasting, self.lasting_small = held.now, held.small
        held.begin()
        self.optimizers.step(1.0)
        self.most_of_optimizer = held.most

    def memory(self, objective: Objective, batch: Batch) -> Memory:
        """Of an update with this batch."""
        held, parameters = self.held, self.parameters
        held.begin()
        with held.by_part(self.model):
            losses = objective.losses(self.model, batch)
            total = torch.stack([term.coefficient * term.sum.float() for term in losses.values() if term.trained]).sum()
        left, before = held.parts(), held.now
        total.backward()  # type: ignore[no-untyped-call]
        del losses, total
        parameters.collect()
        weights, copies, gradients = parameters.master.nbytes, parameters.compute.nbytes, parameters.grad.nbytes + parameters.compute_grad.nbytes
        optimizer = self.lasting - weights - copies - gradients
        workspace = max(held.most, self.most_of_optimizer) - before
        sizes = {"parameters": weights, "copies": copies, "gradients": gradients, "optimizer": optimizer}
        return Memory(**sizes, activations=left, workspace=workspace, small=held.small_then - self.lasting_small)


class InferenceRehearsal:
    """Passes without gradients over full rows, with every head that is built."""

    def __init__(self, build: Callable[[], nn.Module], setting: Setting, held: "Held") -> None:
        self.held, self.model = held, build().eval()
        for parameter in self.model.parameters():
            parameter.data = parameter.to(setting.dtype)
        self.lasting, self.lasting_small = held.now, held.small

    def memory(self, *, rows: int, length: int) -> Memory:
        self.held.begin()
        with torch.no_grad():
            self.model(torch.zeros(rows, length, dtype=torch.long))
        return Memory(parameters=self.lasting, workspace=self.held.most - self.lasting, small=self.held.small_then - self.lasting_small)


class Held(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own
    """Counts the bytes of all tensors that are alive, each with the part of the model that made it; of the fullest moment also how many are small."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self.now = self.most = self.small = self.small_then = 0
        self.sizes: dict[int, tuple[int, str]] = {}
        self.part = [""]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                for part in (tensor._indices(), tensor._values()) if tensor.is_sparse else (tensor,):
                    self._see(part)
        return made

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place = storage._cdata
        if place in self.sizes:
            return
        self.sizes[place] = (storage.nbytes(), self.part[-1])
        self._add(storage.nbytes())
        weakref.finalize(storage, self._forget, place)

    def _forget(self, place: int) -> None:
        self._add(-self.sizes.pop(place)[0])

    def _add(self, size: int) -> None:
        self.now += size
        self.small += size if abs(size) < LARGE else 0
        if self.now > self.most:
            self.most, self.small_then = self.now, self.small

    def begin(self) -> None:
        """The fullest moment is looked for from now on."""
        self.most, self.small_then = self.now, self.small

    @contextmanager
    def by_part(self, model: nn.Module) -> Iterator[None]:
        """What is made while it lasts belongs to the part of the model that made it; between blocks and tables, to the embeddings before or the heads after."""
        kinds = ((Attention, ATTENTION), (FeedForward, FEED_FORWARD), (TransformerBlock, REST))
        hooks = []
        for module in model.modules():
            for kind, name in kinds:
                if isinstance(module, kind):
                    hooks.append(module.register_forward_pre_hook(lambda *given, name=name: self.part.append(name)))
                    hooks.append(module.register_forward_hook(lambda *given: self._leave()))
            if isinstance(module, nn.Embedding):
                hooks.append(module.register_forward_pre_hook(lambda *given: self._between(EMBEDDINGS)))
        self._between(EMBEDDINGS)
        try:
            yield
        finally:
            self.part = [""]
            for hook in hooks:
                hook.remove()

    def _leave(self) -> None:
        if self.part.pop() == REST:
            self._between(HEADS)

    def _between(self, part: str) -> None:
        self.part[0] = part

    def parts(self) -> dict[str, int]:
        """Bytes alive by part, of those made by a part."""
        found = Counter[str]()
        for size, part in self.sizes.values():
            found[part] += size
        return {part: found[part] for part in (EMBEDDINGS, ATTENTION, FEED_FORWARD, REST, HEADS) if found[part]}


@contextmanager
def rehearsal(setting: Setting) -> Iterator[Held]:
    """Whatever is made while it lasts has no memory, and is counted."""
    with probabilities_kept(setting.kept), FakeTensorMode(allow_non_fake_inputs=True), Held() as held:
        yield held

"""Which tensor of a file is which of the model: by the family's names, with everything that does not fit reported at once."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bertwright.architecture import Architecture, HeadKind
from bertwright.checkpoints.meta import without_values
from bertwright.checkpoints.weights import Weights
from bertwright.errors import CheckpointError
from bertwright.families.family import Config, Constant, Family
from bertwright.families.names import Claim, NameRules
from bertwright.models.heads import build_heads

# Lines of one kind that an error shows: a wrong file has hundreds of them, and the first ones tell.
SHOWN = 8
# Names of ours that repeat another tensor where the model has no such parameter of its own: tied decoders, and the token table under each stack's name.
COPIES = {
    r"heads\.(\w+)\.decoder\.weight": "tokens.weight",
    r"heads\.(\w+)\.decoder\.bias": r"heads.\1.bias",
    r"(encoder|decoder)\.tokens\.weight": "tokens.weight",
}

Shape = tuple[int, ...]


def original(name: str) -> str | None:
    """What a name of ours repeats in a tied model; None for a tensor that stands for itself."""
    for pattern, target in COPIES.items():
        if match := re.fullmatch(pattern, name):
            return match.expand(target)
    return None


@dataclass(frozen=True)
class Stored:
    """A tensor of ours inside one of the file: part `part` of `parts` along its first dimension, transposed first where the file has it so."""

    theirs: str
    part: int = 0
    parts: int = 1
    transposed: bool = False

    def shape(self, stored: Shape) -> Shape:
        """The shape that the model sees, of a tensor that is stored with this one."""
        turned = stored[::-1] if self.transposed else stored
        return (turned[0] // self.parts, *turned[1:]) if turned else turned

    def stored_shape(self, ours: Shape) -> Shape:
        """The shape in the file, of a tensor that the model has with this one."""
        whole = (ours[0] * self.parts, *ours[1:]) if ours else ours
        return whole[::-1] if self.transposed else whole

    def of(self, tensor: Tensor) -> Tensor:
        """Ours, out of the tensor that the file holds."""
        turned = tensor.t() if self.transposed else tensor
        if self.parts == 1:
            return turned.contiguous()
        # A copy of its own: a part would keep the whole in memory.
        return turned.chunk(self.parts)[self.part].clone(memory_format=torch.contiguous_format)


@dataclass(frozen=True, kw_only=True)
class Matched:
    """The claims on a file's tensors.

    ours: our name -> where it is stored. buffers: name in the file -> kind of constant. strange: names that nothing claims.
    heads: those the model gets; created: those of them that the file lacks; unused: names of heads left out.
    """

    weights: Weights
    family: Family
    rules: NameRules
    ours: Mapping[str, Stored]
    buffers: Mapping[str, Constant]
    strange: tuple[str, ...]
    heads: tuple[HeadKind, ...]
    created: tuple[HeadKind, ...]
    unused: tuple[str, ...]

    def settled(self, architecture: Architecture) -> Architecture:
        """The architecture, tied as the file is where its family leaves that open: untied where a head's decoder is not the token embeddings."""
        if architecture.tied is not None:
            return architecture
        decoders = [name for name in self.ours if name.startswith("heads.") and original(name) == "tokens.weight"]
        return replace(architecture, tied=all(self._equal(name, "tokens.weight") for name in decoders))

    def placed(self, shapes: Mapping[str, Shape]) -> dict[str, Stored]:
        """Where each of the model's tensors is stored; a tied one may lie under its copy's name alone, and a bias may stand for one that repeats it."""
        found = {name: stored for name, stored in self.ours.items() if name in shapes}
        for name, stored in self.ours.items():
            repeated = original(name)
            # Untied, a bias and the one that nobody reads stand side by side: either may stand for both.
            if repeated is not None and repeated in shapes and (name not in shapes or name.endswith(".bias")):
                found.setdefault(repeated, stored)
        for name in shapes:
            repeated = original(name)
            if name not in found and repeated in found and name.endswith(".bias"):
                found[name] = found[repeated]
        return found

    def check(self, shapes: Mapping[str, Shape], *, optional: frozenset[str] = frozenset()) -> None:
        """Compares the claims with the model's names and shapes, and copies and buffers with what they repeat. Raises CheckpointError.

        optional: names of the model that a file may lack.
        """
        source, placed = self.weights.source, self.placed(shapes)
        created = tuple(f"heads.{head}." for head in self.created)
        strange = [*self.strange, *(stored.theirs for name, stored in self.ours.items() if name not in shapes and original(name) not in shapes)]
        problems = _shown([f"tensor {name} of {source} has no place in this model: its config.json is of another one, or the file" for name in strange])
        lacking = [name for name in shapes if name not in placed and name not in optional and not name.startswith(created)]
        problems += _shown([f"tensor {self._written(name)} is missing from {source}: take a whole checkpoint" for name in lacking])
        problems += _shown(
            [
                f"tensor {stored.theirs} of {source} has shape {list(self.weights.shapes[stored.theirs])} "
                f"where config.json makes it {list(stored.stored_shape(shapes[name]))}"
                for name, stored in placed.items()
                if self.weights.shapes[stored.theirs] != stored.stored_shape(shapes[name])
            ]
        )
        problems += _shown(
            [
                f"tensor {stored.theirs} of {source} is not of plain floating point: take the checkpoint from before it was quantised"
                for stored in placed.values()
                if stored.theirs not in self.weights.floating
            ]
        )
        if problems := list(dict.fromkeys(problems)) or [*self._unequal_copies(shapes), *self._unequal_buffers()]:
            raise CheckpointError(*problems)

    def tensors(self, shapes: Mapping[str, Shape]) -> Iterator[tuple[str, Tensor]]:
        """Our names and tensors, each read when it is its turn."""
        held, whole = "", torch.empty(0)
        for name, stored in self.placed(shapes).items():
            if stored.theirs != held:  # the parts of a fused tensor follow each other: it is read once
                held, whole = stored.theirs, self.weights.read(stored.theirs)
            yield name, stored.of(whole)

    def _written(self, name: str) -> str:
        claim = self.rules.of_ours(name)
        return name if claim is None else claim.theirs

    def _equal(self, copy: str, kept: str) -> bool:
        return kept not in self.ours or torch.equal(self._read(copy), self._read(kept))

    def _read(self, name: str) -> Tensor:
        return self.ours[name].of(self.weights.read(self.ours[name].theirs))

    def _unequal_copies(self, shapes: Mapping[str, Shape]) -> Iterator[str]:
        for name, stored in self.ours.items():
            kept = original(name)
            if name not in shapes and kept is not None and not self._equal(name, kept):
                yield (
                    f"tensor {stored.theirs} of {self.weights.source} differs from {self.ours[kept].theirs}, which config.json says it repeats: "
                    "set tie_word_embeddings to false there, or take a whole checkpoint"
                )

    def _unequal_buffers(self) -> Iterator[str]:
        for name, kind in self.buffers.items():
            if not _is_constant(self.weights.read(name), kind):
                yield f"tensor {name} of {self.weights.source} is not the constant ({kind}) that this family has there: take another checkpoint"


def match(weights: Weights, family: Family, config: Config, *, heads: tuple[HeadKind, ...] | None) -> Matched:
    """Claims the file's tensors for a model with these heads, or with all that the file and its class have. Raises CheckpointError where two names mean one."""
    declared = _declared_heads(weights, family, config)
    rules = family.names_beside(declared)
    full = {name: family.full_name(name, rules) for name in weights.shapes}
    claimed = {name: claim for name, theirs in full.items() if (claim := rules.of_theirs(theirs)) is not None}
    ours = _unique(weights, claimed)
    buffers = {name: constant for name, theirs in full.items() if name not in claimed and (constant := family.constant(theirs)) is not None}
    in_file = tuple(head for head in family.heads if head in declared or any(name.startswith(f"heads.{head}.") for name in ours))
    in_file = family.complete_heads(in_file) if heads is None else in_file
    wanted = family.complete_heads(in_file if heads is None else heads)
    left_out = tuple(f"heads.{head}." for head in in_file if head not in wanted)
    return Matched(
        weights=weights,
        family=family,
        rules=rules,
        ours={name: stored for name, stored in ours.items() if not name.startswith(left_out)} if left_out else ours,
        buffers=buffers,
        strange=tuple(name for name in weights.shapes if name not in claimed and name not in buffers),
        heads=wanted,
        created=tuple(head for head in wanted if head not in in_file),
        unused=tuple(dict.fromkeys(stored.theirs for name, stored in ours.items() if left_out and name.startswith(left_out))),
    )


def _declared_heads(weights: Weights, family: Family, config: Config) -> tuple[HeadKind, ...]:
    """The heads of the class that config.json names; without one, of the class that the tensors are of.

    Raises CheckpointError where they could be of several whose heads read the same tensors in other ways.
    """
    if declared := family.declared(config):
        return family.classes[declared[0]]
    architecture = family.architecture(config)
    fitting = {name: heads for name, heads in family.classes.items() if _fits(weights, family, heads, architecture)}
    if not fitting:
        return ()
    chosen = next(iter(fitting.values()))
    # Classes with one head for all their tensors differ in how it is read, which no tensor tells.
    alike = [name for name, heads in fitting.items() if len(heads) == len(chosen) and heads and heads != chosen]
    if alike:
        names = " or ".join([next(iter(fitting)), *alike])
        raise CheckpointError(f"the tensors of {weights.source} could be of {names}: put the right one into config.json as architectures")
    return chosen


def _fits(weights: Weights, family: Family, heads: tuple[HeadKind, ...], architecture: Architecture) -> bool:
    """Whether every tensor has a place in a class with these heads, every tensor of the heads is there, and the outputs have the labels' number."""
    rules = family.names(heads)
    held: dict[str, str] = {}
    for name in weights.shapes:
        full = family.full_name(name, rules)
        claim = rules.of_theirs(full)
        if claim is None and family.constant(full) is None:
            return False
        held |= dict.fromkeys(claim.ours if claim is not None else (), name)
    with without_values():
        wanted = build_heads(architecture, family.complete_heads(heads)).state_dict()
    shapes = {f"heads.{name}": tuple(tensor.shape) for name, tensor in wanted.items()}
    return all(
        name in held and weights.shapes[held[name]][:1] == shape[:1] for name, shape in shapes.items() if not name.endswith(".bias") and original(name) is None
    )


def _unique(weights: Weights, claimed: Mapping[str, Claim]) -> dict[str, Stored]:
    ours: dict[str, Stored] = {}
    twice = []
    for theirs, claim in claimed.items():
        for part, name in enumerate(claim.ours):
            if name in ours:
                twice.append(f"tensors {ours[name].theirs} and {theirs} of {weights.source} are the same one under two names: take a whole checkpoint")
            ours[name] = Stored(theirs, part, len(claim.ours), claim.transposed)
    if twice:
        raise CheckpointError(*_shown(twice))
    return ours


def _is_constant(tensor: Tensor, kind: Constant) -> bool:
    if kind in ("number", "unread"):
        return kind == "unread" or tensor.numel() == 1
    if kind == "causal":
        return torch.equal(tensor.bool(), torch.ones(tensor.shape[-2:], dtype=torch.bool).tril().expand(tensor.shape))
    buffer = tensor.flatten()
    constant = torch.arange(len(buffer)) if kind == "arange" else torch.zeros(len(buffer))
    return torch.equal(buffer.to(constant.dtype), constant)


def _shown(lines: list[str]) -> list[str]:
    # Each once: a tensor that holds several of ours is named for every one of them.
    lines = list(dict.fromkeys(lines))
    return lines if len(lines) <= SHOWN else [*lines[:SHOWN], f"... and {len(lines) - SHOWN} more like these"]

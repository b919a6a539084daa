"""Which tensor of a file is which of the model: by the family's names, with everything that does not fit reported at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from bertwright.architecture import HeadSpec
from bertwright.checkpoints.weights import Weights
from bertwright.errors import CheckpointError
from bertwright.families import Family

# Lines of one kind that an error shows: a wrong file has hundreds of them, and the first ones tell.
SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class Matched:
    """The claims on a file's tensors.

    ours: our name -> name in the file. copies: name in the file of a tied copy -> that of its original. buffers: name in the file -> kind of constant.
    strange: names that nothing claims. heads: those the model gets; created: those of them that the file lacks; unused: names of heads left out.
    """

    weights: Weights
    family: Family
    ours: Mapping[str, str]
    copies: Mapping[str, str]
    buffers: Mapping[str, str]
    strange: tuple[str, ...]
    heads: tuple[HeadSpec, ...]
    created: tuple[HeadSpec, ...]
    unused: tuple[str, ...]

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Compares the claims with the model's names and shapes, and copies and buffers with what they repeat. Raises CheckpointError."""
        source, created = self.weights.source, tuple(f"heads.{head.kind}." for head in self.created)
        strange = [*self.strange, *(theirs for ours, theirs in self.ours.items() if ours not in shapes)]
        problems = _shown([f"tensor {name} of {source} has no place in this model: its config.json is of another one, or the file" for name in strange])
        lacking = [name for name in shapes if name not in self.ours and not name.startswith(created)]
        problems += _shown([f"tensor {self.family.written_name(name, prefixed=True)} is missing from {source}: take a whole checkpoint" for name in lacking])
        present = {name: theirs for name, theirs in self.ours.items() if name in shapes}
        problems += _shown(
            [
                f"tensor {theirs} of {source} has shape {list(self.weights.shapes[theirs])} where config.json makes it {list(shapes[name])}"
                for name, theirs in present.items()
                if self.weights.shapes[theirs] != shapes[name]
            ]
        )
        problems += _shown(
            [
                f"tensor {theirs} of {source} is not of plain floating point: take the checkpoint from before it was quantised"
                for theirs in present.values()
                if theirs not in self.weights.floating
            ]
        )
        if problems := problems or [*self._unequal_copies(), *self._unequal_buffers()]:
            raise CheckpointError(*problems)

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Our names and tensors, each read when it is its turn."""
        for name, theirs in self.ours.items():
            yield name, self.weights.read(theirs)

    def _unequal_copies(self) -> Iterator[str]:
        for copy, original in self.copies.items():
            if not torch.equal(self.weights.read(copy), self.weights.read(original)):
                yield f"tensor {copy} of {self.weights.source} differs from {original}, which it must repeat: untied decoders are not supported"

    def _unequal_buffers(self) -> Iterator[str]:
        for name, kind in self.buffers.items():
            buffer = self.weights.read(name).flatten()
            constant = torch.arange(len(buffer)) if kind == "arange" else torch.zeros(len(buffer))
            if not torch.equal(buffer.to(constant.dtype), constant):
                yield f"tensor {name} of {self.weights.source} is not the constant ({kind}) that this family has there: take another checkpoint"


def match(weights: Weights, family: Family, *, heads: tuple[HeadSpec, ...] | None) -> Matched:
    """Claims the file's tensors for a model with these heads, or with all that the file has. Raises CheckpointError where two names mean one tensor."""
    full = {name: family.full_name(name) for name in weights.shapes}
    known = {name: ours for name, theirs in full.items() if (ours := family.names.to_ours(theirs)) is not None}
    claims = _unique(weights, known)
    written = {theirs: name for name, theirs in full.items()}
    copies = {}
    for copy, original in family.tied.items():
        ours = family.names.to_ours(original)
        if copy in written and ours is not None:
            # Old and pruned files may hold only the copy: it stands in for what it repeats.
            if ours not in claims:
                claims[ours] = written[copy]
            else:
                copies[written[copy]] = claims[ours]
    in_file = tuple(head for head in family.head_order if any(name.startswith(f"heads.{head.kind}.") for name in claims))
    wanted = family.complete_heads(in_file if heads is None else heads)
    left_out = tuple(f"heads.{head.kind}." for head in in_file if head not in wanted)
    buffers = {name: family.buffers[theirs] for name, theirs in full.items() if theirs in family.buffers}
    others = [name for name in weights.shapes if name.split(".")[0] in family.other_heads]
    taken = {*known, *copies, *claims.values(), *buffers, *others}
    return Matched(
        weights=weights,
        family=family,
        ours={ours: theirs for ours, theirs in claims.items() if not ours.startswith(left_out)} if left_out else claims,
        copies=copies,
        buffers=buffers,
        strange=tuple(name for name in weights.shapes if name not in taken),
        heads=wanted,
        created=tuple(head for head in wanted if head not in in_file),
        unused=(*(theirs for ours, theirs in claims.items() if left_out and ours.startswith(left_out)), *others),
    )


def _unique(weights: Weights, known: Mapping[str, str]) -> dict[str, str]:
    claims: dict[str, str] = {}
    twice = []
    for theirs, ours in known.items():
        if ours in claims:
            twice.append(f"tensors {claims[ours]} and {theirs} of {weights.source} are the same one under two names: take a whole checkpoint")
        claims[ours] = theirs
    if twice:
        raise CheckpointError(*_shown(twice))
    return claims


def _shown(lines: list[str]) -> list[str]:
    return lines if len(lines) <= SHOWN else [*lines[:SHOWN], f"... and {len(lines) - SHOWN} more like these"]

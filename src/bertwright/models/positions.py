"""Longer inputs for learned absolute positions: a table of more places, interpolated from the one that was learnt."""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from bertwright.architecture import Absolute, Architecture, Stack


def with_positions(architecture: Architecture, length: int) -> Architecture:
    """The same with `length` places in every table of absolute positions; other schemes stay as they are."""
    stacks = {name: _with_positions(stack, length) for name, stack in architecture.stacks.items()}
    return dataclasses.replace(architecture, encoder=stacks.get("encoder"), decoder=stacks.get("decoder"))


def interpolated(state: dict[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """A model's state with its tables of absolute positions stretched to the architecture's places; tables that fit already stay as they are.

    Places lie evenly between the first and the last one learnt, each the mean of its two neighbours by nearness (linear interpolation, as for the places of
    Chen et al. 2023, arXiv 2306.15595, section 2.2). Rows before place 0 stay.
    """
    found = dict(state)
    for name, stack in architecture.stacks.items():
        key = f"{name}.positions.weight"
        if isinstance(stack.positions, Absolute) and len(state[key]) != stack.positions.max_length + stack.positions.offset:
            found[key] = _stretched(state[key], stack.positions)
    return found


def _with_positions(stack: Stack, length: int) -> Stack:
    if not isinstance(stack.positions, Absolute):
        return stack
    return dataclasses.replace(stack, positions=dataclasses.replace(stack.positions, max_length=length))


def _stretched(table: Tensor, positions: Absolute) -> Tensor:
    """[offset + places learnt, size] -> [offset + max_length, size]."""
    before, learnt = table[: positions.offset], table[positions.offset :]
    stretched = F.interpolate(learnt.t()[None].float(), size=positions.max_length, mode="linear", align_corners=True)[0].t()
    return torch.cat([before, stretched.to(table.dtype)])

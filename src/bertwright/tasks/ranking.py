"""Where each text's partner stands among all candidates, by cosine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

# Texts compared with all candidates at once: for 100,000 candidates 400 MiB of cosines would be 1,000 of them.
VALUES = 2**24


@dataclass(frozen=True)
class Ranked:
    """By text: the partner's rank, from 1, and its cross-entropy among all candidates, in nats."""

    ranks: list[int]
    losses: list[float]


@torch.inference_mode()
def ranked(vectors: Sequence[Any], places: Sequence[Sequence[int]], *, scale: float) -> Ranked:
    """The rank of each item's second text among the second texts of all, by cosine with its first.

    vectors: of each item its texts', [texts, size]; places: of each item which text each is, equal for equal ones. A candidate counts once, however often it
    stands there; the text itself and its other partners do not count (the "filtered" ranks of Bordes et al. 2013, section 4.2), and of equal cosines the
    partner comes last. The cross-entropy counts third texts too.
    """
    partners: dict[int, set[int]] = {}
    for anchor, partner, *_ in places:
        partners.setdefault(anchor, set()).add(partner)
    first = {place: vectors[number][text] for number, found in enumerate(places) for text, place in reversed(list(enumerate(found)))}
    second = {found[1] for found in places}
    candidates = [*second, *({place for found in places for place in found[2:]} - second)]
    columns = {place: column for column, place in enumerate(candidates)}
    table = F.normalize(torch.stack([torch.as_tensor(first[place]) for place in candidates]), dim=-1)
    anchors = list(partners)
    ranks: dict[tuple[int, int], int] = {}
    losses: dict[tuple[int, int], float] = {}
    step = max(1, VALUES // len(candidates))
    for start in range(0, len(anchors), step):
        part = anchors[start : start + step]
        cosines = F.normalize(torch.stack([torch.as_tensor(first[anchor]) for anchor in part]), dim=-1) @ table.T
        for anchor, row in zip(part, cosines, strict=True):
            others = row.clone()
            others[[columns[place] for place in (*partners[anchor], anchor) if place in columns]] = -torch.inf
            for partner in partners[anchor]:
                own = row[columns[partner]]
                ranks[anchor, partner] = 1 + int((others[: len(second)] >= own).sum())
                losses[anchor, partner] = float(torch.cat([others, own[None]]).mul(scale).logsumexp(0) - own * scale)
    pairs = [(found[0], found[1]) for found in places]
    return Ranked([ranks[pair] for pair in pairs], [losses[pair] for pair in pairs])

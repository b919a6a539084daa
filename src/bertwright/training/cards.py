"""GPUs by name: how much they hold and how fast they multiply, as their makers count; imports no torch."""

from dataclasses import dataclass

from bertwright.errors import InputError


@dataclass(frozen=True)
class Card:
    """gigabytes: of memory, in 10^9 bytes; teraflops: dense half-precision matrix products with float32 sums, 10^12 operations a second; 0 where not known."""

    gigabytes: float
    teraflops: float = 0.0


CARDS = {
    "h200": Card(141, 989),
    "h100": Card(80, 989),
    "a100": Card(80, 312),
    "a100-40": Card(40, 312),
    "l40s": Card(48, 362),
    "a6000": Card(48, 155),
    "4090": Card(24, 165),
    "3090": Card(24, 71),
    "v100": Card(32, 125),
    "t4": Card(16, 65),
    "mi300x": Card(192, 1307),
    "mi250": Card(64, 181),
}


def card_of(name: str) -> Card:
    """By its name, or as its size, such as 24GB. Raises InputError for one that is not known."""
    known = name.lower()
    if known in CARDS:
        return CARDS[known]
    if known.endswith("gb") and known[:-2].replace(".", "", 1).isdigit() and (size := float(known[:-2])) > 0:
        return Card(size)
    raise InputError(f"card {name} is not known: take one of {', '.join(CARDS)}, or its size, such as 24GB")

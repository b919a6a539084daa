"""Keys of a config whose value is several shares, such as `wiki=0.7 books=0.3` or `128:90% 512:10%`; imports no torch."""

import math
from collections.abc import Sequence

from bertwright.errors import InputError


def share_of(text: str) -> float | None:
    """A share of one as `0.7` or `70%`; None where it is no number between 0 (not included) and 1."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None
    return value if 0 < value <= 1 else None


def shares_of(key: str, given: str | Sequence[str], *, separator: str, example: str) -> list[tuple[str, float]]:
    """What stands before each separator, and the share behind it, in the order given. Entries may also stand in one string, parted by spaces or commas.

    Raises InputError with one line for each entry that cannot be read.
    """
    entries = [entry for text in ([given] if isinstance(given, str) else given) for entry in text.replace(",", " ").split()]
    found, problems = list[tuple[str, float]](), list[str]()
    for entry in entries:
        name, _, text = entry.rpartition(separator)
        share = share_of(text)
        if not name or share is None:
            problems.append(f"{key} has {entry!r}: write it as {example}, with a share above 0 and not beyond 1")
        else:
            found.append((name, share))
    if problems:
        raise InputError(*problems)
    return found


def whole(shares: Sequence[float]) -> bool:
    """Whether shares add up to one, as far as anybody writes them out: a third may be 0.333."""
    return math.isclose(sum(shares), 1.0, abs_tol=2e-3)

"""Which letters the machine can draw into a PNG: matplotlib's own font has no Chinese, and draws boxes in its place."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

OWN = "DejaVu Sans"  # comes with matplotlib
BLANK = frozenset(" \n\t…")
LONGEST = 24  # characters of a label in a picture, unless told


class Lettering(NamedTuple):
    """fonts: families to draw with, in order; labels: as they are drawn; numbered: whether some became numbers, because no font here has their letters."""

    fonts: list[str]
    labels: list[str]
    numbered: bool


def lettering(labels: Sequence[str], *, noun: str = "label", longest: int = LONGEST) -> Lettering:
    """How to draw these labels; one that no installed font can draw becomes "label 3", its number counted from 1, as the tables of the page count them."""
    wanted = frozenset("".join(labels)) - BLANK
    missing = wanted - _letters(font_manager.findfont(OWN), wanted)
    fallback = _fallback(missing) if missing else None
    lacking = missing if fallback is None else missing - _letters(fallback.path, missing)
    known = [bool(label.strip()) and not set(label) & lacking for label in labels]
    drawn = [shorten(label, longest) if known_here else f"{noun} {place}" for place, (label, known_here) in enumerate(zip(labels, known, strict=True), 1)]
    return Lettering([OWN, *([fallback.family] if fallback else [])], drawn, not all(known))


def shorten(label: str, longest: int) -> str:
    """A label that leaves room for the picture; a dollar sign would begin a formula."""
    one_line = " ".join(label.split()).replace("$", r"\$")
    return one_line if len(one_line) <= longest else one_line[: longest - 1].rstrip("\\") + "…"


@lru_cache(maxsize=64)
def _letters(path: str, wanted: frozenset[str]) -> frozenset[str]:
    """Those of the letters that a font file has."""
    try:
        face = FT2Font(path)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(letter for letter in wanted if face.get_char_index(ord(letter)))


class _Font(NamedTuple):
    family: str
    path: str


@lru_cache(maxsize=64)
def _fallback(missing: frozenset[str]) -> _Font | None:
    """The installed font that has most of the missing letters; None where none has any."""
    best, most = None, 0
    # A font of last resort has a box for every letter there is.
    for font in (font for font in font_manager.fontManager.ttflist if "lastresort" not in font.name.replace(" ", "").lower()):
        found = len(_letters(font.fname, missing))
        if found > most:
            best, most = _Font(font.name, font.fname), found
        if most == len(missing):
            break
    return best

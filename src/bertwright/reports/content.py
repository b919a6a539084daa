"""What a page is made of. Each block names the template that shows it; texts are plain and escaped there."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One large number. notes: what to hold it against, a line each; empty ones are left out."""

    name: str
    value: str
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Tiles:
    tiles: Sequence[Tile]
    template: ClassVar[str] = "tiles"


@dataclass(frozen=True)
class Prose:
    text: str
    template: ClassVar[str] = "prose"


@dataclass(frozen=True)
class Notes:
    """Lines of one kind, each with its sign."""

    lines: Sequence[str]
    kind: Literal["warning", "note"] = "note"
    template: ClassVar[str] = "notes"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """share: in [0, 1], shown as a bar behind the text; href: a relative link."""

    text: str
    share: float | None = None
    href: str | None = None
    strong: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """head: a name for each column; rows: texts or Cells; words: columns, from 0, that hold words and not numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence["str | Cell"]]
    words: frozenset[int] = frozenset({0})
    caption: str = ""
    template: ClassVar[str] = "table"

    @property
    def cells(self) -> list[list[Cell]]:
        return [[cell if isinstance(cell, Cell) else Cell(text=cell) for cell in row] for row in self.rows]


@dataclass(frozen=True, kw_only=True)
class Bar:
    label: str
    shares: Sequence[float]
    texts: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Horizontal bars, for each label one in each series; shares of the longest bar, in [0, 1]."""

    title: str
    series: Sequence[str]
    bars: Sequence[Bar]
    template: ClassVar[str] = "bars"


@dataclass(frozen=True, kw_only=True)
class Box:
    """low to high: the whisker; first to third: the box; middle: its line; mark: what to compare it with; all as shares of the axis. text: in words."""

    label: str
    low: float
    first: float
    middle: float
    third: float
    high: float
    text: str
    mark: float | None = None


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """Box plots or intervals, one a row. ticks: (place in [0, 1], text)."""

    title: str
    boxes: Sequence[Box]
    ticks: Sequence[tuple[float, str]]
    legend: str = ""
    template: ClassVar[str] = "boxes"


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure as inline SVG, which this project's own code drew.

    alt: what it shows, in words; keys: how something is drawn, in the style sheet's words ("line c1", "dots c2", "dashed"), and what it stands for.
    """

    title: str
    svg: str
    alt: str
    keys: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Drawings:
    """keys: those that all of them share."""

    drawings: Sequence[Drawing]
    keys: Sequence[tuple[str, str]] = ()
    template: ClassVar[str] = "drawings"


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """counts: [right label][predicted label]; shares: the same over the row's sum."""

    labels: Sequence[str]
    counts: Sequence[Sequence[int]]
    shares: Sequence[Sequence[float]]
    template: ClassVar[str] = "confusion"

    @property
    def numbered(self) -> bool:
        """Whether columns are headed by numbers, because the names have no room."""
        return len(self.labels) > 8 or max(map(len, self.labels), default=0) > 10

    @property
    def small(self) -> bool:
        """Whether a cell has room for its count alone."""
        return len(self.labels) > 12


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A stretch of text. tone: how it is marked: "" not at all, "right", "wrong", "missed", "both", "plus", "minus" or "special"; weight: how strongly, in
    [0, 1]; note: in small letters behind it; said: what it means, for who hovers over it.
    """

    text: str
    tone: str = ""
    weight: float = 1.0
    note: str = ""
    said: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A named line of an example: plain text, or stretches of it."""

    name: str
    marks: Sequence[Mark]

    @classmethod
    def plain(cls, name: str, text: str) -> "Line":
        return cls(name=name, marks=(Mark(text=text),))


@dataclass(frozen=True, kw_only=True)
class Example:
    """One example. badge: one word on it, good or not; facts: what stands under it, place and loss; bars: (label, share, text, tone)."""

    lines: Sequence[Line]
    badge: str = ""
    good: bool = False
    facts: Sequence[str] = ()
    bars: Sequence[tuple[str, float, str, str]] = ()
    blocks: Sequence["Block"] = ()


@dataclass(frozen=True)
class Examples:
    """wide: each takes the whole width, since it holds figures."""

    examples: Sequence[Example]
    wide: bool = False
    template: ClassVar[str] = "examples"


@dataclass(frozen=True, kw_only=True)
class Map:
    """An attention map as a picture of one pixel a pair of tokens (PNG, base64). tokens: of rows and columns alike."""

    title: str
    picture: str
    tokens: Sequence[str]

    @property
    def length(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Maps:
    maps: Sequence[Map]
    template: ClassVar[str] = "maps"


@dataclass(frozen=True)
class Code:
    """A few lines to copy. language: said above them."""

    text: str
    language: str
    template: ClassVar[str] = "code"


@dataclass(frozen=True)
class Folded:
    """Blocks behind one line that opens them."""

    summary: str
    blocks: Sequence["Block"]
    template: ClassVar[str] = "folded"


Block = Tiles | Prose | Notes | Table | Bars | Boxes | Drawings | Confusion | Examples | Maps | Code | Folded


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        return "-".join("".join(letter if letter.isalnum() else " " for letter in self.title.lower()).split())


@dataclass(frozen=True, kw_only=True)
class Page:
    title: str
    subtitle: str
    sections: Sequence[Section] = field(default_factory=tuple)

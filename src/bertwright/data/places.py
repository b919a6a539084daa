"""Where a row stands in what a user gave, for messages."""

from typing import NamedTuple


class Place(NamedTuple):
    """Where a row stands, spelt out only when an error names it."""

    name: str
    unit: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}, {self.unit} {self.number}"

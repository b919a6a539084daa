"""Rows that nothing can be learnt from: all of them are counted and named, and either refused together or left out, as the user says."""

from collections.abc import Mapping, Sequence

from bertwright.data.places import Place
from bertwright.errors import InputError

NAMED = 8  # places spelt out in a message
MOST_SHOWN = 12  # names in a line


def listed(names: Sequence[str]) -> str:
    """Names with commas between, the first of them where there are many."""
    return ", ".join(names[:MOST_SHOWN]) + (f" and {len(names) - MOST_SHOWN:,} more" if len(names) > MOST_SHOWN else "")


def named_places(places: list[Place]) -> str:
    """`lines 3, 9 and 12`, or the first of them and how many more."""
    unit = places[0].unit + ("s" if len(places) > 1 else "")
    shown = [f"{place.number:,}" for place in places[:NAMED]]
    if len(places) > NAMED:
        return f"{unit} {', '.join(shown)} and {len(places) - NAMED:,} more"
    return f"{unit} {' and '.join(filter(None, (', '.join(shown[:-1]), shown[-1])))}"


def many_rows(count: int) -> str:
    """`1 row`, `12,000 rows`."""
    return f"{count:,} row{'' if count == 1 else 's'}"


class BadRows:
    """Collects the rows of one file that cannot be used, by what is wrong with them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._places: dict[str, list[Place]] = {}
        self._mends: dict[str, str] = {}

    def add(self, wrong: str, place: Place, mend: str = "mend them") -> None:
        """wrong: what follows on "3 rows", such as "without a text"."""
        self._places.setdefault(wrong, []).append(place)
        self._mends[wrong] = mend

    def settle(self, *, drop: bool) -> Mapping[str, int]:
        """How many rows are left out, by reason. Raises InputError with a line for each reason unless `drop`."""
        if self._places and not drop:
            raise InputError(
                *(
                    f"{self._name}: {many_rows(len(places))} {wrong} ({named_places(places)}): {self._mends[wrong]}, or pass --drop_bad_rows to leave them out"
                    for wrong, places in self._places.items()
                )
            )
        return {wrong: len(places) for wrong, places in self._places.items()}

"""Reading a config.json's values with all their mistakes collected, so that they are reported at once."""

import math
from typing import Any, TypeVar

from bertwright.architecture import Architecture
from bertwright.errors import InputError
from bertwright.families.family import Config

T = TypeVar("T")


class ConfigReader:
    """Takes values by key, each with the default that Hugging Face's config class has for it, and notes what is wrong."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._problems: dict[str, str] = {}

    def integer(self, key: str, default: int) -> int:
        """A whole number; null counts as left out."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            return self._wrong(key, f"{key} is {value!r}: it must be a whole number", default)
        return value

    def number(self, key: str, default: float) -> float:
        """A finite number of at least 0; null counts as left out."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            return self._wrong(key, f"{key} is {value!r}: it must be a number of at least 0", default)
        return float(value)

    def choice(self, key: str, default: str, *, choices: dict[str, str]) -> str:
        """One of Hugging Face's words, translated to ours."""
        value = self._value(key, default)
        if not isinstance(value, str) or value not in choices:
            return self._wrong(key, f"{key} {value!r} is not supported: take one of {', '.join(choices)}", choices[default])
        return choices[value]

    def only(self, key: str, supported: Any, *, mend: str) -> None:
        """Refuses any value but the supported one; left out and null are fine."""
        value = self._value(key, supported)
        if value != supported:
            self._wrong(key, f"{key} {value!r} is not supported: {mend}", None)

    def finish(self, architecture: Architecture) -> Architecture:
        """The architecture when nothing was wrong with the config or between its values; raises InputError with every problem otherwise."""
        # A contradiction with a default that stands in for an unreadable value would be news about our default.
        contradictions = [line for line in architecture.problems() if not any(key in line for key in self._problems)]
        if problems := [*self._problems.values(), *contradictions]:
            raise InputError(*problems)
        return architecture

    def _value(self, key: str, default: Any) -> Any:
        value = self._config.get(key)
        return default if value is None else value

    def _wrong(self, key: str, problem: str, stand_in: T) -> T:
        self._problems[key] = problem
        return stand_in

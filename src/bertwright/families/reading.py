"""Reading a config.json's values with all their mistakes collected, so that they are reported at once; and writing them back."""

import sys
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, TypeGuard, TypeVar

from bertwright.architecture import Architecture
from bertwright.errors import InputError
from bertwright.families.family import Config

T = TypeVar("T")

# Hugging Face has several words for one function: the first of them is the one written, so gelu_new stands before its newer name.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}


def activation_word(activation: str, words: Mapping[str, str] = ACTIVATIONS) -> str:
    """Hugging Face's word for an activation of ours."""
    return next(theirs for theirs, ours in words.items() if ours == activation)


def written(architecture: Architecture, keys: Mapping[str, str]) -> dict[str, Any]:
    """Config keys whose value is that of an architecture's attribute, by its dotted path."""
    return {key: attrgetter(path)(architecture) for key, path in keys.items()}


def with_defaults(config: Config, **defaults: Any) -> dict[str, Any]:
    """A config in which these values stand for keys that are left out or null."""
    return {**config, **{key: value for key, value in defaults.items() if config.get(key) is None}}


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value of a config.json is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


class ConfigReader:
    """Takes values by key, each with the default that Hugging Face's config class has for it, and notes what is wrong."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._problems: dict[str, str] = {}

    def integer(self, key: str, default: int, *, least: int | None = None) -> int:
        """A whole number, no smaller than `least`; null counts as left out."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            return self._wrong(key, f"{key} is {value!r}: it must be a whole number", default)
        if least is not None and value < least:
            return self._wrong(key, f"{key} is {value}: it must be at least {least}", default)
        return value

    def token(self, key: str, default: int | None) -> int | None:
        """A token's id; null means that there is none, and of several the first counts."""
        value = self._config.get(key, default)
        if isinstance(value, list) and value:
            value = value[0]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            return self._wrong(key, f"{key} is {value!r}: it must be the id of a token", default)
        # Negative ids stand for none: transformers' own files hold -1.
        return None if value is not None and value < 0 else value

    def labels(self, default: int = 2) -> int:
        """The number of labels: of `id2label` where it stands, else `num_labels`."""
        names = self._value("id2label", None)
        if isinstance(names, dict) and names:
            return len(names)
        return self.integer("num_labels", default)

    def number(self, key: str, default: float) -> float:
        """A finite number of at least 0; null counts as left out."""
        value = self._value(key, default)
        if not is_number(value) or value < 0:
            return self._wrong(key, f"{key} is {value!r}: it must be a number of at least 0", default)
        return float(value)

    def positive(self, key: str, default: float) -> float:
        """A finite number above 0; null counts as left out."""
        value = self._value(key, default)
        if not is_number(value) or value <= 0:
            return self._wrong(key, f"{key} is {value!r}: it must be a number above 0", default)
        return float(value)

    def rate(self, key: str, default: float) -> float:
        """A dropout rate; null counts as left out."""
        value = self._value(key, default)
        if not is_number(value) or not 0 <= value < 1:
            return self._wrong(key, f"{key} is {value!r}: it must be a number in [0, 1)", default)
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false; null counts as left out."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            return self._wrong(key, f"{key} is {value!r}: it must be true or false", default)
        return value

    def choice(self, key: str, default: str, *, choices: Mapping[str, T]) -> T:
        """One of Hugging Face's words, translated to ours."""
        value = self._value(key, default)
        if not isinstance(value, str) or value not in choices:
            return self._wrong(key, f"{key} {value!r} is not supported: take one of {', '.join(choices)}", choices[default])
        return choices[value]

    def activation(self, key: str, default: str) -> str:
        """An activation's word, translated to ours."""
        return self.choice(key, default, choices=ACTIVATIONS)

    def only(self, key: str, supported: Any, *, mend: str) -> None:
        """Refuses any value but the supported one; left out and null are fine."""
        value = self._value(key, supported)
        if value != supported:
            self._wrong(key, f"{key} {value!r} is not supported: {mend}", None)

    def encoder_only(self) -> None:
        """Refuses what transformers lets its encoders be beside encoders."""
        self.only("is_decoder", False, mend="this is an encoder; a checkpoint of a decoder cannot be used")
        self.only("add_cross_attention", False, mend="this is an encoder without cross-attention; take a checkpoint without it")
        self.only("pruned_heads", {}, mend="take the checkpoint from before its heads were pruned")

    def absolute_positions(self) -> None:
        """Refuses relative positions in families that have learned absolute ones alone."""
        self.only("position_embedding_type", "absolute", mend="take a checkpoint with absolute ones")

    def wrong(self, key: str, problem: str) -> None:
        """Notes what is wrong with a value that was read otherwise."""
        self._wrong(key, problem, None)

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

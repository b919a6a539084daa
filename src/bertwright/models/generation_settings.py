"""How text is generated: settings under Hugging Face's names."""

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from bertwright.errors import InputError

NEW_TOKENS = 50  # where nobody says how many: a sentence or two

Ids = int | Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Generation:
    """Settings of a generation; the names, meanings and defaults of transformers' GenerationConfig, but for the number of tokens and the seed.

    max_new_tokens: at most so many; None: up to `max_length`, prompt included, or 50 where that is None too. A model's positions end it earlier.
    min_new_tokens: no end before; None: before `min_length`, prompt included. num_beams: 1 is greedy search, or sampling with `do_sample`.
    num_return_sequences: of each text, at most num_beams unless sampled. length_penalty: a beam's score is its log-probability over its length to
    this power. early_stopping: True: as soon as num_beams have ended; "never": only when none can get better; False: when none is likely to.
    temperature: divides the logits; top_k: only the k likeliest, 0 for all; top_p: only the fewest that have this probability together (Holtzman et al.
    2019). seed: of the draws. repetition_penalty: divides what speaks for tokens that came before (Keskar et al. 2019, section 4.1).
    no_repeat_ngram_size: no n tokens in a row come twice, 0 for no such rule. eos_token_id: one or several tokens that end a text.
    bos_token_id: what an empty text begins with. decoder_start_token_id: what the decoder of a model of two stacks begins with; the model's own where
    None. forced_bos_token_id, forced_eos_token_id: the first token after it, the last one at the longest.
    """

    max_new_tokens: int | None = None
    max_length: int | None = None
    min_new_tokens: int | None = None
    min_length: int = 0
    num_beams: int = 1
    num_return_sequences: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    seed: int = 0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    eos_token_id: Ids | None = None
    bos_token_id: int | None = None
    decoder_start_token_id: int | None = None
    forced_bos_token_id: int | None = None
    forced_eos_token_id: Ids | None = None

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The tokens that end a text."""
        return ids_of(self.eos_token_id)

    def longest(self, prompt: int, positions: int | None) -> int:
        """How many new tokens there may be after `prompt` tokens, in a model of so many positions (None: of any number); 0 or less where none may."""
        wanted = self.max_new_tokens
        if wanted is None:
            wanted = NEW_TOKENS if self.max_length is None else self.max_length - prompt
        return wanted if positions is None else min(wanted, positions - prompt)

    def shortest(self, prompt: int) -> int:
        """How many new tokens there are at least after `prompt` tokens."""
        return self.min_length - prompt if self.min_new_tokens is None else self.min_new_tokens

    def problems(self, *, vocab_size: int | None = None) -> list[str]:
        """One line for each value that cannot stand; empty when all can."""
        found = [line for field in dataclasses.fields(self) if (line := _problem(field.name, getattr(self, field.name)))]
        return found or self._contradictions() + ([] if vocab_size is None else self._strangers(vocab_size))

    def _contradictions(self) -> list[str]:
        found, several = [], self.num_return_sequences
        if self.do_sample and self.num_beams > 1:
            found.append(f"num_beams {self.num_beams} searches, and do_sample draws: take num_beams 1, or no do_sample")
        elif not self.do_sample and several > self.num_beams:
            found.append(f"num_return_sequences is {several}, and num_beams {self.num_beams}: take num_beams {several} or more, or do_sample")
        if self.max_new_tokens is not None and (self.min_new_tokens or 0) > self.max_new_tokens:
            found.append(f"min_new_tokens {self.min_new_tokens} is more than max_new_tokens {self.max_new_tokens}: take fewer")
        return found

    def _strangers(self, vocab_size: int) -> list[str]:
        return [
            f"{name} {number} lies outside the vocabulary of {vocab_size}: take the token's id"
            for name in _ID_LISTS + _SINGLE_IDS
            for number in ids_of(getattr(self, name))
            if not 0 <= number < vocab_size
        ]


KEYS = tuple(field.name for field in dataclasses.fields(Generation))
_OF_SAMPLING = ("temperature", "top_k", "top_p")
_OF_BEAMS = ("length_penalty", "early_stopping")
_AT_LEAST = {
    "max_new_tokens": 1,
    "max_length": 1,
    "min_new_tokens": 0,
    "min_length": 0,
    "num_beams": 1,
    "num_return_sequences": 1,
    "top_k": 0,
    "no_repeat_ngram_size": 0,
    "seed": 0,
}
_MAY_BE_NONE = ("max_new_tokens", "max_length", "min_new_tokens")
_ABOVE_ZERO = ("temperature", "repetition_penalty")
_ID_LISTS = ("eos_token_id", "forced_eos_token_id")
_SINGLE_IDS = ("bos_token_id", "decoder_start_token_id", "forced_bos_token_id")


def with_options(settings: Generation, options: Mapping[str, Any], *, vocab_size: int) -> Generation:
    """The settings with what a caller asks for in their place; None asks for nothing.

    Raises InputError naming every option that is unknown, cannot stand or would change nothing.
    """
    given = {name: value for name, value in options.items() if value is not None}
    problems = [_unknown(name) for name in given if name not in KEYS]
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if name in KEYS}
    # An option in one way of counting overrules the checkpoint's in the other.
    for option, other in (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens")):
        if option in values:
            values.setdefault(other, None)
    settings = dataclasses.replace(settings, **values)
    if not settings.do_sample:
        problems += [f"{name} changes the draws, and nothing is drawn: give do_sample too" for name in _OF_SAMPLING if name in values]
    if settings.num_beams == 1:
        problems += [f"{name} orders beams, and there is one: give num_beams 2 or more" for name in _OF_BEAMS if name in values]
    problems += settings.problems(vocab_size=vocab_size)
    if problems:
        raise InputError(*problems)
    return settings


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, KEYS, n=1)
    return f"{name} is not an option: " + (f"did you mean {near[0]}?" if near else f"known are {', '.join(KEYS)}")


def ids_of(value: Ids | None) -> tuple[int, ...]:
    """One id, several or none as a tuple."""
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(value)


def _problem(name: str, value: object) -> str | None:
    if name in _AT_LEAST:
        if value is None and name in _MAY_BE_NONE:
            return None
        return None if _whole(value) and value >= _AT_LEAST[name] else f"{name} is {value!r}: it must be a whole number of at least {_AT_LEAST[name]}"
    if name in _ABOVE_ZERO:
        return None if _real(value) and value > 0 else f"{name} is {value!r}: it must be a number above 0"
    if name == "top_p":
        return None if _real(value) and 0 < value <= 1 else f"top_p is {value!r}: it must be a number above 0 and at most 1"
    if name == "length_penalty":
        return None if _real(value) else f"length_penalty is {value!r}: it must be a number"
    if name == "early_stopping":
        return None if isinstance(value, bool) or value == "never" else f'early_stopping is {value!r}: it must be True, False or "never"'
    if name == "do_sample":
        return None if isinstance(value, bool) else f"do_sample is {value!r}: it must be True or False"
    if value is None or _whole(value):
        return None
    if name in _ID_LISTS:
        fits = isinstance(value, list | tuple) and all(_whole(number) for number in value)
        return None if fits else f"{name} is {value!r}: it must be a token's id, or a list of them"
    return f"{name} is {value!r}: it must be a token's id"


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _real(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

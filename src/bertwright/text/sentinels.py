"""Tokens that mark gaps in a text, for a tokenizer that has none."""

import dataclasses

import tokenizers

from bertwright.text.special import sentinel
from bertwright.text.tokenizer import Tokenizer


def with_sentinels(tokenizer: Tokenizer, count: int) -> Tokenizer:
    """The tokenizer with <extra_id_0> and so on, `count` of them in all, as T5's; those that it lacks stand behind its other entries, which keep their ids."""
    lacking = [sentinel(number) for number in range(len(tokenizer.sentinel_ids), count)]
    if not lacking:
        return tokenizer
    backend = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
    backend.add_special_tokens([tokenizers.AddedToken(name, normalized=False) for name in lacking])
    return dataclasses.replace(tokenizer, backend=backend)

"""Settings of a generation name what cannot stand."""

from typing import Any

import pytest

from bertwright.models.generation_settings import Generation


def test_the_defaults_stand_and_are_those_of_transformers() -> None:
    assert Generation().problems(vocab_size=2) == []
    config = pytest.importorskip("transformers").GenerationConfig
    theirs = config._get_default_generation_params()
    ours = vars(Generation())
    same = set(ours) & set(theirs) - {"max_length"}
    assert len(same) > 10
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    assert set(ours) - {"seed"} <= set(vars(config()))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0: it must be a whole number of at least 1"),
        ({"max_new_tokens": 2.5}, "max_new_tokens is 2.5: it must be a whole number"),
        ({"num_beams": True}, "num_beams is True"),
        ({"num_beams": "4"}, "num_beams is '4'"),
        ({"min_length": -1}, "min_length is -1"),
        ({"temperature": 0}, "temperature is 0: it must be a number above 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"repetition_penalty": -1.0}, "repetition_penalty is -1.0"),
        ({"top_p": 0.0}, "top_p is 0.0: it must be a number above 0 and at most 1"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"top_k": -1}, "top_k is -1"),
        ({"length_penalty": float("inf")}, "length_penalty is inf"),
        ({"early_stopping": "always"}, "early_stopping is 'always': it must be True, False or \"never\""),
        ({"do_sample": 1}, "do_sample is 1: it must be True or False"),
        ({"eos_token_id": (1, "2")}, "eos_token_id is (1, '2'): it must be a token's id, or a list of them"),
        ({"bos_token_id": (1, 2)}, "bos_token_id is (1, 2): it must be a token's id"),
        ({"eos_token_id": (1, 9)}, "eos_token_id 9 lies outside the vocabulary of 9"),
        ({"forced_bos_token_id": -1}, "forced_bos_token_id -1 lies outside"),
        ({"num_beams": 2, "do_sample": True}, "num_beams 2 searches, and do_sample draws"),
        ({"num_return_sequences": 3}, "num_return_sequences is 3, and num_beams 1: take num_beams 3 or more, or do_sample"),
        ({"min_new_tokens": 9, "max_new_tokens": 3}, "min_new_tokens 9 is more than max_new_tokens 3"),
    ],
)
def test_a_setting_that_cannot_stand_is_named_with_its_mend(asked: dict[str, Any], said: str) -> None:
    (problem,) = Generation(**asked).problems(vocab_size=9)
    assert said in problem


def test_several_sequences_need_beams_or_draws() -> None:
    assert Generation(num_return_sequences=3, num_beams=3).problems() == []
    assert Generation(num_return_sequences=3, do_sample=True).problems() == []


def test_all_problems_are_named_at_once() -> None:
    assert len(Generation(num_beams=0, top_p=2, seed=-1).problems()) == 3

"""The rules on scores are those of their papers and of transformers; draws follow the probabilities that the rules leave."""

from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor

from bertwright.errors import InputError
from bertwright.models.generation_scores import PADDED, Draw, highest, narrowed, only, penalise_repetition, score_rule, seeds, without_repeated
from bertwright.models.generation_settings import Generation

VOCAB = 12


def scores(rows: int, *, seed: int = 0) -> Tensor:
    return torch.randn(rows, VOCAB, generator=torch.Generator().manual_seed(seed)) * 2


@pytest.fixture(scope="module")
def processors() -> Any:
    return pytest.importorskip("transformers.generation.logits_process")


def test_repetition_is_penalised_by_the_published_formula() -> None:
    """CTRL, section 4.1: the score of token i is x_i / (T I(i in g)); what is negative is multiplied, else it would rise."""
    given, history = scores(2), torch.tensor([[3, 3, 5], [PADDED, 7, 1]])
    found = penalise_repetition(given, history, 1.3)
    for row, tokens in enumerate(({3, 5}, {7, 1})):
        for token in range(VOCAB):
            score = given[row, token].item()
            expected = (score / 1.3 if score > 0 else score * 1.3) if token in tokens else score
            assert found[row, token].item() == pytest.approx(expected)
    assert {bool(given[0, 3] > 0), bool(given[0, 5] > 0), bool(given[1, 7] > 0), bool(given[1, 1] > 0)} == {True, False}


def test_the_rules_are_those_of_transformers(processors: Any) -> None:
    given = scores(4, seed=1)
    history = torch.randint(VOCAB, (4, 9), generator=torch.Generator().manual_seed(2)) % 4
    assert torch.equal(penalise_repetition(given, history, 1.7), processors.RepetitionPenaltyLogitsProcessor(1.7)(history, given))
    for size in (1, 2, 3, 10):
        assert torch.equal(without_repeated(given, history, size), processors.NoRepeatNGramLogitsProcessor(size)(history, given))
    assert without_repeated(given, history, 2).isinf().any()
    for name, value, theirs in (
        ("temperature", 0.6, processors.TemperatureLogitsWarper),
        ("top_k", 5, processors.TopKLogitsWarper),
        ("top_p", 0.7, processors.TopPLogitsWarper),
    ):
        found = narrowed(given, **{"temperature": 1.0, "top_k": 0, "top_p": 1.0, name: value})
        assert torch.equal(found, theirs(value)(history, given))
        assert not torch.equal(found, given)


def test_padding_is_no_token_that_came_before() -> None:
    given = scores(1)
    padded, alone = torch.tensor([[PADDED, PADDED, PADDED, 4, 4]]), torch.tensor([[4, 4]])
    for size in (1, 2, 3):
        assert torch.equal(without_repeated(given, padded, size), without_repeated(given, alone, size))
    assert torch.equal(penalise_repetition(given, padded, 2.0), penalise_repetition(given, alone, 2.0))


def test_the_highest_score_always_stays() -> None:
    given = scores(3)
    for narrow in (narrowed(given, temperature=0.01, top_k=1, top_p=1.0), narrowed(given, temperature=1.0, top_k=0, top_p=1e-9)):
        assert torch.equal(narrow.isfinite().sum(1), torch.ones(3, dtype=torch.long))
        assert torch.equal(narrow.argmax(1), given.argmax(1))


def test_rules_come_in_the_order_of_transformers() -> None:
    """What is forced is forced whatever the other rules say; drawing narrows what they leave."""
    history = torch.tensor([[1, 2, 1, 2, 1]])
    settings = Generation(no_repeat_ngram_size=2, eos_token_id=3, min_new_tokens=2, forced_eos_token_id=2)
    rule = score_rule(settings, prompt=4, longest=2)
    assert rule(scores(1), history).argmax().item() == 2
    rule = score_rule(Generation(no_repeat_ngram_size=2, eos_token_id=3, min_new_tokens=2, do_sample=True, top_k=4), prompt=4, longest=9)
    assert rule(scores(1), history).isfinite().sum() == 4
    assert rule(scores(1), history)[0, [2, 3]].isinf().all()


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), [(1.0, 0, 1.0), (0.5, 0, 1.0), (2.0, 0, 1.0), (1.0, 4, 1.0), (1.0, 0, 0.8), (1.5, 6, 0.9)])
def test_draws_follow_the_softmax(temperature: float, top_k: int, top_p: float) -> None:
    given, count = scores(1, seed=3), 20_000
    probabilities = sorted(enumerate((given[0].double() / temperature).softmax(-1).tolist()), key=lambda pair: -pair[1])
    kept = probabilities[: top_k or VOCAB]
    total, mass, allowed = sum(p for _, p in kept), 0.0, {}
    for token, p in kept:  # the fewest that have top_p together
        if mass >= top_p:
            break
        allowed[token] = p / total
        mass += p / total
    rule = score_rule(Generation(do_sample=True, temperature=temperature, top_k=top_k, top_p=top_p), prompt=1, longest=1)
    draws = Draw(list(islice(seeds(0), count)))(rule(given.expand(count, -1), torch.zeros(count, 1, dtype=torch.long)))
    shares = torch.bincount(draws, minlength=VOCAB) / count
    for token in range(VOCAB):
        expected = allowed.get(token, 0.0) / sum(allowed.values())
        assert abs(shares[token].item() - expected) <= 4.5 * (expected * (1 - expected) / count) ** 0.5


def test_later_draws_of_a_row_are_new_and_as_good() -> None:
    flat, draw = torch.zeros(1, 2), Draw([5])
    found = torch.cat([draw(flat) for _ in range(2_000)])
    assert abs(found.float().mean().item() - 0.5) < 4.5 * 0.5 / 2_000**0.5
    pairs = (found[1:] != found[:-1]).float().mean().item()
    assert abs(pairs - 0.5) < 4.5 * 0.5 / 2_000**0.5


def test_a_row_draws_the_same_beside_any_others() -> None:
    given, numbers = scores(5), list(islice(seeds(7), 5))
    together = Draw(numbers)(given)
    assert together.tolist() == [Draw([number])(given[row : row + 1]).item() for row, number in enumerate(numbers)]
    assert list(islice(seeds(7), 2)) == numbers[:2]
    assert len({*numbers, *islice(seeds(8), 5)}) == 10
    draw = Draw(numbers)
    draw.select([4, 1])
    assert draw(given[[4, 1]]).tolist() == [together[4].item(), together[1].item()]


@pytest.mark.parametrize(("point", "token"), [(0.0, 3), (1 - 2**-53, 8)])
def test_the_first_and_the_last_point_draw_tokens_that_have_a_score(monkeypatch: pytest.MonkeyPatch, point: float, token: int) -> None:
    monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.tensor([point], dtype=torch.float64))
    assert Draw([0])(only(scores(1), [3, 8])).item() == token


def test_tokens_without_a_score_are_never_drawn() -> None:
    given = only(scores(500), [3, 8])
    assert set(Draw(list(range(500)))(given).tolist()) == {3, 8}
    given = torch.full((500, VOCAB), -torch.inf)
    given[:, 4] = -1e30
    assert set(Draw(list(range(500)))(given).tolist()) == {4}


@pytest.mark.parametrize("bad", [-torch.inf, torch.nan])
def test_no_token_to_choose_is_said(bad: float) -> None:
    given = torch.full((2, VOCAB), bad)
    for choose in (highest, Draw([1, 2])):
        with pytest.raises(InputError, match="no token is left"):
            choose(given)

"""Windows cover a text, share what they must, and give each token to the one that knows most around it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertwright.tasks.windows import Window, shared_tokens, windows


def test_a_text_that_fits_is_one_window() -> None:
    assert windows(10, room=10, shared=3) == [Window(0, 10, 0, 10)]
    assert windows(0, room=10, shared=3) == [Window(0, 0, 0, 0)]


@given(st.integers(1, 300), st.integers(1, 40), st.integers(0, 39))
def test_every_token_is_given_to_the_window_with_most_context_and_neighbours_share_enough(count: int, room: int, shared: int) -> None:
    shared = min(shared, room - 1)
    found = windows(count, room=room, shared=shared)
    assert found[0].start == 0
    assert found[-1].stop == count
    assert [window.first for window in found] == [0, *(window.last for window in found[:-1])]
    assert found[-1].last == count
    for before, after in itertools.pairwise(found):
        assert before.stop - before.start == after.stop - after.start == room
        assert before.stop - after.start >= shared
    assert len(found) == 1 or (len(found) - 2) * (room - shared) + room < count  # one fewer would not do
    for window in found:
        for place in range(window.first, window.last):
            own = min(place - window.start, window.stop - 1 - place)
            assert own == max(min(place - other.start, other.stop - 1 - place) for other in found if other.start <= place < other.stop)


def test_windows_that_never_move_on_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot share 5"):
        windows(10, room=5, shared=5)


def test_neighbours_share_at_most_half_and_by_default_128_of_384() -> None:
    assert shared_tokens(None, 384) == 128
    assert shared_tokens(None, 512) == 128
    assert shared_tokens(None, 30) == 10
    assert shared_tokens(50, 60) == 30
    assert shared_tokens(0, 60) == 0

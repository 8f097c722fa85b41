"""A CSMS that is down is neither hammered nor forgotten."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.csms.backoff import SHORTEST_WAIT_S, Backoff


def waits(backoff: Backoff, count: int, *, repeat_times: int = 3) -> list[float]:
    return [
        backoff.next_wait_s(wait_minimum_s=10.0, random_range_s=4.0, repeat_times=repeat_times)
        for _ in range(count)
    ]


def test_the_wait_doubles_a_limited_number_of_times_and_then_stays() -> None:
    """2.0.1 RetryBackOff: minimum, then doubled RepeatTimes times, then constant."""
    assert waits(Backoff(lambda: 0.0), 6) == [10.0, 20.0, 40.0, 80.0, 80.0, 80.0]
    assert waits(Backoff(lambda: 0.0), 3, repeat_times=0) == [10.0, 10.0, 10.0]


def test_each_wait_has_randomness_of_its_own() -> None:
    """A thousand stations that lost the same server do not come back in the same second."""
    numbers = iter([0.0, 0.5, 0.25])
    assert waits(Backoff(lambda: next(numbers)), 3) == [10.0, 22.0, 41.0]


def test_after_a_good_connection_it_begins_anew() -> None:
    """The first wait after a reset is a first one."""
    backoff = Backoff(lambda: 0.0)
    waits(backoff, 5)
    backoff.reset()
    assert waits(backoff, 2) == [10.0, 20.0]


def test_fewer_doublings_hold_at_once() -> None:
    """The values may be changed by the CSMS at any time."""
    backoff = Backoff(lambda: 0.0)
    waits(backoff, 5)
    assert waits(backoff, 2, repeat_times=1) == [20.0, 20.0]


@given(st.floats(0, 100), st.floats(0, 100), st.integers(0, 20), st.floats(0, 1, exclude_max=True))
def test_no_setting_makes_a_busy_loop(minimum: Any, spread: Any, repeat: Any, number: Any) -> None:
    """Zero is a value that a CSMS can set; it is not a wait."""
    backoff = Backoff(lambda: number)
    for _ in range(5):
        wait = backoff.next_wait_s(wait_minimum_s=minimum, random_range_s=spread, repeat_times=repeat)
        assert SHORTEST_WAIT_S <= wait <= max(SHORTEST_WAIT_S, minimum * 2**repeat + spread)

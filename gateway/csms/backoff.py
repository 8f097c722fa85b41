"""How long to stay away from a CSMS: the RetryBackOff scheme of 2.0.1, for every version (Part 4 §5.3)."""

from collections.abc import Callable

# A wait of zero, configured or sent by a CSMS, must not become a busy loop.
SHORTEST_WAIT_S = 0.1


class Backoff:
    """The wait doubles with each failure, a limited number of times, each time with new randomness on top."""

    __slots__ = ("_doublings", "_random")

    def __init__(self, random: Callable[[], float]) -> None:
        """`random` gives numbers in 0 ≤ x < 1."""
        self._random = random
        self._doublings = 0

    def next_wait_s(self, *, wait_minimum_s: float, random_range_s: float, repeat_times: int) -> float:
        """The wait before the next attempt. The values may change between any two calls."""
        doublings = min(self._doublings, repeat_times)
        self._doublings = doublings + 1
        wait_s = wait_minimum_s * 2.0**doublings + random_range_s * self._random()
        return max(wait_s, SHORTEST_WAIT_S)

    def reset(self) -> None:
        """A connection was good: the next wait is a first one again."""
        self._doublings = 0

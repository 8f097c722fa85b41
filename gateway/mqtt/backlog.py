"""What waits for a broker that is slower than we are: the newest of each register, and what switches first."""

from __future__ import annotations

from collections import OrderedDict
from math import inf
from typing import NamedTuple

MOST = 50_000


class Waiting(NamedTuple):
    """A message that may not be sent yet."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    expiry_s: int | None
    response_topic: str | None
    correlation: bytes | None
    worthless_at: float = inf
    """Monotonic; when its expiry is over while it still waits."""


class Backlog:
    """Two lanes, each in order. Of a *register* only the latest counts: it takes the place of the one that waits."""

    __slots__ = ("_lanes", "_number")

    def __init__(self) -> None:
        """Nothing waits."""
        self._lanes: tuple[OrderedDict[str | int, Waiting], ...] = (OrderedDict(), OrderedDict())
        self._number = 0

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def add(self, waiting: Waiting, now: float, *, register: bool, urgent: bool) -> bool:
        """Have a message wait; False when too much does."""
        if waiting.expiry_s is not None:
            waiting = waiting._replace(worthless_at=now + waiting.expiry_s)
        lane = self._lanes[0 if urgent else 1]
        if register:
            if waiting.topic in lane or len(self) < MOST:
                lane[waiting.topic] = waiting
                return True
            return False
        if len(self) >= MOST:
            return False
        self._number += 1
        lane[self._number] = waiting
        return True

    def take(self, now: float) -> Waiting | None:
        """The next to be sent; None when nothing waits. What has expired meanwhile is passed over."""
        for lane in self._lanes:
            while lane:
                waiting = lane.popitem(last=False)[1]
                if now < waiting.worthless_at:
                    return waiting
        return None

    def clear(self) -> None:
        """Nobody is there to be told."""
        for lane in self._lanes:
            lane.clear()

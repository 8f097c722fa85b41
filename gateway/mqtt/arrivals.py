"""What arrived is acknowledged in the order of arrival, whatever order it is done with in."""

from __future__ import annotations

from collections import deque

from msgspec import Struct


class Message(Struct):
    """One message that arrived."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    """The stored copy, delivered on subscribing."""
    backlog: bool
    """It arrived before this connection's marker: it may have waited in the broker while we were away."""
    mid: int
    connection: int
    """Which connection brought it; it can be acknowledged on no other."""
    response_topic: str | None = None
    correlation: bytes | None = None
    settled: bool = False
    """We are done with it; the broker may not know yet."""


class Unacknowledged:
    """The messages of one connection that the broker waits for, oldest first."""

    def __init__(self) -> None:
        self._waiting: deque[Message] = deque()

    def __len__(self) -> int:
        """How many the broker waits for."""
        return len(self._waiting)

    def add(self, message: Message) -> None:
        """Take a message with QoS 1 as it arrives."""
        self._waiting.append(message)

    def settle(self, message: Message) -> list[int]:
        """Note that we are done with `message`; return the packet ids to acknowledge now, in order."""
        message.settled = True
        ready = []
        while self._waiting and self._waiting[0].settled:
            ready.append(self._waiting.popleft().mid)
        return ready

"""What one station said, in order, and the waiting for what it will say: on events, never by sleeping."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Literal, TypeVar

import msgspec

from tests.support.csms_ledger import Call

Found = TypeVar("Found")
Fits = Callable[[Call], bool]


class Frame(msgspec.Struct, frozen=True):
    """One frame as it was on the wire; `at` in seconds of `time.monotonic()`."""

    direction: Literal["received", "sent"]
    text: str | bytes
    at: float
    connection: int


class Record:
    """Everything of one identity over all its connections."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.calls: list[Call] = []
        """Every valid CALL, in order of arrival."""
        self.frames: list[Frame] = []
        """Every frame of both directions, valid or not."""
        self.violations: list[str] = []
        self._consumed: dict[str, int] = defaultdict(int)
        self._changed = asyncio.Event()

    async def expect(self, action: str, where: Fits | None = None, timeout: float = 20.0) -> Call:
        """The next CALL of that action which fits; what `where` passes over is consumed too: order counts.

        Waits over reconnects. AssertionError after `timeout` seconds, saying what came instead.
        """

        def next_fitting() -> Call | None:
            for index in range(self._consumed[action], len(self.calls)):
                call = self.calls[index]
                if call.action == action and (where is None or where(call)):
                    self._consumed[action] = index + 1
                    return call
            return None

        first = self._consumed[action]
        return await self.until(next_fitting, timeout, lambda: f"{action} that fits; {self._told(first)}")

    async def expect_each(self, action: str, *wheres: Fits, timeout: float = 20.0) -> list[Call]:
        """One CALL for each `where`, whatever order they come in; returned in the order asked for."""
        first = self._consumed[action]

        def all_found() -> list[Call] | None:
            found: dict[int, Call] = {}
            for index in range(first, len(self.calls)):
                call = self.calls[index]
                if call.action != action:
                    continue
                number = next((n for n, fits in enumerate(wheres) if n not in found and fits(call)), None)
                if number is not None:
                    found[number] = call
                if len(found) == len(wheres):
                    self._consumed[action] = index + 1
                    return [found[n] for n in range(len(wheres))]
            return None

        wanted = f"{len(wheres)} different {action} that fit"
        return await self.until(all_found, timeout, lambda: f"{wanted}; {self._told(first)}")

    def forget(self) -> None:
        """Whatever has come until now is not expected any more."""
        for action in {call.action for call in self.calls}:
            self._consumed[action] = len(self.calls)

    def unconsumed(self, *actions: str) -> list[Call]:
        """CALLs of these actions, of any when none is named, that nobody has expected yet."""
        return [
            call
            for index, call in enumerate(self.calls)
            if (not actions or call.action in actions) and index >= self._consumed[call.action]
        ]

    async def until(
        self,
        found: Callable[[], Found | None],
        timeout: float = 20.0,
        wanted: Callable[[], str] = lambda: "what was waited for",
    ) -> Found:
        """Look again after every frame, connect and disconnect, until `found` gives more than None."""
        try:
            async with asyncio.timeout(timeout):
                while (result := found()) is None:
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{self.identity}: within {timeout} s there was no {wanted()}") from None
        return result

    def violate(self, problem: str) -> None:
        """Record that this station broke the protocol; the Csms raises it at its end."""
        self.violations.append(f"{self.identity}: {problem}")
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _told(self, first: int) -> str:
        told = Counter(call.action for call in self.calls[first:])
        counts = ", ".join(f"{count} {action}" for action, count in told.items()) or "nothing"
        faults = f"; violations: {self.violations}" if self.violations else ""
        return f"since the last one it sent {counts}{faults}"

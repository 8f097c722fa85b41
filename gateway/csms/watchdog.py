"""Notices a dead peer: a ping each interval, and who was silent for two intervals is dead."""

import asyncio
from collections.abc import Callable


class Watchdog:
    """One timer. Whatever is heard counts as a sign of life, since some peers answer no ping but talk."""

    __slots__ = ("_dead", "_interval_s", "_loop", "_ping", "_pinged_at", "_timer", "heard_at")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, ping: Callable[[], None], dead: Callable[[str], None]
    ) -> None:
        """`dead` is called at most once, with a sentence."""
        self._loop = loop
        self._ping = ping
        self._dead = dead
        self._interval_s = 0.0
        self._pinged_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.heard_at = 0.0
        """Loop time of the last byte; kept by the owner."""

    def watch(self, interval_s: float) -> None:
        """Ping that often from now on; 0: not at all. The peer owes nothing for the time before."""
        self.cancel()
        self._interval_s = interval_s
        if interval_s > 0:
            self.heard_at = self._pinged_at = self._loop.time()
            self._timer = self._loop.call_later(interval_s, self._look)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._loop.time()
        dead_at = self.heard_at + 2 * self._interval_s
        if now >= dead_at:
            self._timer = None
            self._dead(f"Nothing was heard from the CSMS for {2 * self._interval_s:g} s.")
            return
        if now >= self._pinged_at + self._interval_s:
            self._pinged_at = now
            self._ping()
        self._timer = self._loop.call_at(min(self._pinged_at + self._interval_s, dead_at), self._look)

"""A connector's setpoint is a register: off is faster than the disk and never overtaken; an on is on disk first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station.effects import Effect, SetPoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Register:
    """The setpoints of one station as they were published."""

    __slots__ = ("_held", "_publish", "_revisions", "_switched_on")

    def __init__(self, publish: Callable[[SetPoint], None]) -> None:
        """Nothing was published yet."""
        self._publish = publish
        self._revisions: dict[int, int] = {}
        """Connector → revision last published."""
        self._switched_on: dict[int, str | None] = {}
        """Connector → transaction for which it was last switched on: so the disk knows that one."""
        self._held: dict[int, SetPoint] = {}
        """Connector → an on that the disk did not take."""

    def show(self, effect: SetPoint) -> None:
        """Publish the newest value only: an on that waited for the disk never overtakes an off (law 4)."""
        if effect.setpoint.revision > self._revisions.get(effect.n, 0):
            self._revisions[effect.n] = effect.setpoint.revision
            if effect.setpoint.energize:
                self._switched_on[effect.n] = effect.setpoint.transaction
            self._publish(effect)

    def hold_on(self, effects: Sequence[Effect]) -> list[Effect]:
        """What may be done although the disk did not take it: no on for a transaction that is not on disk (law 3)."""
        permitted: list[Effect] = []
        for effect in effects:
            if isinstance(effect, SetPoint) and not self._is_running(effect):
                self._held[effect.n] = effect
            else:
                permitted.append(effect)
        return permitted

    def release(self) -> None:
        """Everything is on disk again: what was held back, and not overtaken, is shown."""
        held = list(self._held.values())
        self._held.clear()
        for effect in held:
            self.show(effect)

    def _is_running(self, effect: SetPoint) -> bool:
        transaction = effect.setpoint.transaction
        return transaction is not None and self._switched_on.get(effect.n) == transaction

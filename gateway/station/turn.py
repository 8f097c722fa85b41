"""One turn of a station: the time, and what has been decided so far in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station.effects import Save

if TYPE_CHECKING:
    from msgspec import Struct

    from gateway.station.effects import Effect
    from gateway.station.model import Moment


class Turn:
    """Collects what one event leads to: effects in order, and the records to keep, each once."""

    __slots__ = ("_saves", "effects", "now")

    def __init__(self, now: Moment) -> None:
        """Begin at a moment."""
        self.now = now
        self.effects: list[Effect] = []
        self._saves: dict[tuple[str, str], Struct | None] = {}

    def do(self, effect: Effect) -> None:
        """Have an effect carried out, after those before it."""
        self.effects.append(effect)

    def save(self, kind: str, key: str, record: Struct | None) -> None:
        """Keep a record as it will be at the end of the turn; None forgets it."""
        self._saves[kind, key] = record

    def close(self) -> list[Effect]:
        """All effects, saves first."""
        if not self._saves:
            return self.effects
        saves: list[Effect] = [Save(kind, key, record) for (kind, key), record in self._saves.items()]
        return saves + self.effects

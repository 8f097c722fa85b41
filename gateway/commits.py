"""Store, then say: what an event led to is carried out once it is on disk, in the order in which it happened."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import msgspec
import structlog

from gateway.station.effects import Effect, Save
from gateway.station.recovery import RECORD_TYPES
from gateway.store import StoreFull, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.mqtt.arrivals import Message
    from gateway.store import Store

_log = structlog.get_logger("gateway.station")
_encode = msgspec.json.Encoder().encode
_DECODERS = {kind: msgspec.json.Decoder(record) for kind, record in RECORD_TYPES.items()}
STORE_RETRY_S = 2.0


def decoded_records(
    name: str, stored: Mapping[str, Mapping[str, bytes]]
) -> dict[str, dict[str, msgspec.Struct]]:
    """A station's records; one that cannot be read is left out, loudly, and stays in the store."""
    records: dict[str, dict[str, msgspec.Struct]] = {}
    for kind, bodies in stored.items():
        decoder = _DECODERS.get(kind)
        if decoder is None:
            continue
        kept = records[kind] = {}
        for key, body in bodies.items():
            try:
                kept[key] = decoder.decode(body)
            except msgspec.MsgspecError as error:
                _log.error(
                    "A stored record cannot be read.", station=name, kind=kind, record=key, reason=str(error)
                )
    return records


def encoded(save: Save) -> Write:
    """A record as the store takes it."""
    return Write(save.kind, save.key, None if save.record is None else _encode(save.record))


class Turn:
    """What one event led to."""

    __slots__ = ("effects", "kept", "message", "waits", "writes")

    def __init__(self, effects: Sequence[Effect], message: Message | None, writes: Sequence[Write]) -> None:
        """Begin; nothing was handed to the disk yet."""
        self.effects = effects
        self.message = message
        self.writes = writes
        self.waits = False
        """For the disk itself, not only for those before it."""
        self.kept = True
        """False: the disk did not take it, and it is carried out as far as law 3 lets it."""


class Commits:
    """The turns of one station that wait for the disk; they end in the order in which they began.

    While the disk takes nothing, turns end without it, so that what runs goes on and off works; what they would
    have written is merged, and tried every STORE_RETRY_S until the disk takes it all. Their messages are
    acknowledged nevertheless: held back, they would fill the broker's window and deafen the gateway.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        *,
        ended: Callable[[list[Turn]], None],
        writable: Callable[[bool, str], None],
        spoiled: Callable[[BaseException], None],
    ) -> None:
        """`writable` tells that the disk fails, or takes everything again; `spoiled` that it will never take a turn."""
        self._name = name
        self._store = store
        self._ended = ended
        self._writable = writable
        self._spoiled = spoiled
        self._turns: deque[Turn] = deque()
        self._unsaved: dict[tuple[str, str], Write] = {}
        """What the disk refused: of each record the last."""
        self.failing = False
        self._retry: asyncio.TimerHandle | None = None

    def add(self, effects: Sequence[Effect], message: Message | None, writes: Sequence[Write]) -> None:
        """A turn; it ends at once when there is nothing to wait for."""
        turn = Turn(effects, message, writes)
        if not self._turns and (self.failing or not writes):
            self._merge(turn)
            self._ended([turn])
            return
        self._turns.append(turn)
        if writes and not self.failing:
            turn.waits = True
            self._store.submit(self._name, writes, self._committed)

    def stop(self) -> None:
        """Try no more."""
        if self._retry is not None:
            self._retry.cancel()

    def _committed(self, error: BaseException | None) -> None:
        turn = self._turns.popleft()
        if isinstance(error, StoreFull):
            self._fail(str(error))
            self._merge(turn)
        elif error is not None:
            turn.kept = False
            self._spoiled(error)
        finished = [turn]
        while self._turns and not self._turns[0].waits:
            turn = self._turns.popleft()
            self._merge(turn)
            finished.append(turn)
        self._ended(finished)

    def _merge(self, turn: Turn) -> None:
        """Turns come here in their order, so the last write of a record is the one that counts."""
        if self.failing:
            turn.kept = not turn.writes
            for write in turn.writes:
                self._unsaved[write.kind, write.key] = write

    def _fail(self, reason: str) -> None:
        if not self.failing:
            self.failing = True
            _log.error("What happened cannot be kept.", station=self._name, reason=reason)
            self._writable(False, reason)
            self._try_later()

    def _try_later(self) -> None:
        self._retry = asyncio.get_running_loop().call_later(STORE_RETRY_S, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        if any(turn.waits for turn in self._turns):  # they were handed in before; what they say is older
            self._try_later()
            return
        tried = list(self._unsaved.values())
        self._store.submit(self._name, tried, lambda error: self._tried(tried, error))

    def _tried(self, tried: list[Write], error: BaseException | None) -> None:
        if isinstance(error, StoreFull):
            self._try_later()
            return
        if error is not None:
            self._spoiled(error)
        for write in tried:
            if self._unsaved.get((write.kind, write.key)) is write:
                del self._unsaved[write.kind, write.key]
        if self._unsaved:
            self._try_again()
            return
        self.failing = False
        _log.info("What happens is kept again.", station=self._name)
        self._writable(True, "")

"""One station's loop: what happens goes in, is decided, is on disk, and only then is said; off alone is faster."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any

import structlog

from gateway import way
from gateway.commits import Commits, encoded
from gateway.csms.conversation import Conversation
from gateway.csms.dialects import DIALECTS
from gateway.csms.link import Link
from gateway.register import Register
from gateway.station.certificate_work import CertificateWork
from gateway.station.effects import (
    Answer,
    Ask,
    AskFlow,
    ChangeLink,
    CloseLink,
    Command,
    DescribeAnew,
    Effect,
    HoldLink,
    Notify,
    Publish,
    Quarantine,
    Respond,
    Save,
    SetPoint,
)
from gateway.station.events import (
    Answered,
    Event,
    LinkClosed,
    LinkOpened,
    MeterSampled,
    Restarted,
    StoreChanged,
    TimePassed,
)
from gateway.station.model import Moment
from gateway.station.station import Station
from gateway.station.transfer_work import CancelTransfer, Transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import msgspec

    from gateway.certificates import Desk
    from gateway.commits import Turn
    from gateway.counters import Counters
    from gateway.csms.closing import LinkClosed as LinkEnd
    from gateway.csms.endpoint import LinkConfig
    from gateway.logs import FrameLog
    from gateway.mqtt.arrivals import Message
    from gateway.mqtt.outlet import Outlet
    from gateway.station.certificate_work import CertificateWorked
    from gateway.station.model import StationConfig
    from gateway.station.transfer_work import TransferEnded
    from gateway.store import Store
    from gateway.transfers import Courier

_log = structlog.get_logger("gateway.station")
_CLOCK_TRUSTED_AFTER = 1767225600.0
"""2026-01-01: a host clock before this was never set."""
_SOONEST_S = 0.005
"""A deadline that has passed already is looked at after this; the loop must breathe."""
BACKLOG_LIMIT = 20_000
"""Submissions waiting for the disk over all stations, beyond which meter readings (QoS 0) are passed over."""


class Clock:
    """The clocks of this machine, and the loop's timers; the only place where they are read for a station."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def moment(self) -> Moment:
        wall = time.time()
        return Moment(wall, self.monotonic(), wall >= _CLOCK_TRUSTED_AFTER)

    def monotonic(self) -> float:
        return time.monotonic()

    def call_at(self, monotonic: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return self._loop.call_at(monotonic, callback)


class Runner:
    """Runs one station; all of it on the event loop's thread."""

    def __init__(
        self,
        config: StationConfig,
        link_config: LinkConfig,
        records: Mapping[str, Mapping[str, msgspec.Struct]],
        *,
        store: Store,
        outlet: Outlet,
        counters: Counters,
        frames: FrameLog,
        clock: Clock,
        certificates: Desk,
        courier: Courier,
        link: Callable[..., Link],
    ) -> None:
        """Take up a station; `start` lets it run. `link` makes its way to the CSMS."""
        self.name = config.name
        self.station = Station(config, records)
        self._store = store
        self._outlet = outlet
        self._counters = counters
        self._frames = frames
        self._certificates = certificates
        self._courier = courier
        self._configured = link_config
        self.link = link(
            link_config,
            offered=self.station.offered_versions,
            opened=self._link_opened,
            received=self._frame_received,
            closed=self._link_closed,
        )
        self._conversation: Conversation | None = None
        self._asks_begin_after = 0
        """Questions up to this number belonged to an earlier link."""
        self._call_timeout_s = 30.0
        self._refs = itertools.count(1)
        self._mailbox: deque[tuple[Event, Message | None]] = deque()
        self._busy = False
        self._commits = Commits(
            self.name, store, ended=self._turns_ended, writable=self._writable, spoiled=self._spoiled
        )
        self._register = Register(lambda effect: outlet.setpoint(self.name, effect))
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._clock = clock
        self._ended = False

    # -------------------------------------------------------------- life

    def start(self) -> None:
        """Settle what the former run left, before the first fact is let in."""
        known = self.station.state
        version = known.record.version
        if version not in known.config.versions:
            version = known.config.versions[0]
        self.take(Restarted(uuid.uuid4().hex, DIALECTS[version].flavor))
        for complaint in self.station.state.variables.complaints:
            _log.warning(complaint, station=self.name)
        self._change_link(self.station.link_settings())

    async def run(self) -> None:
        """Keep the link to the CSMS; ends with `stop`, or with the error of a callback."""
        await self.link.run()

    async def stop(self) -> None:
        """Close the link cleanly and let nothing more happen."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._commits.stop()
        await self.link.stop()

    # -------------------------------------------------------------- taking events

    def take(self, event: Event, message: Message | None = None) -> None:
        """Something happened; `message` is acknowledged once what it changed is on disk."""
        self._mailbox.append((event, message))
        if not self._busy:
            self._drain()

    def _drain(self) -> None:
        self._busy = True
        try:
            while self._mailbox:
                event, message = self._mailbox.popleft()
                if self._passed_over(event):
                    self._acknowledge(message)
                    continue
                self._handle(event, message)
        finally:
            self._busy = False
        self._flush()
        self._arm()

    def _passed_over(self, event: Event) -> bool:
        """Whether the disk is so far behind that a meter reading has to be let go."""
        if isinstance(event, MeterSampled) and self._store.pending > BACKLOG_LIMIT:
            self._counters.problems["passed_over"] += 1
            return True
        return False

    def _handle(self, event: Event, message: Message | None) -> None:
        later: list[Effect] = []
        try:
            effects = self.station.handle(event, self._clock.moment())
            writes = [encoded(effect) for effect in effects if isinstance(effect, Save)]
        except Exception as error:  # noqa: BLE001 - whatever a fact makes fail must not deafen the gateway (law 3)
            _log.exception(
                "A fact was put in quarantine.", station=self.name, event_type=type(event).__name__
            )
            self._quarantine(message, error)
            return
        if isinstance(event, Answered) and self._conversation is not None:
            self._conversation.rpc.muted = self.station.muted
        for effect in effects:
            if isinstance(effect, SetPoint) and not effect.setpoint.energize:
                self._register.show(effect)  # off needs no commit first (law 4)
            elif not isinstance(effect, Save):
                later.append(effect)
        if later or writes or message is not None:
            self._commits.add(later, message, writes)

    def _turns_ended(self, turns: list[Turn]) -> None:
        """They are on disk, or as good as can be."""
        draining, self._busy = self._busy, True
        try:
            for turn in turns:
                self._perform(turn.effects if turn.kept else self._register.hold_on(turn.effects))
                self._acknowledge(turn.message)
        finally:
            self._busy = draining
        if not draining:
            self._drain()

    def _writable(self, writable: bool, detail: str) -> None:
        self.take(StoreChanged(writable, detail))
        if writable:
            self._register.release()

    def _spoiled(self, error: BaseException) -> None:
        self._counters.quarantined += 1
        _log.error("A fact was put in quarantine.", station=self.name, reason=str(error))

    def _acknowledge(self, message: Message | None) -> None:
        if message is not None:
            self._outlet.acknowledge(message)

    def _quarantine(self, message: Message | None, error: Exception) -> None:
        self._counters.quarantined += 1
        self._outlet.quarantined(self.name, message, error)
        self._acknowledge(message)

    # -------------------------------------------------------------- carrying out effects

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Ask():
                    self._ask(effect)
                case SetPoint():
                    self._register.show(effect)
                case Publish():
                    self._outlet.view(self.name, effect)
                case Notify():
                    self._outlet.event(self.name, effect)
                    self._log_notice(effect)
                case Answer():
                    if self._conversation is not None:
                        self._conversation.answer(effect)
                case Command():
                    self._outlet.command(self.name, effect)
                case Respond():
                    self._outlet.respond(effect)
                case AskFlow():
                    self._outlet.ask_flow(self.name, effect)
                case CloseLink():
                    self._flush()
                    self.link.close(effect.reason)
                case HoldLink():
                    self.link.suspend(effect.hold)
                case ChangeLink():
                    self._change_link(effect)
                case DescribeAnew():
                    self._outlet.described_anew(self.name)
                case CertificateWork():
                    self._certificates.carry_out(effect, self._worked)
                case Transfer():
                    self._courier.carry(self.name, effect, self._worked, ca_file=self._configured.ca_file)
                case CancelTransfer():
                    self._courier.cancel(self.name, effect.ref)
                case Quarantine():
                    self._counters.quarantined += 1
                    _log.error(
                        "A report was given up.", station=self.name, what=effect.what, reason=effect.detail
                    )
                case _:
                    _log.error("An effect has nobody to carry it out.", effect=type(effect).__name__)

    def _worked(self, event: CertificateWorked | TransferEnded) -> None:
        if not self._ended:
            self.take(event)

    def _ask(self, effect: Ask) -> None:
        if self._conversation is None or effect.ref <= self._asks_begin_after:
            return  # the link went while the disk was written; LinkClosed has told the station
        for event in self._conversation.ask(effect, self._clock.monotonic()):
            self._mailbox.append((event, None))

    def _change_link(self, change: ChangeLink) -> None:
        if change.call_timeout_s is not None:
            self._call_timeout_s = change.call_timeout_s
        try:
            self.link.reconfigure(way.changed(self._configured, change, self._certificates.keys))
        except (OSError, ValueError) as error:
            _log.error("The way to the CSMS stays as it was.", station=self.name, reason=str(error))

    # -------------------------------------------------------------- the link

    def _link_opened(self, version: str) -> None:
        dialect = DIALECTS[version]
        self._asks_begin_after = self.station.state.counter
        self._conversation = Conversation(
            dialect, new_id=_message_id, timeout_s=self._call_timeout_s, refs=self._refs
        )
        _log.info("Connected to the CSMS.", station=self.name, version=version, url=self.link.url)
        self.take(LinkOpened(dialect.flavor))

    def _frame_received(self, frame: bytes) -> None:
        conversation = self._conversation
        if conversation is None:
            return
        self._frames.write(self.name, "received", frame)
        self._mailbox.extend((event, None) for event in conversation.receive(frame, self._clock.monotonic()))
        if not self._busy:
            self._drain()

    def _link_closed(self, closed: LinkEnd) -> None:
        conversation, self._conversation = self._conversation, None
        if not self._ended:
            _log.warning(
                "There is no connection to the CSMS.",
                station=self.name,
                cause=closed.kind.value,
                reason=closed.detail,
                retry_in_s=None if closed.retry_in_s is None else round(closed.retry_in_s, 1),
            )
        self._mailbox.append((LinkClosed(closed.kind.value, closed.detail), None))
        if conversation is not None:
            self._mailbox.extend((event, None) for event in conversation.lost())
            self._note(conversation)
        if not self._busy:
            self._drain()

    def _flush(self) -> None:
        """Write what is to be written, and count what happened."""
        conversation = self._conversation
        if conversation is None:
            return
        for frame in conversation.rpc.outgoing():
            self._frames.write(self.name, "sent", frame)
            self.link.send(frame)
        if conversation.noted:
            self._note(conversation)

    def _note(self, conversation: Conversation) -> None:
        frames = self._counters.frames
        for direction, action, result, detail in conversation.noted:
            frames[direction, action, result] += 1
            if result not in {"ok", "lost"}:
                _log.warning(
                    "OCPP",
                    station=self.name,
                    direction=direction,
                    action=action,
                    result=result,
                    detail=detail,
                )
        conversation.noted.clear()

    def _log_notice(self, effect: Notify) -> None:
        """One line for what matters to people."""
        level = _log.warning if effect.kind == "error" else _log.info
        level(effect.kind, station=self.name, n=effect.n, what=effect.event_type, **_plain(effect.data))

    # -------------------------------------------------------------- time

    def _arm(self) -> None:
        """One timer a station, for the earliest of its deadlines; a later one is looked at when it fires."""
        if self._ended:
            return
        deadline = self.station.deadline()
        if self._conversation is not None:
            call = self._conversation.rpc.deadline()
            if call is not None and (deadline is None or call < deadline):
                deadline = call
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = max(deadline, self._clock.monotonic() + _SOONEST_S)
        self._timer = self._clock.call_at(self._timer_at, self._time_up)

    def _time_up(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        conversation = self._conversation
        if conversation is not None:
            call = conversation.rpc.deadline()
            if call is not None and call <= now:
                self._mailbox.extend((event, None) for event in conversation.elapsed(now))
        deadline = self.station.look_again(self._clock.moment())
        if deadline is not None and deadline <= now:
            self._mailbox.append((TimePassed(), None))
        self._drain()


_RUN = uuid.uuid4().hex[:20]
_numbers = itertools.count(1)


def _message_id() -> str:
    """Unique over all connections and runs, at most 36 characters: random for the run, counted within it."""
    return f"{_RUN}-{next(_numbers):x}"


def _plain(data: dict[str, object]) -> dict[str, Any]:
    """What of an event's data may stand in a log line beside our own keys."""
    return {
        ("gesture" if key == "id" else key): value for key, value in data.items() if value not in (None, "")
    }

"""One session with a CSMS: reports become CALLs and answers facts; every CALL of the CSMS becomes a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from gateway.csms.dialect import BadRequest, error_of
from gateway.csms.faults import Fault
from gateway.csms.rpc import Rpc
from gateway.csms.rpc_events import (
    CallAnswered,
    CallFailed,
    CallLost,
    CallReceived,
    CallRefused,
    CallTimedOut,
    FrameIgnored,
    LateAnswer,
    QueueFull,
    ReplyInvalid,
    RequestInvalid,
    ResultRefused,
    SendReceived,
)
from gateway.station.events import Answered, CsmsAsked
from gateway.station.reports import Acknowledged, Failed, FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.csms.dialect import Dialect
    from gateway.csms.frames import MessageId
    from gateway.csms.rpc_events import RpcEvent
    from gateway.station.effects import Answer, Ask
    from gateway.station.events import Event

Noted = tuple[str, str, str, str]
"""(direction, action, result, detail) of something worth counting; detail is "" when all is well."""


class Conversation:
    """Stateless but for what is on the wire; it dies with its connection."""

    __slots__ = ("_asked", "_dialect", "_open", "_refs", "noted", "rpc")

    def __init__(
        self, dialect: Dialect, *, new_id: Callable[[], str], timeout_s: float, refs: Iterator[int]
    ) -> None:
        """Begin after a version was agreed on; `refs` number the requests over all connections."""
        self._dialect = dialect
        self.rpc = Rpc(dialect.version, new_id=new_id, handled=dialect.handled, timeout_s=timeout_s)
        self._asked: dict[int, tuple[Ask, int]] = {}
        """ref → (what was asked, number of its last call)."""
        self._open: dict[int, tuple[MessageId, str, dict[str, Any]]] = {}
        """ref of a request → (message id, action, payload)."""
        self._refs = refs
        self.noted: list[Noted] = []
        """What happened since the owner last looked; it empties the list."""

    # -------------------------------------------------------------- asking

    def ask(self, effect: Ask, now: float) -> list[Event]:
        """Send the next call of a report; facts come back at once when it makes none, or an impossible one."""
        try:
            calls = self._dialect.to_calls(effect.report)
            if effect.first_step >= len(calls):
                return [Answered(effect.ref, Acknowledged(), effect.first_step)]
            call = calls[effect.first_step]
            self.rpc.call(effect.ref, call.action, call.payload, now, urgent=effect.urgent)
        except (RequestInvalid, QueueFull) as error:
            self.noted.append(("sent", error.action, "invalid", str(error)))
            kind = FailureKind.MALFORMED if isinstance(error, RequestInvalid) else FailureKind.TIMED_OUT
            return [Answered(effect.ref, Failed(kind, "", str(error)), effect.first_step)]
        self._asked[effect.ref] = (effect, len(calls) - 1)
        return []

    def answer(self, effect: Answer) -> None:
        """Reply to a request; one whose connection is gone is dropped."""
        opened = self._open.pop(effect.ref, None)
        if opened is None:
            return
        message_id, action, payload = opened
        refused = error_of(effect.reply)
        if refused is not None:
            self.rpc.reply_error(message_id, *refused)
            self.noted.append(("received", action, "refused", ""))
            return
        wrong = self.rpc.reply(message_id, self._dialect.to_result(action, payload, effect.reply))
        if wrong is not None:
            self.noted.append(("received", action, "error", wrong.reason))
        else:
            self.noted.append(("received", action, "ok", ""))

    # -------------------------------------------------------------- hearing

    def receive(self, frame: bytes, now: float) -> list[Event]:
        """What a frame means for the station."""
        return self._facts(self.rpc.receive(frame, now))

    def elapsed(self, now: float) -> list[Event]:
        """What the passing of time means."""
        return self._facts(self.rpc.elapsed(now))

    def lost(self) -> list[Event]:
        """The connection is gone: nobody waits for replies, and no answers will come."""
        self._open.clear()
        return self._facts(self.rpc.lost())

    def _facts(self, events: list[RpcEvent]) -> list[Event]:
        facts: list[Event] = []
        for event in events:
            fact = self._fact(event)
            if fact is not None:
                facts.append(fact)
        return facts

    def _fact(self, event: RpcEvent) -> Event | None:
        match event:
            case CallAnswered():
                return self._answered(event)
            case CallReceived():
                return self._received(event)
            case CallFailed():
                self.noted.append(("sent", event.action, "error", f"{event.code} {event.description}"))
                kind = FailureKind.MALFORMED if event.local else FailureKind.REFUSED
                return self._failed(event.ref, Failed(kind, event.code, event.description))
            case CallTimedOut():
                self.noted.append(("sent", event.action, "timeout", "the CSMS did not answer in time"))
                return self._failed(event.ref, Failed(FailureKind.TIMED_OUT))
            case CallLost():
                self.noted.append(("sent", event.action, "lost", ""))
                return self._failed(event.ref, Failed(FailureKind.LOST))
            case LateAnswer():
                self.noted.append(("sent", event.action, "late", "the answer came after its time-out"))
            case ReplyInvalid():
                self.noted.append(("received", event.action, "error", event.reason))
            case CallRefused():
                self.noted.append(("received", event.action, "refused", f"{event.code} {event.description}"))
            case FrameIgnored():
                self.noted.append(("received", "", "ignored", event.reason))
            case ResultRefused():
                self.noted.append(("received", "", "refused", f"{event.code} {event.description}"))
            case SendReceived():
                self.noted.append(("received", event.action, "ignored", "the station makes no use of it"))
        return None

    def _answered(self, event: CallAnswered) -> Event | None:
        asked = self._asked.pop(cast("int", event.ref), None)
        if asked is None:
            return None
        effect, last = asked
        self.noted.append(("sent", event.action, "ok", "; ".join(event.tolerated)))
        answer = self._dialect.to_answer(effect.report, effect.first_step, event.payload)
        return Answered(effect.ref, answer, effect.first_step, effect.first_step >= last)

    def _failed(self, ref: object, answer: Failed) -> Event | None:
        asked = self._asked.pop(cast("int", ref), None)
        if asked is None:
            return None
        return Answered(asked[0].ref, answer, asked[0].first_step)

    def _received(self, event: CallReceived) -> Event | None:
        try:
            request = self._dialect.to_event(event.action, event.payload)
        except BadRequest as error:
            fault, description = error_of(error) or (Fault.INTERNAL, str(error))
            self.rpc.reply_error(event.message_id, fault, description)
            self.noted.append(("received", event.action, "refused", description))
            return None
        ref = next(self._refs)
        self._open[ref] = (event.message_id, event.action, event.payload)
        return CsmsAsked(ref, request)

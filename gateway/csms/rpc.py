"""OCPP-J without I/O: one CALL of ours in flight, one answer to each CALL of theirs, whatever arrives.

Frames are UTF-8 text as bytes. `now` is monotonic seconds. An `Rpc` speaks one version to one CSMS; `lost`
makes it ready for the next connection.
"""

from collections.abc import Callable
from typing import Any

from gateway.csms.faults import Fault, spelled
from gateway.csms.frames import Key, MessageId, decoded, encode, error_of, is_readable, key_of, shown
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
    RpcEvent,
    SendReceived,
)
from gateway.csms.schemas import Payload, Schemas, SchemaViolation


class Rpc:
    """The envelope of one station.

    After any call, `outgoing` has what to write and `deadline` says when to call `elapsed`.
    """

    __slots__ = (
        "_answered",
        "_asked",
        "_done",
        "_flight",
        "_handled",
        "_new_id",
        "_ordered",
        "_out",
        "_queue_limit",
        "_remembered_answers",
        "_reply_timeout_s",
        "_schemas",
        "_timeout_s",
        "_urgent",
        "_version",
        "muted",
    )

    def __init__(
        self,
        version: str,
        *,
        new_id: Callable[[], str],
        handled: frozenset[str],
        timeout_s: float = 30.0,
        reply_timeout_s: float = 60.0,
        queue_limit: int = 256,
        remembered_answers: int = 8,
    ) -> None:
        """`handled` are the actions delivered as events; all others are refused here.

        An exact duplicate of one of the last `remembered_answers` calls, within `reply_timeout_s`, gets the
        same answer without a second event; 0 switches that off.
        """
        self._schemas = Schemas.of(version)
        self._version = version
        self._new_id = new_id
        self._handled = handled
        self._timeout_s = timeout_s
        self._reply_timeout_s = reply_timeout_s
        self._queue_limit = queue_limit
        self._remembered_answers = remembered_answers
        self.muted = False
        """1.6 §4.2: while Rejected, CALLs are neither delivered nor answered."""
        # Lists: they are short, and thousands of empty deques are megabytes.
        self._urgent: list[_Call] = []
        self._ordered: list[_Call] = []
        self._flight: _Call | None = None
        self._out: list[bytes] = []
        self._asked: dict[Key, _Asked] = {}
        self._answered: dict[Key, _Asked] = {}
        self._done: list[_Call] = []

    @property
    def idle(self) -> bool:
        """Nothing of ours is in flight or waiting: an ordered call would be sent at once."""
        return self._flight is None and not self._urgent and not self._ordered

    def call(
        self,
        ref: object,
        action: str,
        payload: Payload,
        now: float,
        *,
        urgent: bool = False,
        message_id: str | None = None,
    ) -> None:
        """Ask the CSMS, when the wire is free; every call ends in exactly one event that carries `ref`.

        Urgent calls go before ordered ones, each lane in its own order. Raises RequestInvalid or QueueFull.
        """
        violation = self._schemas.request_error(action, payload)
        if violation is not None:
            raise RequestInvalid(action, violation)
        if len(self._urgent) + len(self._ordered) >= self._queue_limit:
            raise QueueFull(action, self._queue_limit)
        if message_id is None:
            message_id = self._new_id()
        call = _Call(ref, action, message_id, _request(2, message_id, action, payload))
        (self._urgent if urgent else self._ordered).append(call)
        if self._flight is None:
            self._take_off(now)

    def send(self, action: str, payload: Payload) -> None:
        """2.1 SEND: goes out at once, also beside a CALL, and is never answered. Raises RequestInvalid."""
        violation = self._schemas.request_error(action, payload)
        if violation is not None:
            raise RequestInvalid(action, violation)
        self._out.append(_request(6, self._new_id(), action, payload))

    def receive(self, text: str | bytes, now: float) -> list[RpcEvent]:
        """What one frame means. Never raises."""
        frame = decoded(text)
        if not isinstance(frame, list) or not frame:
            return self._unreadable("The frame is no JSON array")
        kind = frame[0]
        if kind == 3 or kind == 4:  # noqa: PLR1714  no tuple to search on the hottest path
            return self._answer_received(kind, frame, now)
        if len(frame) < 2 or not is_readable(frame[1]):
            return self._unreadable("The frame has no readable message id")
        if kind == 2:
            return self._call_received(frame, text, now)
        if self._version == "ocpp2.1":
            if kind == 6:
                return self._send_received(frame)
            if kind == 5:
                return [ResultRefused(frame[1], *error_of(frame))]
        if self._version == "ocpp1.6" or self.muted:
            return [FrameIgnored(f"Message type {shown(kind)} does not exist")]
        return [self._refuse(frame[1], "", Fault.MESSAGE_TYPE, "There is no such message type")]

    def reply(self, message_id: MessageId, payload: Payload) -> ReplyInvalid | FrameIgnored | None:
        """Answer a CALL. None when it went out as given; otherwise what became of it."""
        asked = self._asked.get(key_of(message_id))
        if asked is None or asked.answer:
            return FrameIgnored("A reply came for a call that is no longer open")
        violation = self._schemas.response_error(asked.action, payload)
        if violation is None:
            try:
                self._answer(asked, encode((3, message_id, payload)))
            except _NOT_ENCODABLE as error:
                violation = SchemaViolation(Fault.TYPE, "", str(error))
            else:
                return None
        self._answer(asked, self._error(message_id, Fault.INTERNAL, "The station's own answer was not valid"))
        reason = f"The reply to {asked.action} is not valid: {violation}"
        return ReplyInvalid(message_id, asked.action, reason)

    def reply_error(
        self,
        message_id: MessageId,
        fault: Fault,
        description: str = "",
        details: dict[str, Any] | None = None,
    ) -> FrameIgnored | None:
        """Answer a CALL with a CALLERROR. None when it went out."""
        asked = self._asked.get(key_of(message_id))
        if asked is None or asked.answer:
            return FrameIgnored("An error came for a call that is no longer open")
        self._answer(asked, self._error(message_id, fault, description, details))
        return None

    def outgoing(self) -> list[bytes]:
        """Frames to write now, in this order; each is handed out once."""
        out = self._out
        if out:
            self._out = []
        return out

    def deadline(self) -> float | None:
        """When `elapsed` has something to do."""
        in_flight = None if self._flight is None else self._flight.deadline
        asked = next(iter(self._asked.values())).deadline if self._asked else None
        if in_flight is None or asked is None:
            return asked if in_flight is None else in_flight
        return min(in_flight, asked)

    def elapsed(self, now: float) -> list[RpcEvent]:
        """The answers overdue at `now`, theirs and ours."""
        events: list[RpcEvent] = []
        call = self._flight
        if call is not None and now >= call.deadline:
            call.timed_out = True
            self._land(call)
            events.append(CallTimedOut(call.ref, call.action))
            self._take_off(now)
        for asked in list(self._asked.values()):
            if asked.answer or now < asked.deadline:
                continue
            answer = self._error(asked.message_id, Fault.INTERNAL, "The station did not answer in time")
            self._answer(asked, answer)
            reason = f"{asked.action} got no reply within {self._reply_timeout_s:g} s"
            events.append(ReplyInvalid(asked.message_id, asked.action, reason))
        return events

    def lost(self) -> list[RpcEvent]:
        """The connection is gone, and with it whatever was asked over it, by either side."""
        events: list[RpcEvent] = []
        if self._flight is not None:
            events.append(CallLost(self._flight.ref, self._flight.action, was_sent=True))
        for lane in (self._urgent, self._ordered):
            events += [CallLost(call.ref, call.action, was_sent=False) for call in lane]
        self._flight = None
        self._urgent.clear()
        self._ordered.clear()
        self._done.clear()
        # Some peers count their ids from 1 on each connection: what was said on this one is void.
        self._asked.clear()
        self._answered.clear()
        self._out = []
        self.muted = False
        return events

    def _take_off(self, now: float) -> None:
        lane = self._urgent or self._ordered
        if lane:
            call = self._flight = lane.pop(0)
            call.deadline = now + self._timeout_s
            self._out.append(call.frame)

    def _land(self, call: "_Call") -> None:
        self._flight = None
        call.frame = b""
        self._done.append(call)
        if len(self._done) > _REMEMBERED_CALLS:
            del self._done[0]

    def _answer_received(self, kind: int, frame: list[Any], now: float) -> list[RpcEvent]:
        message_id = frame[1] if len(frame) > 1 else None
        call = self._flight
        if call is None or call.message_id != message_id:
            return [self._unexpected(message_id)]
        self._land(call)
        self._take_off(now)
        if kind == 4:
            return [CallFailed(call.ref, call.action, *error_of(frame))]
        payload = frame[2] if len(frame) > 2 else None
        if payload is None:
            payload = {}
        elif not isinstance(payload, dict):
            return [self._misunderstood(call, Fault.FORMAT, "The payload is not an object")]
        payload, tolerated, violation = self._schemas.lenient_response(call.action, payload)
        if violation is not None:
            return [self._misunderstood(call, violation.code, str(violation))]
        return [CallAnswered(call.ref, call.action, payload, tolerated)]

    def _unexpected(self, message_id: object) -> RpcEvent:
        for call in self._done:
            if call.message_id == message_id:
                if call.timed_out:
                    call.timed_out = False
                    return LateAnswer(call.ref, call.action)
                return FrameIgnored(f"{call.action} was answered a second time")
        return FrameIgnored(f"An answer came with the id {shown(message_id)}, which waits for none")

    def _misunderstood(self, call: "_Call", fault: Fault, reason: str) -> CallFailed:
        code = spelled(fault, self._version)
        if self._version == "ocpp2.1":
            self._out.append(encode((5, call.message_id, code, reason[:255], {})))
        return CallFailed(call.ref, call.action, code, reason, {}, local=True)

    def _call_received(self, frame: list[Any], text: str | bytes, now: float) -> list[RpcEvent]:
        message_id = frame[1]
        key = key_of(message_id)
        if self.muted:
            return [FrameIgnored("A call gets no answer while the station is Rejected")]
        digest = hash(text)
        asked = self._asked.get(key)
        if asked is not None:
            if asked.digest == digest:
                return [FrameIgnored(f"{asked.action} came a second time while it is still being answered")]
            return [self._refuse(message_id, asked.action, Fault.GENERIC, "An open call has the same id")]
        answered = self._answered.get(key)
        if answered is not None and answered.digest == digest and now < answered.deadline:
            self._out.append(answered.answer)
            return [FrameIgnored("A call came a second time and got the same answer again")]
        action = frame[2] if len(frame) > 2 else None
        payload = frame[3] if len(frame) > 3 else None
        name = action if isinstance(action, str) else ""
        asked = _Asked(message_id, key, name, digest, now + self._reply_timeout_s)
        if len(self._asked) >= _MOST_ASKED:
            return [self._refuse(message_id, asked.action, Fault.GENERIC, "Too many calls are open at once")]
        self._asked[key] = asked
        if not isinstance(action, str):
            return [self._refuse_asked(asked, Fault.FORMAT, "The action is missing or no string")]
        if action not in self._handled:
            if self._schemas.knows(action):
                return [self._refuse_asked(asked, Fault.NOT_SUPPORTED, f"This station does not do {action}")]
            return [self._refuse_asked(asked, Fault.NOT_IMPLEMENTED, f"There is no action {action[:50]}")]
        if payload is None:
            payload = {}
        elif not isinstance(payload, dict):
            return [self._refuse_asked(asked, Fault.FORMAT, "The payload is not an object")]
        payload, tolerated, violation = self._schemas.lenient_request(action, payload)
        if violation is not None:
            return [self._refuse_asked(asked, violation.code, str(violation))]
        return [CallReceived(message_id, action, payload, tolerated)]

    def _send_received(self, frame: list[Any]) -> list[RpcEvent]:
        action = frame[2] if len(frame) > 2 else None
        payload = frame[3] if len(frame) > 3 and frame[3] is not None else {}
        if not isinstance(action, str) or not self._schemas.knows(action) or not isinstance(payload, dict):
            return [FrameIgnored("A SEND has no known action, or its payload is not an object")]
        payload, tolerated, violation = self._schemas.lenient_request(action, payload)
        if violation is not None:
            return [FrameIgnored(f"The SEND {action} is not valid: {violation}")]
        return [SendReceived(action, payload, tolerated)]

    def _unreadable(self, reason: str) -> list[RpcEvent]:
        # 1.6 has no way to answer without an id; 2.0.1 Part 4 §4.2.3 has "-1".
        if self._version == "ocpp1.6" or self.muted:
            return [FrameIgnored(reason)]
        return [self._refuse("-1", "", Fault.RPC_FRAMEWORK, reason)]

    def _refuse(self, message_id: MessageId, action: str, fault: Fault, description: str) -> CallRefused:
        self._out.append(self._error(message_id, fault, description))
        return CallRefused(message_id, action, spelled(fault, self._version), description)

    def _refuse_asked(self, asked: "_Asked", fault: Fault, description: str) -> CallRefused:
        self._answer(asked, self._error(asked.message_id, fault, description))
        return CallRefused(asked.message_id, asked.action, spelled(fault, self._version), description)

    def _answer(self, asked: "_Asked", answer: bytes) -> None:
        """Answers go out in the order in which the calls came."""
        asked.answer = answer
        while self._asked:
            first = next(iter(self._asked.values()))
            if not first.answer:
                return
            del self._asked[first.key]
            if self.muted:
                continue
            self._out.append(first.answer)
            if self._remembered_answers > 0:
                self._answered.pop(first.key, None)
                self._answered[first.key] = first
                if len(self._answered) > self._remembered_answers:
                    del self._answered[next(iter(self._answered))]

    def _error(
        self, message_id: MessageId, fault: Fault, description: str, details: dict[str, Any] | None = None
    ) -> bytes:
        return encode((4, message_id, spelled(fault, self._version), description[:255], details or {}))


class _Call:
    """A call of ours, waiting, in flight, or just done."""

    __slots__ = ("action", "deadline", "frame", "message_id", "ref", "timed_out")

    def __init__(self, ref: object, action: str, message_id: str, frame: bytes) -> None:
        self.ref = ref
        self.action = action
        self.message_id = message_id
        self.frame = frame
        self.deadline = 0.0
        self.timed_out = False


class _Asked:
    """A call of theirs that is open: not yet answered, or its answer waits for an earlier one."""

    __slots__ = ("action", "answer", "deadline", "digest", "key", "message_id")

    def __init__(self, message_id: MessageId, key: Key, action: str, digest: int, deadline: float) -> None:
        self.message_id = message_id
        self.key = key
        self.action = action
        self.digest = digest
        self.deadline = deadline
        self.answer = b""
        """Empty while there is none."""


_REMEMBERED_CALLS = 4
_MOST_ASKED = 256

# An integer of thousands of digits, an object that JSON has no word for.
_NOT_ENCODABLE = (OverflowError, TypeError, ValueError)


def _request(kind: int, message_id: str, action: str, payload: Payload) -> bytes:
    try:
        return encode((kind, message_id, action, payload))
    except _NOT_ENCODABLE as error:
        raise RequestInvalid(action, SchemaViolation(Fault.TYPE, "", str(error))) from error

"""A backend on the bench that forgives nothing: what tests/support/csms.py demands, without sockets and in no time."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.support import csms_wire as wire
from tests.support.csms_answers import (
    FOLLOWED_BY,
    STATION_ACTIONS,
    Backend,
    CallError,
    DelayedAnswer,
    RawAnswer,
    Silence,
)
from tests.support.csms_ledger import Call, Ledger
from tests.support.csms_record import Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.csms_answers import Rule
    from tests.support.csms_wire import Payload

VERSION = "ocpp1.6"
IDENTITY = "CP1"
MESSAGE_TIMEOUT_S = 30.0


class BenchCsms:
    """Judges every frame of both directions, and answers."""

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self.backend = Backend()
        self.backend.now = lambda: datetime.fromtimestamp(wall(), UTC)
        self.ledger = Ledger(first_transaction_id=77)
        self.frames: list[Frame] = []
        self.violations: list[str] = []
        self.answers: dict[str, Rule] = {}
        self.next_answers: dict[str, deque[Rule]] = defaultdict(deque)
        self.registration: str | None = None
        self._monotonic = monotonic
        self._connections = 0
        self._questions = 0
        self._pending: dict[str, str] = {}
        self._open: Call | None = None
        self._ids: dict[str, tuple[str, Payload]] = {}
        self._triggered: set[str] = set()

    # -------------------------------------------------------------- the connection

    def connected(self) -> None:
        self._connections += 1

    def disconnected(self) -> None:
        self._open = None
        self._pending.clear()

    @property
    def unanswered(self) -> list[str]:
        """What this connection's station was asked and has not answered."""
        return list(self._pending.values())

    # -------------------------------------------------------------- hearing

    def receive(self, text: str) -> str | None:
        """A frame of the station; the text of the answer, if it gets one."""
        self.frames.append(Frame("received", text, self._monotonic(), self._connections))
        try:
            message = wire.parse(text, VERSION)
            if message.kind == wire.CALL:
                return self._called(message)
            self._answered(message)
        except wire.WireError as error:
            self.violations.append(f"{error.problem}: {text}")
        return None

    def _called(self, message: wire.Message) -> str | None:
        now = self._monotonic()
        message_id, action, payload = str(message.message_id), message.action, message.payload
        if self._ids.setdefault(message_id, (action, payload)) != (action, payload):
            self.violations.append(f"message id {message_id} was used before for another message")
        if self._open is not None and now - self._open.at < MESSAGE_TIMEOUT_S:
            self.violations.append(f"{action} was sent while {self._open.action} was unanswered")
        if action not in STATION_ACTIONS[VERSION]:
            raise wire.WireError("NotImplemented", f"no charge point may send {action}")
        problem = wire.payload_problem(VERSION, action, "request", payload)
        if problem is not None:
            raise problem
        triggered = self.registration == "Pending" and action in self._triggered
        if self.registration != "Accepted" and action != "BootNotification" and not triggered:
            self.violations.append(f"{action} was sent while the registration is {self.registration}")
        call = Call(IDENTITY, VERSION, action, payload, message_id, now, connection=self._connections)
        self._open = call
        self.ledger.note(call)
        return self._answer(call)

    def _answered(self, message: wire.Message) -> None:
        action = self._pending.pop(str(message.message_id), None)
        if action is None:
            self.violations.append(f"an answer came to {message.message_id}, which waits for none")
        elif message.kind == wire.CALLRESULT:
            problem = wire.payload_problem(VERSION, action, "response", message.payload)
            if problem is not None:
                raise problem

    # -------------------------------------------------------------- answering

    def _answer(self, call: Call) -> str | None:
        waiting = self.next_answers[call.action]
        rule = waiting.popleft() if waiting else self.answers.get(call.action)
        answer = rule(call) if callable(rule) else rule
        if answer is None:
            answer = self.backend.answer(call)
        match answer:
            case Silence():
                return None
            case CallError():
                self._open = None
                return wire.encode(
                    [wire.CALLERROR, call.message_id, answer.code, answer.description, answer.details]
                )
            case dict():
                self._open = None
                problem = wire.payload_problem(VERSION, call.action, "response", answer)
                if problem is not None:
                    self.violations.append(f"the test's own answer breaks the protocol: {problem.problem}")
                call.answer = answer
                if call.action == "BootNotification":
                    self.registration = answer["status"]
                    self._triggered.clear()
                return wire.encode([wire.CALLRESULT, call.message_id, answer])
            case DelayedAnswer() | RawAnswer():
                raise TypeError("the bench has no such answer")
            case _:
                raise TypeError(f"{answer!r} is no answer")

    def sends(self, text: str) -> None:
        """A frame goes out to the station."""
        self.frames.append(Frame("sent", text, self._monotonic(), self._connections))

    def question(self, action: str, payload: dict[str, Any]) -> str:
        """The frame that asks the station."""
        problem = wire.payload_problem(VERSION, action, "request", payload)
        if problem is not None:
            raise AssertionError(f"the test itself would break the protocol: {problem.problem}")
        self._questions += 1
        message_id = f"csms-{self._questions}"
        self._pending[message_id] = action
        requested = str(payload.get("requestedMessage", action))
        self._triggered.add(FOLLOWED_BY.get(requested, requested))
        return json.dumps([wire.CALL, message_id, action, payload])

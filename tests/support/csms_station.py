"""One charging station as its backend hears and tells it; every frame of both directions is judged."""

import asyncio
import contextlib
import inspect
import json
import time
import uuid
from collections import defaultdict, deque
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from tests.support import csms_wire as wire
from tests.support.csms_answers import (
    FOLLOWED_BY,
    ROUND_TRIPS,
    STATION_ACTIONS,
    Backend,
    CallError,
    DelayedAnswer,
    ImmediateAnswer,
    RawAnswer,
    Rule,
    Silence,
)
from tests.support.csms_ledger import Call, Ledger
from tests.support.csms_record import Frame, Record
from tests.support.csms_wire import Json, Message, Payload, WireError

CLOCK_SLACK_S = 0.1
"""How much earlier than its own message time-out a station may seem to give up, seen from here."""


class Laws(msgspec.Struct):
    """How stations are judged, where that depends on the test."""

    message_timeout_s: float
    """The stations' own: a CALL left unanswered that long may be followed by another one."""
    strict_boot: bool
    """Nothing but BootNotification, and what was triggered, before it was Accepted here."""


class Station(Record):
    """Lives as long as its Csms, whether connected or not."""

    def __init__(
        self, identity: str, backend: Backend, ledger: Ledger, shared_answers: dict[str, Rule], laws: Laws
    ) -> None:
        super().__init__(identity)
        self.version = ""
        """Subprotocol of the latest connection, such as `ocpp1.6`."""
        self.headers = Headers()
        self.path = ""
        """Request target of the latest handshake as it was sent, percent-encoded."""
        self.peer_certificate: dict[str, Any] | None = None
        self.peer_certificate_der: bytes | None = None
        self.cipher: str | None = None
        """The TLS suite of the latest connection."""
        self.answers: dict[str, Rule] = {}
        """Standing answers of this station; they go before those of the Csms."""
        self.connections = 0
        self.pings = 0
        """WebSocket pings received over all connections."""
        self.registration: str | None = None
        """The status last answered to a BootNotification; None when it never sent one."""
        self.close_code: int | None = None
        """How the last connection that ended was closed; 1006 for a cut."""
        self._backend, self._ledger, self._shared_answers, self._laws = backend, ledger, shared_answers, laws
        self._next_answers: dict[str, deque[Rule]] = defaultdict(deque)
        self._socket: ServerConnection | None = None
        self._frozen = False
        self._turn = asyncio.Lock()
        self._pending: dict[str, tuple[str, asyncio.Future[Payload]]] = {}
        self._given_up: set[str] = set()
        self._raw_ids: list[str] = []
        self._raw_answers: list[list[Any]] = []
        self._open_call: Call | None = None
        self._used_ids: dict[str, tuple[str, Payload]] = {}
        self._triggered: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether the latest connection is open as far as this side knows."""
        return self._socket is not None and self._socket.state is State.OPEN

    async def connection(self, number: int = 1, timeout: float = 20.0) -> None:
        """Wait until it is connected for the `number`-th time, or a later one."""
        await self.until(
            lambda: (self.connected and self.connections >= number) or None,
            timeout,
            lambda: f"connection number {number}, there were {self.connections}",
        )

    async def disconnected(self, timeout: float = 20.0) -> None:
        """Wait until it has no connection."""
        await self.until(lambda: self._socket is None or None, timeout, lambda: "end of its connection")

    async def ping(self, number: int = 1, timeout: float = 20.0) -> None:
        """Wait until it has sent `number` WebSocket pings in all."""
        await self.until(lambda: self.pings >= number or None, timeout, lambda: f"ping number {number}")

    def answer_next(self, action: str, *rules: Rule) -> None:
        """Each rule answers one CALL of that action, before any standing answer."""
        self._next_answers[action].extend(rules)

    async def call(
        self,
        action: str,
        payload: Payload | None = None,
        *,
        timeout: float = 20.0,
        message_id: Json = None,
        checked: bool = True,
        in_turn: bool = True,
    ) -> Payload:
        """Ask the station and return what it answered; CallError when it answered with one.

        `checked=False` lets a payload through that the schema forbids, `in_turn=False` does not wait until
        other CALLs are answered, `message_id` may be any JSON scalar: three things that real backends do.
        AssertionError on an invalid answer or none in `timeout` seconds, ConnectionError when the link goes.
        """
        payload = payload or {}
        problem = wire.payload_problem(self.version, action, "request", payload) if checked else None
        if problem is not None:
            raise AssertionError(f"the test itself would break the protocol: {problem.problem}")
        requested = str(payload.get("requestedMessage", action))
        self._triggered.add(FOLLOWED_BY.get(requested, requested))
        message_id = str(uuid.uuid4()) if message_id is None else message_id
        key = json.dumps(message_id)
        async with self._turn if in_turn else contextlib.nullcontext():
            answered: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
            self._pending[key] = action, answered
            try:
                async with asyncio.timeout(timeout):
                    await self._send([wire.CALL, message_id, action, payload])
                    return await answered
            except TimeoutError:
                self._given_up.add(key)
                raise AssertionError(f"{self.identity} did not answer {action} within {timeout} s") from None
            finally:
                self._pending.pop(key, None)
                if answered.done():
                    answered.exception()  # the link went while the question was still being sent

    async def exchange_raw(self, text: str, timeout: float = 20.0) -> list[Any]:
        """Send text that no backend should send, and return the station's answer to it as parsed JSON."""
        number = len(self._raw_answers)
        await self.send_raw(text)
        return await self.until(
            lambda: self._raw_answers[number] if len(self._raw_answers) > number else None,
            timeout,
            lambda: f"answer to {text!r}",
        )

    async def send_raw(self, text: str) -> None:
        """Send text unchecked; one answer to it, whatever id it bears, is no violation."""
        self._raw_ids.append(_id_within(text))
        await self._send_text(text)

    async def round_trip(self, timeout: float = 20.0) -> None:
        """When it returns, all that the station sent before it read a fresh harmless CALL has arrived."""
        action, payload = ROUND_TRIPS[self.version]
        await self.call(action, payload, timeout=timeout)

    async def nothing_more(self, *actions: str, timeout: float = 20.0) -> None:
        """After a round trip, no CALL of these actions (of any, when none is named) waits to be expected."""
        await self.round_trip(timeout)
        told = ", ".join(f"{call.action} {call.payload}" for call in self.unconsumed(*actions))
        if told:
            raise AssertionError(f"{self.identity} sent more than was expected: {told}")

    def drop(self) -> None:
        """Cut the TCP connection with no goodbye."""
        if self._socket is not None:
            self._socket.transport.abort()

    def freeze(self) -> None:
        """Keep the connection but read nothing from it, nor answer pings: a peer that died without a word."""
        self._frozen = True
        if self._socket is not None:
            self._socket.transport.pause_reading()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye properly."""
        if self._socket is not None:
            await self._socket.close(code, reason)

    async def attend(self, socket: ServerConnection, version: str) -> None:
        """Serve one connection to its end; only the Csms calls this."""
        await self._end_other_connection()
        self._socket, self._frozen = socket, False
        self.version = version
        self.connections += 1
        if socket.request is not None:
            self.headers, self.path = socket.request.headers, socket.request.path
        tls = socket.transport.get_extra_info("ssl_object")
        if tls is not None:
            self.peer_certificate, self.peer_certificate_der = tls.getpeercert(), tls.getpeercert(True)
            self.cipher = tls.cipher()[0]
        self._notify()
        try:
            async for text in socket:
                await self._receive(text, socket)
        except ConnectionClosed:
            self._notify()
        finally:
            self._detach(socket)

    def pinged(self) -> None:
        """Count a WebSocket ping; only the Csms calls this."""
        self.pings += 1
        self._notify()

    def abandon(self) -> list[asyncio.Task[None]]:
        """Cancel the answers that still wait; only the Csms calls this."""
        for task in self._tasks:
            task.cancel()
        return list(self._tasks)

    async def _end_other_connection(self) -> None:
        other = self._socket
        if other is None:
            return
        if not self._frozen:
            # Its end may be on its way: only a socket that stays open beside the new one is a second one.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(other.wait_closed(), 0.5)
            if other.state is State.OPEN:
                self.violate("opened a second socket while its first one was open")
        other.transport.abort()
        self._detach(other)

    def _detach(self, socket: ServerConnection) -> None:
        if self._socket is not socket:
            return
        self._socket = None
        self.close_code = socket.close_code
        self._open_call = None
        self._raw_ids.clear()
        for action, answered in self._pending.values():
            if not answered.done():
                answered.set_exception(ConnectionError(f"{self.identity} went before it answered {action}"))
        self._notify()

    async def _receive(self, text: str | bytes, socket: ServerConnection) -> None:
        self.frames.append(Frame("received", text, time.monotonic(), self.connections))
        try:
            message = wire.parse(text, self.version, self._pending.keys() | self._given_up | {*self._raw_ids})
            if message.kind == wire.CALL:
                self._receive_call(message, socket)
            else:
                self._receive_answer(message, text)
        except WireError as error:
            self.violate(f"{error.problem}: {text!r}")
            if isinstance(text, str) and text.lstrip().startswith("[2"):
                message_id = error.message_id if isinstance(error.message_id, str) else "-1"
                problem = error.problem[: wire.DESCRIPTION_LENGTH]
                await self._send([wire.CALLERROR, message_id, error.code, problem, {}])
        self._notify()

    def _receive_call(self, message: Message, socket: ServerConnection) -> None:
        now = time.monotonic()
        message_id, action = str(message.message_id), message.action
        said = action, message.payload
        if self._used_ids.setdefault(message_id, said) != said:
            self.violate(f"message id {message_id} was used before for another message")
        waiting = self._open_call
        if waiting is not None and now - waiting.at < self._laws.message_timeout_s - CLOCK_SLACK_S:
            self.violate(
                f"sent {action} {message_id} while {waiting.action} {waiting.message_id} was unanswered for "
                f"only {now - waiting.at:.3f} s"
            )
        if action not in STATION_ACTIONS[self.version]:
            raise WireError("NotImplemented", f"no station may send {action} in {self.version}", message_id)
        problem = wire.payload_problem(self.version, action, "request", message.payload)
        if problem is not None:
            raise WireError(problem.code, problem.problem, message_id)
        self._judge_registration(action)
        call = Call(
            self.identity, self.version, action, message.payload, message_id, now, connection=self.connections
        )
        self._open_call = call
        self.calls.append(call)
        self._ledger.note(call)
        task = asyncio.create_task(self._answer(call, socket), name=f"answer to {self.identity} {action}")
        self._tasks.add(task)
        task.add_done_callback(self._answered)

    def _judge_registration(self, action: str) -> None:
        if not self._laws.strict_boot or self.registration == "Accepted" or action == "BootNotification":
            return
        if self.registration == "Rejected" or action not in self._triggered:
            self.violate(f"sent {action} while its registration is {self.registration or 'unknown'}")

    def _receive_answer(self, message: Message, text: str | bytes) -> None:
        # 1.6 §4.2: while Rejected a charge point does not answer either.
        if self.version == "ocpp1.6" and self.registration == "Rejected" and self._laws.strict_boot:
            self.violate("answered a CALL while its registration is Rejected")
        key = json.dumps(message.message_id)
        action, answered = self._pending.pop(key, ("", None))
        if answered is None:
            self._receive_unpaired(key, text)
        elif message.kind == wire.CALLERROR:
            answered.set_exception(CallError(message.code, message.description, message.details))
        else:
            problem = wire.payload_problem(self.version, action, "response", message.payload)
            if problem is None:
                answered.set_result(message.payload)
            else:
                self.violate(problem.problem)
                answered.set_exception(AssertionError(f"{self.identity}: {problem.problem}"))

    def _receive_unpaired(self, key: str, text: str | bytes) -> None:
        if key in self._raw_ids:
            self._raw_ids.remove(key)
        elif self._raw_ids:
            self._raw_ids.pop(0)
        elif key in self._given_up:
            self._given_up.remove(key)
            return
        else:
            self.violate(f"answered a CALL that does not wait for an answer: {text!r}")
            return
        self._raw_answers.append(json.loads(text))

    async def _answer(self, call: Call, socket: ServerConnection) -> None:
        action = call.action
        if self._next_answers[action]:
            rule: Rule | None = self._next_answers[action].popleft()
        else:
            rule = self.answers.get(action, self._shared_answers.get(action))
        answer = await self._resolve(rule, call)
        if isinstance(answer, Silence) or self._socket is not socket:
            return
        frame: list[Any] | None = None
        if isinstance(answer, CallError):
            frame = [wire.CALLERROR, call.message_id, answer.code, answer.description, answer.details]
        elif not isinstance(answer, RawAnswer):
            problem = wire.payload_problem(self.version, action, "response", answer)
            if problem is not None:
                self.violate(f"the test's own answer breaks the protocol: {problem.problem}")
                answer = CallError("InternalError", "the test has no valid answer")
                frame = [wire.CALLERROR, call.message_id, answer.code, answer.description, {}]
            else:
                frame = [wire.CALLRESULT, call.message_id, answer]
                call.answer = answer
                if action == "BootNotification":
                    self.registration = answer["status"]
                    self._triggered.clear()
        if self._open_call is call:
            self._open_call = None
        call.answered_at = time.monotonic()
        with contextlib.suppress(ConnectionError):
            if isinstance(answer, RawAnswer):
                await self._send_text(answer.text.replace("{id}", call.message_id))
            elif frame is not None:
                await self._send(frame)
        self._notify()

    async def _resolve(self, rule: Rule | None, call: Call) -> ImmediateAnswer:
        if isinstance(rule, DelayedAnswer):
            await rule.until.wait()
            return await self._resolve(rule.answer, call)
        if callable(rule):
            result = rule(call)
            return await self._resolve(await result if inspect.isawaitable(result) else result, call)
        return self._backend.answer(call) if rule is None else rule

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.violate(f"the test's own {task.get_name()} failed: {error!r}")

    async def _send(self, frame: list[Any]) -> None:
        await self._send_text(wire.encode(frame))

    async def _send_text(self, text: str) -> None:
        if self._socket is None:
            raise ConnectionError(f"{self.identity} is not connected")
        self.frames.append(Frame("sent", text, time.monotonic(), self.connections))
        try:
            await self._socket.send(text)
        except ConnectionClosed as error:
            raise ConnectionError(f"{self.identity} went while it was spoken to") from error


def _id_within(text: str) -> str:
    """The message id, as JSON text, of what may be no frame; the answer to an unreadable one bears `-1`."""
    try:
        return json.dumps(json.loads(text)[1])
    except (ValueError, LookupError, TypeError):
        return json.dumps("-1")

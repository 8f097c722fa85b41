"""A backend that forgives nothing: sensible answers, a full record, and a failed test on any violation."""

import asyncio
import base64
import binascii
import ssl as tls
import time
from collections.abc import Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import unquote

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event
from websockets.typing import Subprotocol

from tests.support.csms_answers import Answer, Backend, CallError, DelayedAnswer, RawAnswer, Rule, Silence
from tests.support.csms_ledger import Call, Ledger, MeterSample, TransactionRecord
from tests.support.csms_record import Frame
from tests.support.csms_station import Laws, Station
from tests.support.csms_wire import Payload

__all__ = [
    "Answer",
    "Call",
    "CallError",
    "Csms",
    "DelayedAnswer",
    "Frame",
    "Handshake",
    "Ledger",
    "MeterSample",
    "RawAnswer",
    "Rule",
    "Silence",
    "Station",
    "TransactionRecord",
]

PATH = "/ocpp/"


class Handshake(msgspec.Struct, frozen=True):
    """One attempt to connect; `status` 101 when it was let in, `at` in seconds of `time.monotonic()`."""

    identity: str
    path: str
    headers: Headers
    status: int
    at: float


class Csms:
    """`async with Csms() as csms`: on a free port; AssertionError at its end if anybody broke a rule.

    `versions`: subprotocols it speaks; the station's preference decides. `passwords`: Basic auth by identity,
    others are unknown and get 404. `unnamed_version`: agree to no subprotocol, yet speak this one.
    `message_timeout_s`: that of the stations, to tell a CALL given up from a second outstanding one.
    `strict_boot=False` is for a Csms that takes over stations which another one has registered.
    """

    def __init__(
        self,
        versions: Sequence[str] = ("ocpp2.0.1", "ocpp1.6"),
        *,
        passwords: dict[str, bytes] | None = None,
        ssl: tls.SSLContext | None = None,
        unnamed_version: str | None = None,
        message_timeout_s: float = 30.0,
        strict_boot: bool = True,
        port: int = 0,
    ) -> None:
        self.versions = list(versions)
        self.passwords = passwords
        self.ledger = Ledger()
        self.backend = Backend()
        self.answers: dict[str, Rule] = {}
        """Standing answers by action, for every station that has none of its own."""
        self.handshakes: list[Handshake] = []
        self.port = port
        self.tls = ssl
        """May be changed for the handshakes to come."""
        self._unnamed_version = unnamed_version
        self._laws = Laws(message_timeout_s, strict_boot)
        self._stations: dict[str, Station] = {}
        self._refusal: HTTPStatus | None = None
        self._server: Server | None = None
        self._former_servers: list[Server] = []
        self._changed = asyncio.Event()
        self._general_violations: list[str] = []

    @property
    def url(self) -> str:
        """What a station's settings name; the identity is still to be appended."""
        return f"{'ws' if self.tls is None else 'wss'}://127.0.0.1:{self.port}{PATH.rstrip('/')}"

    @property
    def tokens(self) -> dict[str, Payload]:
        """By token: the whole idTagInfo or idTokenInfo to answer; any other token is Accepted."""
        return self.backend.tokens

    @property
    def violations(self) -> list[str]:
        """What was done wrong so far, by stations and by answers of the test itself; a fresh list."""
        return [
            *self._general_violations,
            *(violation for station in self._stations.values() for violation in station.violations),
        ]

    def forgive(self) -> list[str]:
        """Take the violations off the record, for a test that provokes them; returns them."""
        violations = self.violations
        self._general_violations.clear()
        for station in self._stations.values():
            station.violations.clear()
        return violations

    def identity(self, identity: str) -> Station:
        """The station of that identity, whether it ever connected or not."""
        if identity not in self._stations:
            self._stations[identity] = Station(identity, self.backend, self.ledger, self.answers, self._laws)
        return self._stations[identity]

    async def station(self, identity: str, timeout: float = 20.0) -> Station:
        """The station of that identity as soon as it is connected."""
        station = self.identity(identity)
        await station.connection(timeout=timeout)
        return station

    async def attempts(self, number: int, timeout: float = 20.0) -> list[Handshake]:
        """Wait for the `number`-th attempt to connect; all of them until then."""
        try:
            async with asyncio.timeout(timeout):
                while len(self.handshakes) < number:
                    await self._changed.wait()
        except TimeoutError:
            seen = len(self.handshakes)
            raise AssertionError(
                f"within {timeout} s it tried to connect {seen} times, not {number}"
            ) from None
        return self.handshakes[:number]

    def drop(self, identity: str) -> None:
        """Cut the TCP connection of that station with no goodbye."""
        self.identity(identity).drop()

    def refuse(self, refusing: bool = True, status: int = HTTPStatus.SERVICE_UNAVAILABLE) -> None:
        """Answer handshakes with `status` from now on, or let stations in again. Open connections stay."""
        self._refusal = HTTPStatus(status) if refusing else None

    def stop_listening(self) -> None:
        """Refuse TCP connections from now on. Open ones stay."""
        if self._server is not None:
            self._server.server.close()
            self._former_servers.append(self._server)
            self._server = None

    async def resume(self) -> None:
        """Listen again, on the same port."""
        if self._server is None:
            self._server = await serve(
                self._attend,
                "127.0.0.1",
                self.port,
                ssl=self.tls,
                process_request=self._admit,
                select_subprotocol=self._select,
                create_connection=self._counting_pings(),
                compression=None,
                ping_interval=None,
                close_timeout=2,
                max_size=2**20,
            )

    async def __aenter__(self) -> Self:
        await self.resume()
        if self._server is not None:
            self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_listening()
        abandoned = [task for station in self._stations.values() for task in station.abandon()]
        await asyncio.gather(*abandoned, return_exceptions=True)
        for server in self._former_servers:
            server.close()
            await server.wait_closed()
        violations = "\n".join(self.violations)
        if violations and error is None:
            raise AssertionError(f"the protocol was violated:\n{violations}")
        if violations and error is not None:
            error.add_note(f"violations of the protocol until then:\n{violations}")

    async def _attend(self, socket: ServerConnection) -> None:
        version = socket.subprotocol or self._unnamed_version
        if version is None:
            # OCPP-J 1.6 §3.3: no common version: complete the handshake, then close at once.
            await socket.close(1002, "no common OCPP version")
            return
        path = socket.request.path if socket.request is not None else ""
        await self.identity(_identity(path)).attend(socket, version)

    def _admit(self, socket: ServerConnection, request: Request) -> Response | None:
        identity = _identity(request.path)
        status = self._refusal
        if status is None and not identity:
            status = HTTPStatus.NOT_FOUND
        if status is None and self.passwords is not None:
            if identity not in self.passwords:
                status = HTTPStatus.NOT_FOUND
            elif _credentials(request.headers) != (identity.encode(), self.passwords[identity]):
                status = HTTPStatus.UNAUTHORIZED
        code = status or HTTPStatus.SWITCHING_PROTOCOLS
        self.handshakes.append(Handshake(identity, request.path, request.headers, code, time.monotonic()))
        self._changed.set()
        self._changed = asyncio.Event()
        if status is None:
            return None
        response = socket.respond(status, f"{status.phrase}\n")
        if status is HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = 'Basic realm="csms"'
        return response

    def _select(self, _socket: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        if len(set(offered)) < len(offered):
            self._general_violations.append(f"a handshake offered a version twice: {offered}")
        if self._unnamed_version is not None:
            return None
        return next((version for version in offered if version in self.versions), None)

    def _counting_pings(self) -> type[ServerConnection]:
        """The library answers pings without telling anybody; a test wants to see that they come."""
        csms = self

        class PingCounter(ServerConnection):
            def process_event(self, event: Event) -> None:
                ping = isinstance(event, WebSocketFrame) and event.opcode is Opcode.PING
                if ping and self.request is not None:
                    csms.identity(_identity(self.request.path)).pinged()
                super().process_event(event)

        return PingCounter


def _identity(path: str) -> str:
    """The last part of `/ocpp/<identity>`, decoded; empty when the path is not of that form."""
    name = path.partition("?")[0].removeprefix(PATH)
    if not path.startswith(PATH) or "/" in name:
        return ""
    return unquote(name)


def _credentials(headers: Headers) -> tuple[bytes, bytes] | None:
    """User and password of Basic auth as bytes: 1.6 keys are not text."""
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded, validate=True).partition(b":")
    except binascii.Error:
        return None
    return user, password

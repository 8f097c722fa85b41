"""The link to a CSMS over real sockets, real TLS and real WebSocket servers."""

import asyncio
import base64
import contextlib
import datetime as dt
import logging
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.csms.closing import ClosedBecause, LinkClosed
from gateway.csms.endpoint import LinkConfig
from gateway.csms.link import Link
from tests.support.certificates import Authority

PATIENCE_S = 10.0


class Csms:
    """A WebSocket server on a free port that remembers who came and what was said."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.frames: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.closed: asyncio.Queue[int | None] = asyncio.Queue()
        self.connections: list[ServerConnection] = []
        self.most_at_once = 0
        self.answer: Callable[[ServerConnection, Request], Response | None] = lambda _, __: None
        self.serve: Callable[[ServerConnection], Awaitable[None]] = self.listen
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator["Csms"]:
        options = {"subprotocols": ["ocpp1.6", "ocpp2.0.1"], "compression": None} | options
        server: Server
        async with serve(self._serve, "127.0.0.1", 0, process_request=self._answer, **options) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield self

    async def listen(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in connection:
                self.frames.put_nowait(frame)

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        return self.answer(connection, request)

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        self.most_at_once = max(self.most_at_once, len(self.connections))
        await self.serve(connection)
        await connection.wait_closed()
        self.connections.remove(connection)
        self.closed.put_nowait(connection.close_code)


class Owner:
    """Runs a link, and writes down what it tells."""

    def __init__(self, config: LinkConfig, *versions: str) -> None:
        self.versions = versions or ("ocpp1.6",)
        self.echo: str | None = None
        """What it answers to every message."""
        self.told: asyncio.Queue[str | bytes | LinkClosed] = asyncio.Queue()
        self.link = Link(
            config,
            offered=lambda: self.versions,
            opened=self.told.put_nowait,
            received=self.received,
            closed=self.told.put_nowait,
            random=lambda: 0.0,
        )

    def received(self, frame: bytes) -> None:
        self.told.put_nowait(frame)
        if self.echo is not None:
            self.link.send(self.echo)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.link.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await soon(self.link.stop())
        await soon(self._task)

    async def next(self) -> Any:
        return await soon(self.told.get())

    async def opened(self) -> str:
        told = await self.next()
        assert isinstance(told, str), told
        return told

    async def closed(self) -> LinkClosed:
        told = await self.next()
        assert isinstance(told, LinkClosed), told
        return told


class Cable:
    """A TCP proxy that can be cut: from then on nothing passes, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.passed: asyncio.Queue[bytes] = asyncio.Queue()
        """What the station sent."""
        self.cut = asyncio.Event()
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Cable"]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, far_writer]
        for source, sink, note in ((reader, far_writer, True), (far_reader, writer, False)):
            task = asyncio.create_task(self._carry(source, sink, note=note))
            self._tasks.add(task)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, note: bool) -> None:
        while data := await source.read(65536):
            if note:
                self.passed.put_nowait(data)
            if not self.cut.is_set():
                sink.write(data)
        sink.close()


async def soon(awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        return await awaitable


def config(port: int, **options: Any) -> LinkConfig:
    """Quick in everything, so that a test need not wait."""
    quick = {"wait_minimum_s": 0.1, "random_range_s": 0.0, "repeat_times": 2, "open_timeout_s": 5.0}
    url = options.pop("url", f"ws://127.0.0.1:{port}/ocpp")
    return LinkConfig(**({"url": url, "identity": "CP1", "close_timeout_s": 1.0} | quick | options))


@pytest.fixture
async def csms() -> AsyncIterator[Csms]:
    async with Csms().running() as running:
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def secure(port: int, authority: Authority, **options: Any) -> LinkConfig:
    profile = {"security_profile": 2, "password": b"secret password!", "ca_file": str(authority.ca_file)}
    return config(port, url=f"wss://localhost:{port}/ocpp", **(profile | options))


@contextlib.asynccontextmanager
async def raw_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A TCP server that says what it likes."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> ServerProtocol:
    """The server's half of a WebSocket after its opening handshake; it does nothing by itself."""
    protocol = ServerProtocol(subprotocols=[Subprotocol("ocpp1.6")])
    protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
    [request] = protocol.events_received()
    assert isinstance(request, Request)
    protocol.send_response(protocol.accept(request))
    writer.writelines(protocol.data_to_send())
    return protocol


@contextlib.asynccontextmanager
async def strict_tls_server(context: ssl.SSLContext) -> AsyncIterator[int]:
    """A server that says why a TLS handshake failed; those of asyncio hang up without the alert."""

    def serve_until_closed() -> None:
        with contextlib.suppress(OSError):
            while True:
                shake_hands(listener.accept()[0])

    def shake_hands(plain: socket.socket) -> None:
        tls = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        with contextlib.suppress(ssl.SSLError):
            tls.do_handshake()
        with socket.socket(fileno=tls.detach()) as plain_again:
            plain_again.shutdown(socket.SHUT_WR)
            while plain_again.recv(4096):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = asyncio.create_task(asyncio.to_thread(serve_until_closed))
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        await soon(thread)


# Talking


async def test_frames_go_both_ways_in_order_as_text(csms: Csms) -> None:
    """What is sent arrives as text frames in the order of sending, whether it was str or bytes."""
    async with Owner(config(csms.port)) as owner:
        assert await owner.opened() == "ocpp1.6"
        assert owner.link.is_open
        for n in range(100):
            owner.link.send(f"[{n}]" if n % 2 else f"[{n}]".encode())
        assert [await soon(csms.frames.get()) for _ in range(100)] == [f"[{n}]" for n in range(100)]

        await csms.connections[0].send('[2,"ü"]')
        await csms.connections[0].send(["[2,", '"in', ' parts"]'])
        assert await owner.next() == '[2,"ü"]'.encode()
        assert await owner.next() == b'[2,"in parts"]'


async def test_exactly_the_offered_versions_are_offered_and_the_server_decides() -> None:
    """The order is the station's, the choice the server's."""
    async with Csms().running(select_subprotocol=lambda _, offered: offered[-1]) as csms:
        async with Owner(config(csms.port), "ocpp2.0.1", "ocpp1.6") as owner:
            assert await owner.opened() == "ocpp1.6"

        [request] = csms.requests
        assert request.headers["Sec-WebSocket-Protocol"] == "ocpp2.0.1, ocpp1.6"
        assert "Sec-WebSocket-Extensions" not in request.headers


async def test_identity_and_password_arrive_as_the_specification_wants_them(csms: Csms) -> None:
    """`RDAM 123` is percent-encoded in the path, plain in the header; the password is bytes, not UTF-8."""
    key = bytes.fromhex("FF00FEDCBA98765432100123456789ABCDEF8041")
    options = {"identity": "RDAM 123", "security_profile": 1, "password": key}
    async with Owner(config(csms.port, url=f"ws://127.0.0.1:{csms.port}/a/?t=1", **options)) as owner:
        await owner.opened()

    [request] = csms.requests
    assert request.path == "/a/RDAM%20123?t=1"
    assert base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")) == b"RDAM 123:" + key


async def test_credentials_never_get_into_a_log(csms: Csms, caplog: pytest.LogCaptureFixture) -> None:
    """Not even at debug level, where the WebSocket library would write every header."""
    caplog.set_level(logging.DEBUG)
    async with Owner(config(csms.port, security_profile=1, password=b"0123456789abcdef")) as owner:
        await owner.opened()
        ours = [record.getMessage() for record in caplog.records if record.name.startswith("gateway")]

    header = csms.requests[0].headers["Authorization"]
    assert not [message for message in ours if header in message or "Authorization" in message]


async def test_what_is_sent_without_a_connection_goes_nowhere(csms: Csms) -> None:
    """The frames of a former connection never reach the next one."""
    owner = Owner(config(csms.port))
    owner.link.send("[1]")
    async with owner:
        await owner.opened()
        owner.link.send("[2]")
        assert await soon(csms.frames.get()) == "[2]"


# Versions


async def test_a_server_that_selects_no_version_is_left() -> None:
    """No talk without a version agreed: close, say so, and try again later."""
    async with Csms().running(subprotocols=None) as csms, Owner(config(csms.port)) as owner:
        closed = await owner.closed()

        assert closed.kind is ClosedBecause.NO_SUBPROTOCOL
        assert not closed.was_open
        assert closed.retry_in_s == 0.1
        assert await soon(csms.closed.get()) == 1002


async def test_a_version_may_be_assumed_by_choice() -> None:
    """Some servers speak OCPP but do not echo the header."""
    async with (
        Csms().running(subprotocols=None) as csms,
        Owner(config(csms.port, assume_subprotocol="ocpp1.6"), "ocpp1.6") as owner,
    ):
        assert await owner.opened() == "ocpp1.6"


async def test_a_version_that_was_not_offered_is_not_spoken() -> None:
    """A server that selects something else is left like one that selects nothing."""
    async with (
        Csms().running(select_subprotocol=lambda *_: "ocpp2.0.1") as csms,
        Owner(config(csms.port), "ocpp1.6") as owner,
    ):
        closed = await owner.closed()

        assert closed.kind is ClosedBecause.NO_SUBPROTOCOL
        assert "ocpp2.0.1" in closed.detail


# Refusals


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, ClosedBecause.REFUSED_AUTH),
        (403, ClosedBecause.REFUSED),
        (404, ClosedBecause.UNKNOWN_STATION),
        (409, ClosedBecause.REFUSED),
        (302, ClosedBecause.REDIRECTED),
        (503, ClosedBecause.REFUSED),
    ],
)
async def test_a_refusal_is_told_with_its_status_and_tried_again(
    csms: Csms, status: int, kind: ClosedBecause
) -> None:
    """Each has its own word; none is final, and none is followed elsewhere."""

    def answer(connection: ServerConnection, _: Request) -> Response:
        response = connection.respond(HTTPStatus(status), "no\n")
        response.headers["Location"] = "https://elsewhere.example/ocpp?token=abc"
        return response

    csms.answer = answer
    async with Owner(config(csms.port)) as owner:
        closed = await owner.closed()
        assert (closed.kind, closed.http_status, closed.was_open) == (kind, status, False)
        assert str(status) in closed.detail
        assert "abc" not in closed.detail
        assert (await owner.closed()).kind is kind


async def test_a_server_that_speaks_no_http_is_a_refusal() -> None:
    """Some backends answer a wrong password with a malformed answer."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"go away\r\n\r\n")

    async with raw_server(babble) as port, Owner(config(port)) as owner:
        assert (await owner.closed()).kind is ClosedBecause.REFUSED


async def test_a_server_that_hangs_up_is_a_loss() -> None:
    """Neither an answer nor a word."""

    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with raw_server(hang_up) as port, Owner(config(port)) as owner:
        closed = await owner.closed()
        assert closed.kind is ClosedBecause.LOST
        assert "without answering" in closed.detail


async def test_a_server_that_never_answers_is_a_time_out() -> None:
    """The attempt ends after the time allowed."""
    ended = asyncio.Event()

    async def be_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()

    async with raw_server(be_silent) as port, Owner(config(port, open_timeout_s=0.2)) as owner:
        assert (await owner.closed()).kind is ClosedBecause.TIMEOUT
        await soon(ended.wait())


async def test_a_port_where_nobody_listens_and_a_name_that_does_not_exist(csms: Csms) -> None:
    """Both say which host it was."""
    async with raw_server(lambda *_: asyncio.sleep(0)) as port:
        pass
    async with Owner(config(port)) as owner:
        closed = await owner.closed()
        assert closed.kind is ClosedBecause.UNREACHABLE
        assert str(port) in closed.detail
    async with Owner(config(port, url="ws://no-such-host.invalid/")) as owner:
        closed = await owner.closed()
        assert closed.kind is ClosedBecause.DNS
        assert "no-such-host.invalid" in closed.detail


# TLS


async def test_a_server_with_a_good_certificate_is_trusted(authority: Authority) -> None:
    """Profile 2: TLS, verified, with a password inside."""
    async with (
        Csms().running(ssl=authority.server_context("localhost")) as csms,
        Owner(secure(csms.port, authority)) as owner,
    ):
        assert await owner.opened() == "ocpp1.6"
        await csms.connections[0].send("x" * 300_000)
        assert await owner.next() == b"x" * 300_000
        assert "Authorization" in csms.requests[0].headers


async def test_a_certificate_for_another_host_is_not_accepted(authority: Authority) -> None:
    """A00.FR.308: the name counts."""
    async with (
        Csms().running(ssl=authority.server_context("other.example")) as csms,
        Owner(secure(csms.port, authority)) as owner,
    ):
        closed = await owner.closed()
        assert closed.kind is ClosedBecause.TLS_CERTIFICATE
        assert "localhost" in closed.detail
        assert csms.requests == []


async def test_an_expired_certificate_is_not_accepted(authority: Authority) -> None:
    """The sentence says that it has expired."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    day = dt.timedelta(days=1)
    context.load_cert_chain(*authority.issue("old", "localhost", valid_from=-3 * day, valid_until=-day))
    async with Csms().running(ssl=context) as csms, Owner(secure(csms.port, authority)) as owner:
        closed = await owner.closed()
        assert closed.kind is ClosedBecause.TLS_CERTIFICATE
        assert "expired" in closed.detail


async def test_a_certificate_of_an_unknown_authority_is_not_accepted(
    authority: Authority, tmp_path: Path
) -> None:
    """Neither with another CA configured nor with the operating system's."""
    stranger = Authority(tmp_path, "Stranger")
    async with Csms().running(ssl=stranger.server_context("localhost")) as csms:
        for ca_file in (str(authority.ca_file), None):
            async with Owner(secure(csms.port, authority, ca_file=ca_file)) as owner:
                assert (await owner.closed()).kind is ClosedBecause.TLS_CERTIFICATE


async def test_profile_3_shows_its_client_certificate(authority: Authority) -> None:
    """The station is let in by its certificate, and sends no password."""
    cert_file, key_file = authority.issue("CP1")
    files = {"client_cert_file": str(cert_file), "client_key_file": str(key_file)}
    async with (
        Csms().running(ssl=authority.server_context("localhost", demand_client=True)) as csms,
        Owner(secure(csms.port, authority, security_profile=3, **files)) as owner,
    ):
        assert await owner.opened() == "ocpp1.6"
        assert "Authorization" not in csms.requests[0].headers


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        (ssl.TLSVersion.TLSv1_2, ClosedBecause.TLS_CIPHER),  # There its alert does not tell these two apart.
        (ssl.TLSVersion.TLSv1_3, ClosedBecause.REFUSED_AUTH),
    ],
)
async def test_a_missing_client_certificate_is_named(
    authority: Authority, version: ssl.TLSVersion, kind: ClosedBecause
) -> None:
    """TLS 1.3 tells it only after the handshake, when the WebSocket one has begun."""
    context = authority.server_context("localhost", demand_client=True)
    context.minimum_version = context.maximum_version = version
    async with strict_tls_server(context) as port, Owner(secure(port, authority)) as owner:
        closed = await owner.closed()
        assert closed.kind is kind
        assert "certificate" in closed.detail


async def test_a_client_certificate_that_is_not_accepted_is_an_authentication_failure(
    authority: Authority, tmp_path: Path
) -> None:
    """The alert names the reason."""
    cert_file, key_file = Authority(tmp_path, "Stranger").issue("CP1")
    files = {"client_cert_file": str(cert_file), "client_key_file": str(key_file)}
    context = authority.server_context("localhost", demand_client=True)
    async with (
        strict_tls_server(context) as port,
        Owner(secure(port, authority, security_profile=3, **files)) as owner,
    ):
        closed = await owner.closed()
        assert closed.kind is ClosedBecause.REFUSED_AUTH
        assert "unknown ca" in closed.detail


async def test_a_server_with_old_tls_only_is_not_spoken_to(authority: Authority) -> None:
    """A00.FR.313: nothing below TLS 1.2."""
    context = authority.server_context("localhost")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with strict_tls_server(context) as port, Owner(secure(port, authority)) as owner:
        assert (await owner.closed()).kind is ClosedBecause.TLS_VERSION


async def test_a_server_without_tls_is_named_as_such(authority: Authority) -> None:
    """The usual mistake, wss:// to the plain port: some answer in plain HTTP, some hang up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(100)

    for talk, words in ((answer, "does not speak TLS"), (hang_up, "may speak none")):
        async with raw_server(talk) as port, Owner(secure(port, authority)) as owner:
            closed = await owner.closed()
            assert closed.kind is ClosedBecause.TLS_OTHER
            assert words in closed.detail


async def test_files_that_cannot_be_used_are_named_and_read_again_when_they_change(
    authority: Authority, tmp_path: Path
) -> None:
    """A missing or broken file is no end: once it is right, the next attempt succeeds."""
    ca_file = tmp_path / "ca.pem"
    async with (
        Csms().running(ssl=authority.server_context("localhost")) as csms,
        Owner(secure(csms.port, authority, ca_file=str(ca_file))) as owner,
    ):
        closed = await owner.closed()
        assert closed.kind is ClosedBecause.TLS_OTHER
        assert str(ca_file) in closed.detail
        ca_file.write_text("nonsense")
        assert (await owner.closed()).kind is ClosedBecause.TLS_OTHER
        ca_file.write_bytes(authority.ca_file.read_bytes())
        while isinstance(told := await owner.next(), LinkClosed):
            pass
        assert told == "ocpp1.6"


# Life and death


async def test_a_dead_peer_is_noticed_within_two_intervals(csms: Csms) -> None:
    """Nothing comes any more and nobody says so: the link ends by itself and comes back."""
    async with (
        Cable(csms.port).running() as cable,
        Owner(config(cable.port, ping_interval_s=0.3)) as owner,
    ):
        await owner.opened()
        cable.cut.set()
        started = asyncio.get_running_loop().time()
        closed = await owner.closed()

        assert closed.kind is ClosedBecause.DEAD_PEER
        assert closed.was_open
        assert asyncio.get_running_loop().time() - started < 0.6 + 0.2
        cable.cut.clear()
        assert await owner.opened() == "ocpp1.6"


async def test_a_quiet_peer_that_answers_pings_is_not_dead(csms: Csms) -> None:
    """Six intervals without a word, and the link is still open."""
    async with (
        Cable(csms.port).running() as cable,
        Owner(config(cable.port, ping_interval_s=0.05)) as owner,
    ):
        await owner.opened()
        await soon(cable.passed.get())
        for _ in range(6):
            assert (await soon(cable.passed.get()))[0] == 0x89  # a ping
        assert owner.link.is_open
        assert owner.told.empty()


async def test_the_ping_interval_changes_at_once(csms: Csms) -> None:
    """Switched off it notices nothing, switched on it owes nothing for the time before."""
    async with Cable(csms.port).running() as cable:
        off = config(cable.port, ping_interval_s=0)
        async with Owner(off) as owner:
            await owner.opened()
            await soon(cable.passed.get())
            owner.link.reconfigure(config(cable.port, ping_interval_s=0.05))
            assert (await soon(cable.passed.get()))[0] == 0x89
            cable.cut.set()
            assert (await owner.closed()).kind is ClosedBecause.DEAD_PEER


async def test_a_peer_that_does_not_read_is_given_up() -> None:
    """What waits for it is bounded."""
    gone = asyncio.Event()

    async def not_read(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await gone.wait()
        connection.transport.abort()

    csms = Csms()
    csms.serve = not_read
    async with csms.running(), Owner(config(csms.port, max_unsent_bytes=100_000)) as owner:
        await owner.opened()
        while owner.link.is_open:
            owner.link.send("x" * 100_000)
        closed = await owner.closed()
        gone.set()

        assert closed.kind is ClosedBecause.DEAD_PEER
        assert "does not read" in closed.detail


async def test_a_message_beyond_the_limit_ends_the_connection(csms: Csms) -> None:
    """The code says that it was too big."""
    async with Owner(config(csms.port, max_frame_bytes=1000)) as owner:
        await owner.opened()
        await csms.connections[0].send("x" * 1001)
        closed = await owner.closed()

        assert (closed.kind, closed.code) == (ClosedBecause.LOST, 1009)


async def test_a_lost_connection_comes_back(csms: Csms) -> None:
    """Without a good-bye from the other side."""
    async with Owner(config(csms.port)) as owner:
        await owner.opened()
        csms.connections[0].transport.abort()
        closed = await owner.closed()

        assert (closed.kind, closed.was_open, closed.retry_in_s) == (ClosedBecause.LOST, True, 0.1)
        assert await owner.opened() == "ocpp1.6"


async def test_a_server_that_accepts_and_closes_is_not_hammered() -> None:
    """1008 right after the handshake: the waits double, though each handshake succeeded."""
    csms = Csms()
    csms.serve = lambda connection: connection.close(1008, "unknown station")
    async with csms.running(), Owner(config(csms.port)) as owner:
        waits = []
        for _ in range(4):
            await owner.opened()
            closed = await owner.closed()
            assert (closed.kind, closed.code, closed.was_open) == (ClosedBecause.CLOSED_BY_CSMS, 1008, True)
            assert "unknown station" in closed.detail
            waits.append(closed.retry_in_s)
        assert waits == [0.1, 0.2, 0.4, 0.4]


async def test_after_a_connection_that_was_good_the_waits_begin_anew() -> None:
    """One message received makes it good."""

    async def talk(connection: ServerConnection) -> None:
        await connection.send("[]")
        await connection.close(1000)

    csms = Csms()
    csms.serve = talk
    async with csms.running(), Owner(config(csms.port)) as owner:
        for _ in range(3):
            await owner.opened()
            assert await owner.next() == b"[]"
            closed = await owner.closed()
            assert (closed.kind, closed.retry_in_s) == (ClosedBecause.CLOSED_BY_CSMS, 0.1)


async def test_the_last_words_of_a_server_that_closes_are_heard() -> None:
    """A message, a close frame and another message in one segment: the first counts, our answer is moot."""

    async def speak_and_go(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = await upgraded(reader, writer)
        protocol.send_text(b"[1]")
        protocol.send_close(1001, "bye")
        writer.write(b"".join(protocol.data_to_send()) + b"\x81\x03[2]")
        await reader.read(100)

    async with raw_server(speak_and_go) as port:
        owner = Owner(config(port))
        owner.echo = "[3]"
        async with owner:
            await owner.opened()
            assert await owner.next() == b"[1]"
            closed = await owner.closed()
            assert (closed.kind, closed.code) == (ClosedBecause.CLOSED_BY_CSMS, 1001)


async def test_there_is_never_a_second_socket(csms: Csms) -> None:
    """Through drops, closes and switching off and on, the server sees at most one at a time."""
    async with Owner(config(csms.port)) as owner:
        for end in ("drop", "close", "suspend", "csms"):
            await owner.opened()
            owner.link.send("[]")
            await soon(csms.frames.get())
            match end:
                case "drop":
                    csms.connections[0].transport.abort()
                case "close":
                    owner.link.close("Reset")
                case "suspend":
                    owner.link.suspend(True)
                    owner.link.suspend(False)
                case "csms":
                    await csms.connections[0].close(1001)
            await owner.closed()
        await owner.opened()
    assert csms.most_at_once == 1
    assert len(csms.requests) == 5


# What the owner wants


async def test_a_close_lets_everything_sent_before_out_and_comes_back_at_once(csms: Csms) -> None:
    """A reset: the reply is flushed, the socket closes, and a good connection is made again at once."""
    async with Owner(config(csms.port, wait_minimum_s=1000.0)) as owner:
        await owner.opened()
        await csms.connections[0].send("[2]")
        await owner.next()
        for n in range(50):
            owner.link.send(f"[{n}]" + " " * 10_000)
        owner.link.close("Reset")
        owner.link.send("[too late]")
        closed = await owner.closed()

        assert (closed.kind, closed.code, closed.retry_in_s) == (ClosedBecause.CLOSED_BY_US, 1000, 0.0)
        frames = [await soon(csms.frames.get()) for _ in range(50)]
        assert [str(frame).strip() for frame in frames] == [f"[{n}]" for n in range(50)]
        assert await soon(csms.closed.get()) == 1000
        assert await owner.opened() == "ocpp1.6"


async def test_a_close_may_also_be_immediate(csms: Csms) -> None:
    """Without the closing handshake."""
    async with Owner(config(csms.port)) as owner:
        await owner.opened()
        owner.link.close("Power is failing", after_flush=False)
        assert (await owner.closed()).kind is ClosedBecause.CLOSED_BY_US
        assert await soon(csms.closed.get()) == 1006


async def test_a_server_that_ignores_the_good_bye_is_left_after_the_time_allowed() -> None:
    """The close time-out is ours."""

    async def upgrade_and_be_deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        await reader.read()

    async with (
        raw_server(upgrade_and_be_deaf) as port,
        Owner(config(port, close_timeout_s=0.1)) as owner,
    ):
        await owner.opened()
        owner.link.close("Reset")
        assert (await owner.closed()).kind is ClosedBecause.CLOSED_BY_US


async def test_stopping_says_good_bye_and_ends_run(csms: Csms) -> None:
    """1001, and no attempt after it."""
    async with Owner(config(csms.port)) as owner:
        await owner.opened()
    closed = await owner.closed()

    assert (closed.kind, closed.code, closed.retry_in_s) == (ClosedBecause.CLOSED_BY_US, 1001, None)
    assert await soon(csms.closed.get()) == 1001
    assert len(csms.requests) == 1


async def test_stopping_interrupts_an_attempt_and_a_wait() -> None:
    """Neither an unanswered handshake nor a back-off of an hour holds up the end."""
    connected = asyncio.Event()

    async def be_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()

    async with raw_server(be_silent) as port:
        async with Owner(config(port, open_timeout_s=1000)) as owner:
            await soon(connected.wait())
        assert (await owner.closed()).kind is ClosedBecause.CLOSED_BY_US
    async with Owner(config(port, wait_minimum_s=3600)) as owner:
        assert (await owner.closed()).retry_in_s == 3600


async def test_a_suspended_link_stays_away_until_it_is_allowed_again(csms: Csms) -> None:
    """Closed at once, no attempt meanwhile, back without waiting."""
    async with Owner(config(csms.port, wait_minimum_s=3600)) as owner:
        await owner.opened()
        owner.link.suspend(True)
        closed = await owner.closed()
        assert (closed.kind, closed.retry_in_s) == (ClosedBecause.CLOSED_BY_US, None)
        assert await soon(csms.closed.get()) == 1000
        assert len(csms.requests) == 1

        owner.link.suspend(False)
        assert await owner.opened() == "ocpp1.6"


async def test_a_new_password_is_used_for_the_next_connection(csms: Csms) -> None:
    """[TC_073]: the open connection stays, the next one proves itself with the new key."""
    async with Owner(config(csms.port, security_profile=1, password=b"old")) as owner:
        await owner.opened()
        owner.link.reconfigure(config(csms.port, security_profile=1, password=b"new"))
        assert owner.link.is_open
        owner.link.close("A new password")
        await owner.closed()
        await owner.opened()

    credentials = [base64.b64decode(request.headers["Authorization"][6:]) for request in csms.requests]
    assert credentials == [b"CP1:old", b"CP1:new"]


async def test_a_callback_that_fails_ends_run_with_its_exception(csms: Csms) -> None:
    """The owner hears of it; nothing is swallowed."""

    def received(_: bytes) -> None:
        msg = "a defect"
        raise RuntimeError(msg)

    link = Link(
        config(csms.port),
        offered=lambda: ["ocpp1.6"],
        opened=lambda _: link.send("[]"),
        received=received,
        closed=lambda _: None,
        random=lambda: 0.0,
    )
    task = asyncio.create_task(link.run())
    await soon(csms.frames.get())
    await csms.connections[0].send("[]")
    with pytest.raises(RuntimeError, match="a defect"):
        await soon(task)
    assert await soon(csms.closed.get()) == 1006


async def test_cancelling_run_leaves_no_socket_behind(csms: Csms) -> None:
    """The owner may also end the task."""
    owner = Owner(config(csms.port))
    task = asyncio.create_task(owner.link.run())
    await owner.opened()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(task)
    assert await soon(csms.closed.get()) == 1006

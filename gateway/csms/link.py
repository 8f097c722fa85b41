"""One WebSocket per identity: never two at once, never given up, never hammering, its end always explained.

RFC 6455 is the protocol object of `websockets`, without I/O; the edge around it is `_Wire`. There is no task
per frame, ping or connection: the one task of a link is `run`, which its owner watches.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import cast

import msgspec
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHeader, InvalidStatus, NegotiationError
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI, parse_uri

from gateway.csms import tls
from gateway.csms.backoff import Backoff
from gateway.csms.closing import ClosedBecause, LinkClosed, http_refusal, loss, network_failure
from gateway.csms.endpoint import LinkConfig, authorization, is_address, station_url, url_for_logs
from gateway.csms.watchdog import Watchdog

# A connection that lived so long, or brought a frame, was good: the back-off begins anew after it.
HEALTHY_AFTER_S = 30.0


class Link:
    """Keeps one station connected.

    Callbacks run in the event loop and must not block. `offered` gives the versions to offer, in order of
    preference; `opened` gets the one agreed on, `received` each message, `closed` the end of each connection
    and of each failed attempt. An exception in one of them ends `run` with it.
    """

    def __init__(
        self,
        config: LinkConfig,
        *,
        offered: Callable[[], Sequence[str]],
        opened: Callable[[str], None],
        received: Callable[[bytes], None],
        closed: Callable[[LinkClosed], None],
        random: Callable[[], float],
    ) -> None:
        self._config = config
        self._uri = parse_uri(station_url(config))
        self._offered = offered
        self._opened = opened
        self._received = received
        self._closed = closed
        self._backoff = Backoff(random)
        self._stopping = False
        self._suspended = False
        self._wire: _Wire | None = None
        self._attempt: asyncio.Timeout | None = None
        self._wake: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None

    @property
    def url(self) -> str:
        """Where this station connects, fit for a log."""
        return url_for_logs(station_url(self._config))

    @property
    def is_open(self) -> bool:
        return self._wire is not None and self._wire.is_open

    async def run(self) -> None:
        """Connect, and connect again, until `stop`. Raises only what a callback raised."""
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        try:
            while not self._stopping:
                if self._suspended:
                    await self._pause(None)
                else:
                    await self._pause(await self._connection(loop))
        finally:
            if self._wire is not None:
                self._wire.abort()
                self._wire = None
            self._ended.set_result(None)

    def send(self, frame: str | bytes) -> None:
        """Write one text message, in order. Without an open connection it goes nowhere; `closed` says so."""
        if self._wire is not None:
            self._wire.send(frame)

    def close(self, reason: str, *, after_flush: bool = True) -> None:
        """End this connection; `run` makes the next one, at once if this one was good.

        What was sent before still goes out, unless `after_flush` is false.
        """
        self._close(1000, reason, after_flush=after_flush)

    def suspend(self, suspended: bool) -> None:
        """Stay disconnected, or come back at once."""
        self._suspended = suspended
        if suspended:
            self._close(1000, "The link is switched off")
        self._awake()

    def reconfigure(self, config: LinkConfig) -> None:
        """Ping interval and back-off change at once, everything else with the next connection."""
        self._uri = parse_uri(station_url(config))
        self._config = config
        if self._wire is not None:
            self._wire.watch(config.ping_interval_s)

    async def stop(self) -> None:
        """Say good-bye and end `run`."""
        self._stopping = True
        self._close(1001, "The station is shutting down")
        self._awake()
        if self._ended is not None:
            await asyncio.shield(self._ended)

    def _close(self, code: int, reason: str, *, after_flush: bool = True) -> None:
        if self._wire is not None:
            why = LinkClosed(kind=ClosedBecause.CLOSED_BY_US, detail=f"{reason}.", code=code)
            self._wire.close(reason, why, after_flush=after_flush)
        if (self._stopping or self._suspended) and self._attempt is not None and not self._attempt.expired():
            self._attempt.reschedule(0.0)

    async def _connection(self, loop: asyncio.AbstractEventLoop) -> float | None:
        """One connection from its first packet to its last; the wait before the next one."""
        wire = self._wire = _Wire(
            loop, self._config, self._uri, list(self._offered()), self._opened, self._received
        )
        try:
            closed = await self._open(loop, wire)
            if closed is None:
                # The wire ends through connection_lost, in every case.
                closed = await wire.ended
        finally:
            wire.abort()
            self._wire = None
        if wire.failure is not None:
            raise wire.failure
        if wire.was_healthy:
            self._backoff.reset()
        config = self._config
        wait_s: float | None = self._backoff.next_wait_s(
            wait_minimum_s=config.wait_minimum_s,
            random_range_s=config.random_range_s,
            repeat_times=config.repeat_times,
        )
        if closed.kind is ClosedBecause.CLOSED_BY_US and wire.was_healthy:
            wait_s = 0.0
        if self._stopping or self._suspended:
            wait_s = None
        self._closed(msgspec.structs.replace(closed, retry_in_s=wait_s))
        return wait_s

    async def _open(self, loop: asyncio.AbstractEventLoop, wire: "_Wire") -> LinkClosed | None:
        """None: a connection was made, and `wire.ended` has or will have the rest."""
        config, uri = self._config, self._uri
        try:
            async with asyncio.timeout(config.open_timeout_s) as self._attempt:
                context = None
                if uri.secure:
                    context = tls.context(
                        config.ca_file, config.client_cert_file, config.client_key_file, config.roots
                    )
                await loop.create_connection(
                    lambda: wire,
                    uri.host,
                    uri.port,
                    ssl=context,
                    server_hostname=uri.host if uri.secure else None,
                    ssl_shutdown_timeout=config.close_timeout_s if uri.secure else None,
                    # A name may have an IPv6 address that leads nowhere.
                    happy_eyeballs_delay=None if is_address(uri.host) else 0.25,
                )
                await wire.answered
        except TimeoutError:
            if self._stopping or self._suspended:
                return LinkClosed(
                    kind=ClosedBecause.CLOSED_BY_US, detail="The attempt to connect was called off."
                )
            sentence = f"{uri.host} did not complete the connection within {config.open_timeout_s:g} s."
            return LinkClosed(kind=ClosedBecause.TIMEOUT, detail=sentence)
        except OSError as error:
            return network_failure(error, uri.host, uri.port)
        except tls.TlsFilesUnusable as error:
            return LinkClosed(kind=ClosedBecause.TLS_OTHER, detail=str(error))
        finally:
            self._attempt = None
        return None

    async def _pause(self, wait_s: float | None) -> None:
        """Wait, for ever if None, until something of interest changes."""
        if self._stopping or (wait_s is None and not self._suspended):
            return
        self._wake = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(wait_s):
                await self._wake
        except TimeoutError:
            pass
        finally:
            self._wake = None

    def _awake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class _Wire(asyncio.Protocol):
    """One connection: bytes to messages and back, the ping watchdog, and the verdict at its end."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: LinkConfig,
        uri: WebSocketURI,
        versions: list[str],
        opened: Callable[[str], None],
        received: Callable[[bytes], None],
    ) -> None:
        if not versions:
            msg = f"There is no OCPP version to offer for {config.identity}."
            raise ValueError(msg)
        self._loop = loop
        self._config = config
        self._protocol = ClientProtocol(
            uri,
            subprotocols=[Subprotocol(version) for version in versions],
            max_size=config.max_frame_bytes,
            logger=_QUIET,
        )
        self._opened = opened
        self._received = received
        self._transport: asyncio.Transport | None = None
        self._verdict: LinkClosed | None = None
        self._parts = b""
        self._opened_at = 0.0
        self._watchdog = Watchdog(loop, ping=self._ping, dead=self._dead)
        self._closing: asyncio.TimerHandle | None = None
        self.answered: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[LinkClosed] = loop.create_future()
        self._is_accepted = False
        self.was_healthy = False
        self.failure: Exception | None = None

    @property
    def is_open(self) -> bool:
        return self._is_accepted and self._verdict is None and self._protocol.state is State.OPEN

    # What the owner does

    def send(self, frame: str | bytes) -> None:
        if not self.is_open or self._transport is None:
            return
        self._protocol.send_text(frame.encode() if isinstance(frame, str) else frame)
        self._flush()
        unsent = self._transport.get_write_buffer_size()
        if unsent > self._config.max_unsent_bytes:
            self._dead(f"The CSMS does not read: {unsent} bytes are waiting for it.")

    def close(self, reason: str, why: LinkClosed, *, after_flush: bool = True) -> None:
        if self._transport is None or self._verdict is not None:
            return
        if not after_flush or self._protocol.state is State.CONNECTING:
            self._end(why)
            return
        if self._protocol.state is not State.OPEN:
            return  # the CSMS was quicker
        self._verdict = why
        # RFC 6455 §5.5: a control frame carries 125 bytes, two of them are the code.
        self._protocol.send_close(why.code, reason.encode()[:120].decode(errors="ignore"))
        self._flush()
        self._expect_close()

    def watch(self, ping_interval_s: float) -> None:
        if self.is_open:
            self._watchdog.watch(ping_interval_s)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        request = self._protocol.connect()
        request.headers["User-Agent"] = "ocpp-mqtt-gateway"
        credentials = authorization(self._config)
        if credentials is not None:
            request.headers["Authorization"] = credentials
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._watchdog.heard_at = self._loop.time()
        self._protocol.receive_data(data)
        events = self._protocol.events_received()
        self._flush()
        try:
            for event in events:
                if isinstance(event, Frame):
                    self._frame_received(event)
                elif isinstance(event, Response) and self._protocol.handshake_exc is None:
                    event.headers.clear()  # the parser keeps them while the connection lives: 2 KiB a station
                    self._accepted()
        except Exception as error:  # noqa: BLE001  it is a callback's, and `run` raises it to the owner
            self.failure = error
            self.abort()
        if self._protocol.handshake_exc is not None:
            self._end(_refusal(self._protocol.handshake_exc))
        elif self._closing is None and self._protocol.close_expected():
            self._expect_close()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.receive_eof()
        was_open = self._opened_at > 0.0
        if was_open and self._loop.time() - self._opened_at >= HEALTHY_AFTER_S:
            self.was_healthy = True
        self._watchdog.cancel()
        if self._closing is not None:
            self._closing.cancel()
        self._transport = None
        verdict = self._verdict or _loss(self._protocol, exc)
        if not self.ended.done():
            self.ended.set_result(msgspec.structs.replace(verdict, was_open=was_open))
        if not self.answered.done():
            self.answered.set_result(None)

    # What follows

    def _accepted(self) -> None:
        self._is_accepted = True
        version = self._protocol.subprotocol or self._config.assume_subprotocol
        if version is None:
            sentence = "The CSMS accepted the connection without selecting an OCPP version."
            why = LinkClosed(kind=ClosedBecause.NO_SUBPROTOCOL, detail=sentence, code=1002)
            self.close("No OCPP version was selected", why)
            return
        self._opened_at = self._loop.time()
        self.watch(self._config.ping_interval_s)
        if not self.answered.done():
            self.answered.set_result(None)
        self._opened(version)

    def _frame_received(self, frame: Frame) -> None:
        # What came before the CSMS closed still counts; what came after we did does not.
        if self._verdict is not None or frame.opcode not in _DATA:
            return
        data = bytes(frame.data)
        if self._parts:
            data = self._parts + data
        self._parts = b"" if frame.fin else data
        if frame.fin:
            self.was_healthy = True
            self._received(data)

    def _ping(self) -> None:
        if self.is_open:
            self._protocol.send_ping(b"")
            self._flush()

    def _dead(self, sentence: str) -> None:
        self._end(LinkClosed(kind=ClosedBecause.DEAD_PEER, detail=sentence))

    def _end(self, why: LinkClosed) -> None:
        """Without waiting for a peer that may not be there."""
        if self._verdict is None:
            self._verdict = why
        self.abort()

    def _expect_close(self) -> None:
        self._closing = self._loop.call_later(self._config.close_timeout_s, self.abort)

    def _flush(self) -> None:
        transport = self._transport
        if transport is None:
            return
        for data in self._protocol.data_to_send():
            if data:
                transport.write(data)
            elif transport.can_write_eof():
                transport.write_eof()
            else:
                transport.close()


# At debug level `websockets` would write the Authorization header into the log.
_QUIET = logging.getLogger("gateway.csms.link.websockets")
_QUIET.setLevel(logging.INFO)


_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


def _refusal(error: Exception) -> LinkClosed:
    """Why the opening handshake failed."""
    if isinstance(error, InvalidStatus):
        response = error.response
        return http_refusal(response.status_code, response.reason_phrase, response.headers.get("Location"))
    if isinstance(error, NegotiationError | InvalidHeader) and "protocol" in str(error).lower():
        sentence = f"The CSMS selected no OCPP version that was offered ({error})."
        return LinkClosed(kind=ClosedBecause.NO_SUBPROTOCOL, detail=sentence, http_status=101)
    cause = f": {error.__cause__}" if error.__cause__ else ""
    return LinkClosed(
        kind=ClosedBecause.REFUSED, detail=f"What answered is no WebSocket server ({error}{cause})."
    )


def _loss(protocol: ClientProtocol, error: Exception | None) -> LinkClosed:
    """Why a connection ended that nobody here ended."""
    close = protocol.close_rcvd
    if close is None and protocol.close_sent is not None:
        sentence = f"The CSMS broke the WebSocket protocol: {protocol.parser_exc or protocol.close_sent}."
        return LinkClosed(kind=ClosedBecause.LOST, detail=sentence, code=protocol.close_sent.code)
    if error is None and protocol.handshake_exc is not None:
        sentence = "The CSMS hung up without answering the handshake"
        sentence += "; it may want another client certificate." if protocol.uri.secure else "."
        return LinkClosed(kind=ClosedBecause.LOST, detail=sentence)
    return loss(error, None if close is None else (close.code, close.reason))

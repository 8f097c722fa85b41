"""The charger's connection: paho on asyncio, a clean session, and everything said anew on each connecting."""

import asyncio
import os
import random
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Struct
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.simulator.charger import Charger, ChargerState
from gateway.simulator.contract import Instant, Message
from gateway.simulator.events import Connected, Disconnected, Event, Received, SwitchedOff, TimePassed

if TYPE_CHECKING:
    from paho.mqtt.client import SocketLike

_SCHEMES = {
    "mqtt": ("tcp", False, 1883),
    "mqtts": ("tcp", True, 8883),
    "ws": ("websockets", False, 80),
    "wss": ("websockets", True, 443),
}
_KEEPALIVE_S = 20
_KEEPALIVE_CHECK_S = 5.0
_ANSWER_TIMEOUT_S = 10.0
_FLUSH_TIMEOUT_S = 3.0
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0


class Broker(Struct, frozen=True, kw_only=True):
    """Where the broker is and how to be let in."""

    host: str
    port: int
    transport: str = "tcp"
    path: str = "/mqtt"
    tls: bool = False
    ca_file: str | None = None
    """PEM file of the authority to trust instead of the system's."""
    user: str | None = None
    password: str | None = None
    client_id: str = ""
    protocol: str = "5"
    """`5` or `3.1.1`."""

    @classmethod
    def at(cls, url: str, **more: Any) -> "Broker":
        """The broker at `scheme://[user[:password]@]host[:port][/path]`, or `ValueError`."""
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            shown = url.rpartition("@")[2]  # never a password
            raise ValueError(f"No broker URL: {shown!r}. Write mqtt, mqtts, ws or wss, then ://host[:port].")
        if more.get("protocol", "5") not in {"5", "3.1.1"}:
            raise ValueError(f"There is no MQTT protocol {more['protocol']!r} here: choose 5 or 3.1.1.")
        transport, tls, port = _SCHEMES[parts.scheme]
        if parts.username is not None and more.get("user") is None:
            more["user"] = unquote(parts.username)
            more["password"] = more.get("password") or unquote(parts.password or "")
        return cls(
            host=parts.hostname,
            port=parts.port or port,
            transport=transport,
            tls=tls,
            path=parts.path if parts.path not in {"", "/"} else "/mqtt",
            **more,
        )


class MqttEdge:
    """A charger on a broker. `run()` is the task; its owner sees it end only by an error or by cancelling.

    `heard` is told of each message that came, `said` of each that went, `noted` of the connection's fate.
    """

    def __init__(
        self,
        charger: Charger,
        broker: Broker,
        *,
        state_file: Path | None = None,
        heard: Callable[[Received], None] = lambda _message: None,
        said: Callable[[Message], None] = lambda _message: None,
        noted: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self.charger = charger
        self.broker = broker
        self.last_error: str | None = None
        self._state_file, self._heard, self._said, self._noted = state_file, heard, said, noted
        self._client: Client | None = None
        self._connecting = False
        self._lost: asyncio.Future[str] | None = None
        self._defect: Exception | None = None
        self._subscribing: int | None = None
        self._unacknowledged: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: set[asyncio.Future[None]] = set()

    async def run(self) -> None:
        """Stay connected, pausing longer after each failure, until cancelled; raise a defect."""
        delay_s = _FIRST_DELAY_S
        try:
            while self._defect is None:
                was_connected = await self._live_once()
                delay_s = _FIRST_DELAY_S if was_connected else min(delay_s * 2, _LONGEST_DELAY_S)
                await self.until(lambda: self._defect is not None, delay_s * random.uniform(0.5, 1.0))
            raise self._defect
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def feed(self, event: Event) -> None:
        """Let the charger handle an event now, and publish what it says."""
        loop = asyncio.get_running_loop()
        messages = self.charger.handle(event, Instant(time.time(), loop.time()))
        for message in messages:
            self._publish(message)
        if messages and self._state_file is not None:
            _save(self._state_file, self.charger.state)
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.charger.deadline()
        self._timer = None
        if deadline is not None:
            self._timer = loop.call_at(deadline, self._safely, lambda: self.feed(TimePassed()))
        if self.charger.rebooting:
            self._lose("the charger restarts")
        self._wake()

    async def until(self, question: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until the answer is yes, asking after each event; False when `timeout_s` have passed."""
        try:
            async with asyncio.timeout(timeout_s):
                while not question():
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.add(waiter)
                    try:
                        await waiter
                    finally:
                        self._waiters.discard(waiter)
        except TimeoutError:
            return question()
        return True

    async def switch_off(self) -> None:
        """Say goodbye and wait until the broker has it; cancel `run()` afterwards."""
        self.feed(SwitchedOff())
        await self.until(lambda: not self._unacknowledged, _FLUSH_TIMEOUT_S)

    async def _live_once(self) -> bool:
        """One connection from CONNECT to its end; whether it came about."""
        self._lost = lost = asyncio.get_running_loop().create_future()
        self._unacknowledged.clear()
        was_connected = False
        client = self._new_client()
        watch: asyncio.Task[None] | None = None
        try:
            await self._open(client)
            self._client = client
            watch = asyncio.create_task(self._watch(client), name="mqtt keep-alive")
            await self.until(lambda: self.charger.connected or lost.done(), _ANSWER_TIMEOUT_S)
            was_connected = self.charger.connected
            if not was_connected:
                self._lose(f"the broker was silent for {_ANSWER_TIMEOUT_S:g} s")
            self.last_error = reason = await lost
            if self.charger.rebooting:
                await self.until(lambda: not self._unacknowledged, _FLUSH_TIMEOUT_S)
        except OSError as error:
            self.last_error = reason = f"no connection to {self.broker.host}:{self.broker.port}: {error}"
        finally:
            if watch is not None:
                watch.cancel()
            self._close(client)
            self._client = None
            self.feed(Disconnected())
        self._noted(f"Disconnected: {reason}.")
        return was_connected

    def _new_client(self) -> Client:
        broker = self.broker
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if broker.protocol == "5" else MQTTProtocolVersion.MQTTv311,
            transport="websockets" if broker.transport == "websockets" else "tcp",
            reconnect_on_failure=False,
        )
        client.suppress_exceptions = False
        if broker.transport == "websockets":
            client.ws_set_options(path=broker.path)
        if broker.user is not None:
            client.username_pw_set(broker.user, broker.password)
        will = self.charger.will
        client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        return client

    async def _open(self, client: Client) -> None:
        """Connect in a thread, since paho blocks until TLS is up; then hand the socket to the loop."""

        def connect() -> None:
            if self.broker.tls:
                client.tls_set_context(ssl.create_default_context(cafile=self.broker.ca_file))
            client.connect(self.broker.host, self.broker.port, _KEEPALIVE_S)

        loop = asyncio.get_running_loop()
        self._connecting = True
        attempt = loop.run_in_executor(None, connect)
        try:
            await asyncio.shield(attempt)
        except asyncio.CancelledError:
            await asyncio.wait({attempt})
            raise
        finally:
            self._connecting = False
        sock = client.socket()
        if sock is None:
            raise ConnectionError("the broker closed the connection at once")
        loop.add_reader(sock, self._safely, lambda: self._read(client))
        if client.want_write():
            self._on_register_write(client, None, sock)

    def _close(self, client: Client) -> None:
        """DISCONNECT when the charger has said goodbye; else break off, and the broker sends the will."""
        sock = client.socket()
        if sock is None:
            return
        if not self.charger.connected:
            client.disconnect()
        with socket.socket(fileno=os.dup(sock.fileno())) as same:  # also reaches below TLS and WebSocket
            same.shutdown(socket.SHUT_RDWR)
        client.loop_read()

    async def _watch(self, client: Client) -> None:
        """Let paho ping the broker and notice its silence; it has no timer of its own."""
        while client.loop_misc() == MQTTErrorCode.MQTT_ERR_SUCCESS:
            await self.until(lambda: self._client is not client, _KEEPALIVE_CHECK_S)
        self._lose("the broker no longer answers")

    def _read(self, client: Client) -> None:
        client.loop_read()
        sock = client.socket()
        pending = getattr(sock, "pending", None)
        while (
            pending is not None and client.socket() is sock and pending()
        ):  # TLS holds what a selector cannot see
            client.loop_read()

    def _publish(self, message: Message) -> None:
        if self._client is None:
            return
        info = self._client.publish(message.topic, message.payload, message.qos, message.retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._said(message)
            if message.qos:
                self._unacknowledged.add(info.mid)

    def _safely(self, callback: Callable[[], None]) -> None:
        """Run what the event loop calls; a defect ends `run()` instead of vanishing in the loop's log."""
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - raised again by run(), whatever it is
            self._defect = error
            self._lose(f"a defect of the simulator: {error!r}")

    def _lose(self, reason: str) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(reason)
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _on_connect(
        self,
        client: Client,
        _userdata: None,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._lose(f"the broker refused the connection: {reason}")
            return
        client.subscribe([(topic_filter, 1) for topic_filter in self.charger.topics.subscriptions])

    def _on_subscribe(
        self, _client: Client, _userdata: None, _mid: int, reasons: list[ReasonCode], _more: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._lose(f"the broker refused a subscription: {', '.join(map(str, reasons))}")
            return
        self._noted(f"Connected to {self.broker.host}:{self.broker.port}.")
        self.feed(Connected())

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: None,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        self._lose(f"the connection to {self.broker.host}:{self.broker.port} ended: {reason}")

    def _on_message(self, _client: Client, _userdata: None, message: MQTTMessage) -> None:
        received = Received(message.topic, bytes(message.payload), message.retain)
        self._heard(received)
        self.feed(received)

    def _on_publish(
        self, _client: Client, _userdata: None, mid: int, _reason: ReasonCode, _more: Properties | None
    ) -> None:
        self._unacknowledged.discard(mid)
        self._wake()

    def _on_socket_close(self, _client: Client, _userdata: None, sock: "SocketLike") -> None:
        if not self._connecting:
            asyncio.get_running_loop().remove_reader(sock)
            asyncio.get_running_loop().remove_writer(sock)

    def _on_register_write(self, client: Client, _userdata: None, sock: "SocketLike") -> None:
        if not self._connecting:
            asyncio.get_running_loop().add_writer(sock, self._safely, lambda: _write(client))

    def _on_unregister_write(self, _client: Client, _userdata: None, sock: "SocketLike") -> None:
        if not self._connecting:
            asyncio.get_running_loop().remove_writer(sock)


def load_state(path: Path) -> ChargerState | None:
    """What an earlier life has kept, `None` without such a file; `ValueError` when it is unreadable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ChargerState)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"The state file {path} is unreadable ({error}): repair it, or delete it to begin at 0 Wh."
        ) from error


def _save(path: Path, state: ChargerState) -> None:
    """Write the whole file beside the old one and put it in its place: a crash leaves one or the other."""
    beside = path.with_name(f"{path.name}.new")
    with beside.open("wb") as file:
        file.write(msgspec.json.encode(state))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _write(client: Client) -> None:
    client.loop_write()

"""A small asyncio MQTT client for tests: it records messages with their flags and decides nothing itself."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from paho.mqtt.client import Client, topic_matches_sub
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

if TYPE_CHECKING:
    from pathlib import Path

    from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage, SocketLike
    from paho.mqtt.reasoncodes import ReasonCode

_ACK_TIMEOUT_S = 10.0
_properties: Callable[[int], Properties] = Properties  # its own signature is not annotated


class Received(NamedTuple):
    """One message as it arrived; `properties` of MQTT 5 by Python name (`MessageExpiryInterval`, …)."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: dict[str, Any]

    def json(self) -> Any:
        """Return the payload decoded as JSON."""
        return json.loads(self.payload)


class ConnectionRefused(ConnectionError):
    """The broker answered CONNECT with a refusal; the text says which."""


class TestClient:
    """`async with TestClient(port) as c:` connects, and at the end disconnects cleanly (`drop()`: rudely).

    `messages` holds everything ever received, in order; `next()` hands out each message once.
    `will` is `(topic, payload, qos, retain)`. `protocol` is 5 or 4 (3.1.1).
    """

    __test__: ClassVar[bool] = False  # not a test, whatever its name says to pytest

    def __init__(
        self,
        port: int,
        client_id: str = "",
        *,
        host: str = "127.0.0.1",
        protocol: int = 5,
        username: str | None = None,
        password: str | None = None,
        ca_file: Path | None = None,
        transport: str = "tcp",
        clean_start: bool = True,
        session_expiry_s: int = 0,
        will: tuple[str, str | bytes, int, bool] | None = None,
        manual_ack: bool = False,
        keepalive_s: int = 60,
    ) -> None:
        """Describe the connection; nothing is sent before `connect()`."""
        self.messages: list[Received] = []
        self.session_present = False
        self.disconnected = asyncio.Event()
        self._host, self._port, self._keepalive_s = host, port, keepalive_s
        self._clean_start, self._session_expiry_s = clean_start, session_expiry_s
        self._unread: list[Received] = []
        self._waiters: set[asyncio.Future[None]] = set()
        self._acks: dict[int, asyncio.Future[list[int]]] = {}
        self._connack: asyncio.Future[None] | None = None
        self._misc: asyncio.Task[None] | None = None
        self.protocol = MQTTProtocolVersion(protocol)
        self.paho = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=clean_start if protocol != MQTTProtocolVersion.MQTTv5 else None,
            protocol=self.protocol,
            transport="websockets" if transport == "websockets" else "tcp",
            reconnect_on_failure=False,
            manual_ack=manual_ack,
        )
        self.paho.suppress_exceptions = False
        if username is not None:
            self.paho.username_pw_set(username, password)
        if ca_file is not None:
            self.paho.tls_set_context(ssl.create_default_context(cafile=str(ca_file)))
        if will is not None:
            self.paho.will_set(*will)
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_message = self._on_message
        self.paho.on_subscribe = self._on_ack_list
        self.paho.on_unsubscribe = self._on_ack_list
        self.paho.on_publish = self._on_ack
        self.paho.on_socket_open = self._on_socket_open
        self.paho.on_socket_close = self._on_socket_close
        self.paho.on_socket_register_write = self._on_register_write
        self.paho.on_socket_unregister_write = self._on_unregister_write

    async def connect(self) -> None:
        """Connect and wait for CONNACK; raise `ConnectionRefused` when the broker says no."""
        self._connack = asyncio.get_running_loop().create_future()
        self.disconnected.clear()
        if self.protocol == MQTTProtocolVersion.MQTTv5:
            properties = _properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = self._session_expiry_s
            self.paho.connect(
                self._host,
                self._port,
                self._keepalive_s,
                clean_start=self._clean_start,
                properties=properties,
            )
        else:
            self.paho.connect(self._host, self._port, self._keepalive_s)
        async with asyncio.timeout(_ACK_TIMEOUT_S):
            await self._connack
        self._misc = asyncio.create_task(self._keep_alive(), name="mqtt keep-alive")

    async def disconnect(self) -> None:
        """Say DISCONNECT (no will) and wait until the socket is closed."""
        if self.paho.is_connected():
            self.paho.disconnect()
            async with asyncio.timeout(_ACK_TIMEOUT_S):
                await self.disconnected.wait()
        await self._end_keep_alive()

    async def drop(self) -> None:
        """Close the socket without DISCONNECT: the broker sends the will."""
        sock = self.paho.socket()
        if sock is not None:
            with socket.socket(fileno=os.dup(sock.fileno())) as same:  # also reaches below TLS and WebSocket
                same.shutdown(socket.SHUT_RDWR)
            async with asyncio.timeout(_ACK_TIMEOUT_S):
                await self.disconnected.wait()
        await self._end_keep_alive()

    async def subscribe(
        self, *topic_filters: str, qos: int = 1, retain_handling: int = 0, as_published: bool = False
    ) -> list[int]:
        """Subscribe, wait for SUBACK and return its codes; a refusal (≥ 128) raises `PermissionError`.

        `Received.retain` is true for the stored copy delivered on subscribing, never for a live message; `as_published`
        (MQTT 5): also for a live one that was published retained.
        """
        if self.protocol == MQTTProtocolVersion.MQTTv5:
            options = SubscribeOptions(
                qos=qos, retainHandling=retain_handling, retainAsPublished=as_published
            )
            result, mid = self.paho.subscribe([(name, options) for name in topic_filters])
        else:
            result, mid = self.paho.subscribe([(name, qos) for name in topic_filters])
        codes = await self._acked(result, mid)
        if any(code >= 0x80 for code in codes):
            message = f"the broker refused {topic_filters}: {codes}"
            raise PermissionError(message)
        return codes

    async def unsubscribe(self, *topic_filters: str) -> None:
        """Unsubscribe and wait for UNSUBACK."""
        result, mid = self.paho.unsubscribe(list(topic_filters))
        await self._acked(result, mid)

    async def publish(
        self,
        topic: str,
        payload: str | bytes | dict[str, Any] | list[Any] | None = None,
        *,
        qos: int = 1,
        retain: bool = False,
        properties: dict[str, Any] | None = None,
    ) -> int:
        """Publish, at QoS 1 and 2 wait for the acknowledgement, and return its reason code (0 with 3.1.1).

        A dict or list is sent as JSON. `properties` by their Python names, MQTT 5 only.
        """
        if isinstance(payload, dict | list):
            payload = json.dumps(payload)
        wire = None
        if properties:
            wire = _properties(PacketTypes.PUBLISH)
            for name, value in properties.items():
                setattr(wire, name, value)
        info = self.paho.publish(topic, payload, qos=qos, retain=retain, properties=wire)
        if qos == 0:
            return 0
        codes = await self._acked(info.rc, info.mid)
        return codes[0] if codes else 0

    async def next(
        self, topic_filter: str = "#", timeout: float = 20.0, where: Callable[[Received], bool] | None = None
    ) -> Received:
        """Take the oldest message not yet taken that matches; wait up to `timeout` seconds for it."""

        try:
            async with asyncio.timeout(timeout):
                while True:
                    for message in self._unread:
                        if topic_matches_sub(topic_filter, message.topic) and (
                            where is None or where(message)
                        ):
                            self._unread.remove(message)
                            return message
                    await self._arrival()
        except TimeoutError:
            seen = "\n".join(f"  {m.topic} {m.payload[:200]!r}" for m in self.messages[-20:]) or "  nothing"
            text = f"no (further) message on {topic_filter} within {timeout:g} s; the last ones were:\n{seen}"
            raise TimeoutError(text) from None

    def forget(self, topic_filter: str = "#") -> None:
        """Treat what matches and has come so far as taken: `next()` waits for what comes from now on."""
        self._unread = [m for m in self._unread if not topic_matches_sub(topic_filter, m.topic)]

    def received(self, topic_filter: str = "#") -> list[Received]:
        """Return every recorded message that matches, taken or not."""
        return [m for m in self.messages if topic_matches_sub(topic_filter, m.topic)]

    async def __aenter__(self) -> Self:
        """Connect."""
        await self.connect()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Disconnect."""
        await self.disconnect()

    async def _acked(self, result: MQTTErrorCode, mid: int | None) -> list[int]:
        if result != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            message = f"not sent: {result!r}"
            raise ConnectionError(message)
        future = self._acks.setdefault(mid, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(_ACK_TIMEOUT_S):
                return await future
        finally:
            self._acks.pop(mid, None)

    async def _keep_alive(self) -> None:
        while self.paho.loop_misc() == MQTTErrorCode.MQTT_ERR_SUCCESS:
            await asyncio.sleep(1.0)

    async def _end_keep_alive(self) -> None:
        if self._misc is not None:
            self._misc.cancel()
            await asyncio.gather(self._misc, return_exceptions=True)
            self._misc = None

    async def _arrival(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _on_connect(
        self,
        _client: Client,
        _userdata: None,
        flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self.session_present = flags.session_present
        if self._connack is None or self._connack.done():
            return
        if reason.is_failure:
            self._connack.set_exception(ConnectionRefused(str(reason)))
        else:
            self._connack.set_result(None)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: None,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self.disconnected.set()
        if self._connack is not None and not self._connack.done():
            self._connack.set_exception(ConnectionRefused(str(reason)))
        for future in self._acks.values():
            if not future.done():
                future.set_exception(ConnectionError(f"disconnected before the acknowledgement: {reason}"))

    def _on_message(self, _client: Client, _userdata: None, message: MQTTMessage) -> None:
        properties = dict(vars(message.properties)) if message.properties is not None else {}
        for internal in ("packetType", "types", "names", "properties"):
            properties.pop(internal, None)
        received = Received(message.topic, bytes(message.payload), message.qos, message.retain, properties)
        self.messages.append(received)
        self._unread.append(received)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _on_ack_list(
        self,
        _client: Client,
        _userdata: None,
        mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        self._resolve(mid, [reason.value for reason in reasons])

    def _on_ack(
        self, _client: Client, _userdata: None, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._resolve(mid, [reason.value])

    def _resolve(self, mid: int, codes: list[int]) -> None:
        future = self._acks.get(mid)
        if future is not None and not future.done():
            future.set_result(codes)

    def _on_socket_open(self, _client: Client, _userdata: None, sock: SocketLike) -> None:
        asyncio.get_running_loop().add_reader(sock, self._read)

    def _on_socket_close(self, _client: Client, _userdata: None, sock: SocketLike) -> None:
        asyncio.get_running_loop().remove_reader(sock)
        asyncio.get_running_loop().remove_writer(sock)

    def _on_register_write(self, _client: Client, _userdata: None, sock: SocketLike) -> None:
        asyncio.get_running_loop().add_writer(sock, self.paho.loop_write)

    def _on_unregister_write(self, _client: Client, _userdata: None, sock: SocketLike) -> None:
        asyncio.get_running_loop().remove_writer(sock)

    def _read(self) -> None:
        self.paho.loop_read()
        sock = self.paho.socket()
        while isinstance(sock, ssl.SSLSocket) and sock.pending():  # decrypted bytes that select() cannot see
            self.paho.loop_read()
            sock = self.paho.socket()

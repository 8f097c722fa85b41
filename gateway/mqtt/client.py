"""One connection to the broker, from its opening to its end: only here is the MQTT library known."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.mqtt.arrivals import Message, Unacknowledged
from gateway.mqtt.broker import (
    OPEN_TIMEOUT_S,
    BrokerAddress,
    MqttConfig,
    Version,
    opening_failed,
    tls_context,
)

if TYPE_CHECKING:
    from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage, SocketLike
    from paho.mqtt.reasoncodes import ReasonCode

_log = structlog.get_logger(__name__)

ANSWER_TIMEOUT_S = 10.0
"""For CONNACK and SUBACK."""
FAREWELL_TIMEOUT_S = 3.0
MARKER_REPEAT_S = 2.0
"""A broker whose queue for us is full drops the newest message, which may be the marker: it is sent again."""
MARKER_WARNING_S = 30.0
OUTGOING_MESSAGES_MAX = 50_000
OUTGOING_BYTES_MAX = 32 * 1024 * 1024
"""What may wait for a socket that takes nothing; beyond it messages are dropped and counted."""
INFLIGHT_MAX = 20
"""Our own unacknowledged messages; mosquitto's default limit, above which it closes the connection."""

_UNSUPPORTED_PROTOCOL_VERSION = 0x84
_BAD_CREDENTIALS = (0x86, 0x87)
_KEEP_ALIVE_TIMEOUT = 0x8D
_SESSION_TAKEN_OVER = 0x8E

_properties: Callable[[int], Any] = Properties  # its attributes are set by name, which mypy cannot follow


class Connection:
    """One TCP connection from its opening to its end; it never comes back."""

    def __init__(
        self,
        config: MqttConfig,
        *,
        number: int,
        version: Version,
        inflight: int,
        on_message: Callable[[Message], None],
        on_connected: Callable[[], None],
    ) -> None:
        """`inflight`: how many of our own messages may be unacknowledged."""
        self.number = number
        self.up = False
        """Subscriptions stand, and nothing has ended it yet."""
        self.was_up = False
        self.refused_version = False
        self.hung_up = False
        """The broker closed the connection instead of answering CONNECT."""
        self.allows_inflight = inflight
        self._config = config
        self._address = BrokerAddress(config.url)
        self._on_arrival = on_message
        self._on_connected = on_connected
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[str] = self._loop.create_future()
        self._answered: asyncio.Future[None] = self._loop.create_future()
        """CONNACK said yes."""
        self._subscribed: asyncio.Future[None] = self._loop.create_future()
        self._reason: str | None = None
        self._unacknowledged = Unacknowledged()
        self._marker: bytes | None = secrets.token_hex(8).encode()
        """What the marker says; None once it came back."""
        self._marker_sent_at = self._marked_since = 0.0
        self._unsent_bytes = 0
        self._farewell: set[int] = set()
        self._said: asyncio.Future[None] = self._loop.create_future()
        self._fd = -1
        self._writing = False
        self._misc: asyncio.TimerHandle | None = None
        self._version = version
        self._paho = self._new_paho(version, inflight)

    # -------------------------------------------------------------- its life

    async def live(self) -> str:
        """Open, subscribe, and stay until the end; return why it ended."""
        opening = self._loop.run_in_executor(None, self._open)
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._opened_in_vain)
            raise
        except (OSError, ssl.SSLError, ValueError) as error:
            return opening_failed(error)
        self._watch()
        try:
            await self._milestone(self._answered)
            self._subscribe()
            await self._milestone(self._subscribed)
        except TimeoutError:
            return f"the broker accepted the connection but did not answer within {ANSWER_TIMEOUT_S:g} s"
        if not self._closed.done():
            self.up = self.was_up = True
            self._marked_since = time.monotonic()
            self._send_marker()
            self._on_connected()
        return await self._closed

    def _opened_in_vain(self, opening: asyncio.Future[None]) -> None:
        opening.exception()  # nobody waits for it any more
        self._close_socket()

    async def leave(self, farewell: Sequence[tuple[str, bytes, int, bool]]) -> None:
        """Say the last words, wait until the broker has them, and disconnect; it takes seconds at most."""
        self._reason = "the gateway left"
        try:
            async with asyncio.timeout(FAREWELL_TIMEOUT_S):
                if self.up:
                    self._paho.on_publish = self._on_published
                    for topic, payload, qos, retain in farewell:
                        mid = self.publish(topic, payload, qos, retain)
                        if mid is not None:
                            self._farewell.add(mid)
                    if self._farewell:
                        await asyncio.wait((self._said, self._closed), return_when=asyncio.FIRST_COMPLETED)
                self._paho.disconnect()
                await asyncio.wait((self._closed,))
        except TimeoutError:
            self._end("the broker took no farewell")
        self.abort()

    def abort(self) -> None:
        """Drop the connection without DISCONNECT, if it still stands: the broker sends the will."""
        self.up = False
        if self._misc is not None:
            self._misc.cancel()
        self._unwatch()
        self._close_socket()
        self._end("the connection was given up")

    def _open(self) -> None:
        """Runs in a thread: name resolution, TCP, TLS and WebSocket handshakes all block."""
        address, config = self._address, self._config
        if address.encrypted:
            self._paho.tls_set_context(tls_context(config))
        if self._version is Version.V5:
            properties = _properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = config.session_expiry_s
            properties.ReceiveMaximum = config.receive_maximum
            self._paho.connect(
                address.host, address.port, config.keepalive_s, clean_start=False, properties=properties
            )
        else:
            self._paho.connect(address.host, address.port, config.keepalive_s)

    async def _milestone(self, milestone: asyncio.Future[None]) -> None:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await asyncio.wait((milestone, self._closed), return_when=asyncio.FIRST_COMPLETED)
        if self._closed.done():
            self._closed.result()  # raises what a callback raised

    def _end(self, reason: str) -> None:
        self.up = False
        if not self._closed.done():
            self._closed.set_result(self._reason or reason)

    def _fail(self, error: Exception) -> None:
        """Our own code raised: the session cannot go on as if nothing had happened."""
        self.up = False
        if not self._closed.done():
            self._closed.set_exception(error)

    # -------------------------------------------------------------- talking

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,
        expiry_s: int | None = None,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> int | None:
        """Return the packet's id, or None when too much is waiting already."""
        if self._unsent_bytes > OUTGOING_BYTES_MAX:
            return None
        properties = None
        if self._version is Version.V5 and (expiry_s, response_topic, correlation) != (None, None, None):
            properties = _publish_properties(expiry_s, response_topic, correlation)
        info = self._paho.publish(topic, payload, qos, retain, properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return None
        self._unsent_bytes += len(payload) + len(topic)
        return info.mid

    def acknowledge(self, message: Message) -> None:
        """PUBACK this message, and those behind it that waited for it, once all before it are done."""
        for mid in self._unacknowledged.settle(message):
            self._paho.ack(mid, 1)

    def _subscribe(self) -> None:
        if self._closed.done():
            return
        if self._version is Version.V5:
            filters: list[Any] = [
                (wanted.filter, SubscribeOptions(qos=wanted.qos, retainHandling=wanted.retain_handling))
                for wanted in self._config.subscriptions
            ]
            filters.append((self._config.marker_topic, SubscribeOptions(qos=1, retainHandling=2)))
        else:
            filters = [(wanted.filter, wanted.qos) for wanted in self._config.subscriptions]
            filters.append((self._config.marker_topic, 1))
        self._paho.subscribe(filters)

    def _send_marker(self) -> None:
        self._marker_sent_at = time.monotonic()
        if self._marker is not None:
            self._paho.publish(self._config.marker_topic, self._marker, 1)

    # -------------------------------------------------------------- the library's callbacks

    def _new_paho(self, version: Version, inflight: int) -> Client:
        address, config = self._address, self._config
        paho = _Paho(
            CallbackAPIVersion.VERSION2,
            client_id=config.client_id,
            clean_session=None if version is Version.V5 else False,
            protocol=MQTTProtocolVersion(version),
            transport="websockets" if address.websocket else "tcp",
            reconnect_on_failure=False,
            manual_ack=True,
        )
        paho.connect_timeout = OPEN_TIMEOUT_S
        paho.max_inflight_messages = inflight
        paho.max_queued_messages = OUTGOING_MESSAGES_MAX
        username = config.username if config.username is not None else address.username
        if username is not None:
            paho.username_pw_set(
                username, config.password if config.password is not None else address.password
            )
        if address.websocket:
            paho.ws_set_options(path=address.path)
        if config.will is not None:
            paho.will_set(*config.will)
        paho.on_plain = self._on_publish_packet
        paho.on_connect = self._on_connect
        paho.on_disconnect = self._on_disconnect
        paho.on_subscribe = self._on_subscribe
        paho.on_message = self._on_message
        paho.on_socket_register_write = self._on_register_write
        return paho

    def _on_message(self, _paho: Client, _userdata: None, arrived: MQTTMessage) -> None:
        properties = arrived.properties
        self._on_publish_packet(
            arrived.topic,
            bytes(arrived.payload),
            arrived.qos,
            arrived.retain,
            arrived.mid,
            getattr(properties, "ResponseTopic", None),
            getattr(properties, "CorrelationData", None),
        )

    def _on_publish_packet(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,
        mid: int,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> None:
        backlog = self._marker is not None
        message = Message(topic, payload, qos, retain, backlog, mid, self.number, response_topic, correlation)
        if qos:
            self._unacknowledged.add(message)
        if topic == self._config.marker_topic:
            self.acknowledge(message)
            if payload == self._marker:
                self._marker = None
                self._paho.unsubscribe(topic)  # a session outlives us: it must not gather old markers' topics
            return
        try:
            self._on_arrival(message)
        except Exception as error:  # noqa: BLE001  # whatever it is, `live()` raises it
            self._fail(error)

    def _on_connect(
        self, _paho: Client, _userdata: None, flags: ConnectFlags, reason: ReasonCode, *rest: object
    ) -> None:
        if reason.is_failure:
            self.refused_version = reason.value == _UNSUPPORTED_PROTOCOL_VERSION
            way_out = (
                ": check user, password and the broker's rights" if reason.value in _BAD_CREDENTIALS else ""
            )
            self._reason = f"the broker refuses the connection: {reason.getName()}{way_out}"
            return
        allowed = getattr(rest[0], "ReceiveMaximum", None)
        if allowed is not None and allowed < self.allows_inflight:
            self.allows_inflight = allowed
            self._reason = f"the broker takes only {allowed} unacknowledged messages at a time"
            self._paho.disconnect()
            return
        _log.info(
            "Connected to the MQTT broker.",
            broker=self._address.shown,
            protocol=self._version.shown,
            session="kept" if flags.session_present else "new",
        )
        if not self._answered.done():
            self._answered.set_result(None)

    def _on_subscribe(
        self, _paho: Client, _userdata: None, _mid: int, reasons: list[ReasonCode], *_: object
    ) -> None:
        wanted = (*(s.filter for s in self._config.subscriptions), self._config.marker_topic)
        refused = [name for name, reason in zip(wanted, reasons, strict=False) if reason.is_failure]
        if refused:
            _log.error(
                "The MQTT broker refuses subscriptions: what is said there stays unheard. Grant the rights.",
                filters=refused,
            )
        if not self._subscribed.done():
            self._subscribed.set_result(None)

    def _on_disconnect(
        self, _paho: Client, _userdata: None, flags: DisconnectFlags, reason: ReasonCode, *_: object
    ) -> None:
        if reason.value == _SESSION_TAKEN_OVER:
            why = f'another client came with our client id "{self._config.client_id}": each needs its own'
        elif flags.is_disconnect_packet_from_server:
            why = f"the broker closed the connection: {reason.getName()}"
        elif reason.value == _KEEP_ALIVE_TIMEOUT:
            why = f"the broker was silent for {self._config.keepalive_s} s"
        elif self._answered.done():
            why = (
                "the connection was lost without a word: the network, a restart of the broker, or another "
                f'client with our client id "{self._config.client_id}"'
            )
        else:
            self.hung_up = True
            why = "the broker closed the connection without an answer"
        self._end(why)

    def _on_published(self, _paho: Client, _userdata: None, mid: int, *_: object) -> None:
        self._farewell.discard(mid)
        if not self._farewell and not self._said.done():
            self._said.set_result(None)

    # -------------------------------------------------------------- the socket

    def _watch(self) -> None:
        sock: SocketLike | None = self._paho.socket()
        if sock is None:
            self._end("the connection was lost at once")
            return
        self._fd = sock.fileno()
        with socket.socket(fileno=os.dup(self._fd)) as same:  # also reaches below TLS and WebSocket
            same.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )  # else an off may wait 40 ms for an ACK
        self._loop.add_reader(self._fd, self._read)
        self._write()
        self._look_after()

    def _unwatch(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._fd = -1

    def _close_socket(self) -> None:
        sock = self._paho.socket()
        if sock is not None:
            sock.close()

    def _read(self) -> None:
        self._paho.loop_read()
        sock = self._paho.socket()
        while (pending := getattr(sock, "pending", None)) and pending():  # decrypted, so unseen by select()
            self._paho.loop_read()
            sock = self._paho.socket()
        if sock is None:
            self._unwatch()

    def _on_register_write(self, _paho: Client, _userdata: None, _sock: SocketLike) -> None:
        if self._fd >= 0:  # else it is still being opened, in its thread
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        """Write all that waits; ask to be called again only when the socket takes no more."""
        if self._fd < 0:
            return
        self._paho.loop_write()
        waiting = self._paho.want_write()
        if not waiting:
            self._unsent_bytes = 0
        if self._paho.socket() is None:
            self._unwatch()
        elif waiting != self._writing:
            self._writing = waiting
            if waiting:
                self._loop.add_writer(self._fd, self._write)
            else:
                self._loop.remove_writer(self._fd)

    def _look_after(self) -> None:
        """Once a second: keep alive, and repeat a marker that does not come back."""
        self._paho.loop_misc()
        if self._closed.done():
            return
        self._misc = self._loop.call_later(1.0, self._look_after)
        now = time.monotonic()
        if self.up and self._marker is not None and now - self._marker_sent_at >= MARKER_REPEAT_S:
            if now - self._marked_since >= MARKER_WARNING_S:
                self._marked_since = now
                _log.warning(
                    "The broker does not return our marker: gestures without a time count as late until "
                    "it does. Grant the right to write and read this topic.",
                    topic=self._config.marker_topic,
                )
            self._send_marker()


class _Paho(Client):
    """The library, but for the PUBLISH without properties that nearly every message is.

    For each message of MQTT 5 the library builds a table of all properties that there are, which is half of
    what receiving costs. Should its insides change, its own way, through `on_message`, is as good.
    """

    on_plain: Callable[[str, bytes, int, bool, int], None]

    def _handle_publish(self) -> MQTTErrorCode:
        command, packet = self._in_packet["command"], self._in_packet["packet"]
        qos, mid = command >> 1 & 3, 0
        try:
            at = 2 + (packet[0] << 8 | packet[1])
            topic = packet[2:at].decode()
            if qos:
                mid = packet[at] << 8 | packet[at + 1]
                at += 2
            if self.protocol == MQTTProtocolVersion.MQTTv5:
                if packet[at]:
                    return super()._handle_publish()
                at += 1
        except (IndexError, UnicodeDecodeError):
            return super()._handle_publish()
        if qos > 1 or not topic:
            return super()._handle_publish()
        self.on_plain(topic, bytes(packet[at:]), qos, bool(command & 1), mid)
        return MQTTErrorCode.MQTT_ERR_SUCCESS


def _publish_properties(expiry_s: int | None, response_topic: str | None, correlation: bytes | None) -> Any:
    properties = _properties(PacketTypes.PUBLISH)
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    if response_topic is not None:
        properties.ResponseTopic = response_topic
    if correlation is not None:
        properties.CorrelationData = correlation
    return properties

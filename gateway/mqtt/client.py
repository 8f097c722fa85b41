"""The MQTT library on the event loop: packets in, packets out, nothing decided; only here is it known."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.mqtt.backlog import Backlog, Waiting
from gateway.mqtt.broker import OPEN_TIMEOUT_S, BrokerAddress, MqttConfig, Version, tls_context
from gateway.mqtt.topics import Subscription

if TYPE_CHECKING:
    from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage, SocketLike
    from paho.mqtt.reasoncodes import ReasonCode

OUTGOING_BYTES_MAX = 32 * 1024 * 1024
"""What may wait for a socket that takes nothing; beyond it messages are refused."""

_properties: Callable[[int], Any] = Properties  # its attributes are set by name, which mypy cannot follow


class Hooks(Struct, frozen=True):
    """What a wire calls, on the event loop."""

    answered: Callable[[ReasonWord, bool, int | None], None]
    """CONNACK: its reason, whether the session was kept, how many unacknowledged messages are allowed."""
    subscribed: Callable[[list[bool]], None]
    """SUBACK: for each filter, whether it was granted."""
    arrived: Callable[..., None]
    """PUBLISH: topic, payload, QoS, retain, packet id; response topic and correlation where it had them."""
    drained: Callable[[], None]
    """The broker has taken all that was to be said; only once `report_drained` was called."""
    closed: Callable[[ReasonWord, bool], None]
    """The end: its reason, and whether the broker said it."""


class ReasonWord(Struct, frozen=True):
    """A reason code of MQTT."""

    code: int
    name: str


class Wire:
    """One TCP connection; it never comes back."""

    def __init__(self, config: MqttConfig, version: Version, inflight: int, hooks: Hooks) -> None:
        """`inflight`: how many of our own messages may be unacknowledged."""
        self._config = config
        self._address = BrokerAddress(config.url)
        self._version = version
        self._hooks = hooks
        self._loop = asyncio.get_running_loop()
        self._unsent_bytes = 0
        self._inflight = inflight
        self._unacknowledged = 0
        self._backlog = Backlog()
        self._reports_drained = False
        self._fd = -1
        self._writing = False
        self._paho = self._new_paho(inflight)

    def open(self) -> None:
        """Name resolution and handshakes of TCP, TLS and WebSocket: all block, so call it in a thread.

        Raises OSError and ValueError.
        """
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

    def watch(self) -> bool:
        """Begin to read and write on the event loop; False when the connection is gone already."""
        sock: SocketLike | None = self._paho.socket()
        if sock is None:
            return False
        self._fd = sock.fileno()
        with socket.socket(fileno=os.dup(self._fd)) as same:  # also reaches below TLS and WebSocket
            # Otherwise an off may wait 40 ms for an acknowledgement of what was said before.
            same.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.add_reader(self._fd, self._read)
        self._write()
        return True

    def keep_alive(self) -> None:
        """Ping, or end the connection to a silent broker; call it once a second."""
        self._paho.loop_misc()

    def disconnect(self) -> None:
        """Say DISCONNECT: the broker keeps the will to itself."""
        self._paho.disconnect()

    def abort(self) -> None:
        """Close the socket without a word, if it is open: the broker sends the will."""
        self._backlog.clear()
        self._unwatch()
        sock = self._paho.socket()
        if sock is not None:
            sock.close()

    # -------------------------------------------------------------- talking

    def publish(self, message: Waiting, *, register: bool = False, urgent: bool = False) -> bool:
        """Send it, or have it wait while too much is unacknowledged; False when too much waits already."""
        if message.qos and (self._unacknowledged >= self._inflight or self._backlog):
            return self._backlog.add(message, self._loop.time(), register=register, urgent=urgent)
        return self._unsent_bytes <= OUTGOING_BYTES_MAX and self._send(message)

    def _send(self, message: Waiting) -> bool:
        topic, payload, qos, retain, expiry_s, response_topic, correlation, _ = message
        properties = None
        if self._version is Version.V5 and (expiry_s, response_topic, correlation) != (None, None, None):
            properties = _publish_properties(expiry_s, response_topic, correlation)
        info = self._paho.publish(topic, payload, qos, retain, properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        self._unacknowledged += qos
        self._unsent_bytes += len(payload) + len(topic)
        return True

    def _acknowledged(self) -> None:
        """PUBACK: there is room for another one."""
        self._unacknowledged -= 1
        waiting = self._backlog.take(self._loop.time())
        if waiting is not None:
            self._send(waiting)
        elif self._reports_drained and self._unacknowledged == 0:
            self._hooks.drained()

    def acknowledge(self, mid: int) -> None:
        """PUBACK."""
        self._paho.ack(mid, 1)

    def subscribe(self, wanted: tuple[Subscription, ...]) -> None:
        """One SUBSCRIBE for all."""
        filters: list[Any]
        if self._version is Version.V5:
            filters = [
                (each.filter, SubscribeOptions(qos=each.qos, retainHandling=each.retain_handling))
                for each in wanted
            ]
        else:
            filters = [(each.filter, each.qos) for each in wanted]
        self._paho.subscribe(filters)

    def unsubscribe(self, topic_filter: str) -> None:
        """Nobody waits for the answer."""
        self._paho.unsubscribe(topic_filter)

    def report_drained(self) -> None:
        """Say when the broker has taken everything."""
        self._reports_drained = True
        if self._unacknowledged == 0:
            self._hooks.drained()

    # -------------------------------------------------------------- the library's callbacks

    def _new_paho(self, inflight: int) -> Client:
        address, config = self._address, self._config
        paho = _Paho(
            CallbackAPIVersion.VERSION2,
            client_id=config.client_id,
            clean_session=None if self._version is Version.V5 else False,
            protocol=MQTTProtocolVersion(self._version),
            transport="websockets" if address.websocket else "tcp",
            reconnect_on_failure=False,
            manual_ack=True,
        )
        paho.connect_timeout = OPEN_TIMEOUT_S
        paho.max_inflight_messages = inflight
        username = config.username if config.username is not None else address.username
        if username is not None:
            paho.username_pw_set(
                username, config.password if config.password is not None else address.password
            )
        if address.websocket:
            paho.ws_set_options(path=address.path)
        if config.will is not None:
            paho.will_set(*config.will)
        paho.on_plain = self._hooks.arrived
        paho.on_acknowledged = self._acknowledged
        paho.on_connect = self._on_connect
        paho.on_disconnect = self._on_disconnect
        paho.on_subscribe = self._on_subscribe
        paho.on_message = self._on_message
        paho.on_socket_close = self._on_socket_close
        paho.on_socket_register_write = self._on_register_write
        return paho

    def _on_message(self, _paho: Client, _userdata: None, arrived: MQTTMessage) -> None:
        properties = arrived.properties
        self._hooks.arrived(
            arrived.topic,
            bytes(arrived.payload),
            arrived.qos,
            arrived.retain,
            arrived.mid,
            getattr(properties, "ResponseTopic", None),
            getattr(properties, "CorrelationData", None),
        )

    def _on_connect(
        self,
        _paho: Client,
        _userdata: None,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        allowed = getattr(properties, "ReceiveMaximum", None)
        self._hooks.answered(_word(reason), flags.session_present, allowed)

    def _on_subscribe(
        self, _paho: Client, _userdata: None, _mid: int, reasons: list[ReasonCode], *_: object
    ) -> None:
        self._hooks.subscribed([not reason.is_failure for reason in reasons])

    def _on_disconnect(
        self, _paho: Client, _userdata: None, flags: DisconnectFlags, reason: ReasonCode, *_: object
    ) -> None:
        self._hooks.closed(_word(reason), flags.is_disconnect_packet_from_server)

    # -------------------------------------------------------------- the socket

    def _on_socket_close(self, *_: object) -> None:
        self._unwatch()  # before its number can belong to another socket

    def _unwatch(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._fd = -1

    def _read(self) -> None:
        self._paho.loop_read()
        sock = self._paho.socket()
        while (pending := getattr(sock, "pending", None)) and pending():  # decrypted, so unseen by select()
            self._paho.loop_read()
            sock = self._paho.socket()

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
        if self._fd >= 0 and waiting != self._writing:
            self._writing = waiting
            if waiting:
                self._loop.add_writer(self._fd, self._write)
            else:
                self._loop.remove_writer(self._fd)


class _Paho(Client):
    """The library, but for the PUBLISH without properties that nearly every message is.

    For each message of MQTT 5 the library builds a table of all properties that there are, which is half of
    what receiving costs. Should its insides change, its own way, through `on_message`, is as good.
    """

    on_plain: Callable[[str, bytes, int, bool, int], None]
    on_acknowledged: Callable[[], None]

    def _handle_pubackcomp(self, cmd: Any) -> MQTTErrorCode:
        """Also of a message that the broker refused: it is not in flight any more."""
        known = len(self._out_messages)
        code = super()._handle_pubackcomp(cmd)
        if len(self._out_messages) < known:
            self.on_acknowledged()
        return code

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


def _word(reason: ReasonCode) -> ReasonWord:
    return ReasonWord(reason.value, reason.getName())

"""paho on asyncio as the gateway runs it, and nothing more: no thread, no reconnect, acknowledged at once."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

KEEPALIVE_S = 60

OnMessage = Callable[[str, bytes, bool], None]
"""topic, payload, whether it was retained."""


class MqttEdge:
    """One connection. `on_message` is called in the event loop for each PUBLISH, in order."""

    def __init__(self, client_id: str, on_message: OnMessage, *, protocol: str = "5") -> None:
        self._loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._subscribed: dict[int, asyncio.Future[None]] = {}
        self._misc: asyncio.Task[None] | None = None
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol={"5": MQTTv5, "3.1.1": MQTTv311}[protocol],
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(0)
        client.max_queued_messages_set(0)
        client.on_socket_open = self._opened
        client.on_socket_close = self._closed
        client.on_socket_register_write = lambda _client, _userdata, sock: self._loop.add_writer(
            sock, client.loop_write
        )
        client.on_socket_unregister_write = self._written
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._received
        self._on_message = on_message
        self._client = client

    async def connect(self, port: int, host: str = "127.0.0.1", timeout_s: float = 10.0) -> None:
        """ConnectionError when the broker refuses, TimeoutError when it is silent."""
        self._client.connect(host, port, keepalive=KEEPALIVE_S)
        self._misc = asyncio.create_task(self._keep_alive())
        async with asyncio.timeout(timeout_s):
            await self._connected

    async def subscribe(self, topic: str, qos: int, timeout_s: float = 10.0) -> None:
        """Returns when the broker has granted it."""
        _result, message_id = self._client.subscribe(topic, qos)
        if message_id is None:
            raise ConnectionError(f"not connected, cannot subscribe to {topic}")
        granted = self._subscribed[message_id] = self._loop.create_future()
        async with asyncio.timeout(timeout_s):
            await granted

    def publish(self, topic: str, payload: str | bytes, qos: int = 0, *, retain: bool = False) -> None:
        """Hand a message to the socket; what it does not take at once follows when it can."""
        self._client.publish(topic, payload, qos, retain)

    async def close(self) -> None:
        self._client.disconnect()
        if self._misc is not None:
            self._misc.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._misc

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._client.loop_misc()

    def _opened(self, client: Client, _userdata: Any, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.add_reader(sock, client.loop_read)

    def _closed(self, _client: Client, _userdata: Any, sock: Any) -> None:
        self._loop.remove_reader(sock)

    def _written(self, _client: Client, _userdata: Any, sock: Any) -> None:
        self._loop.remove_writer(sock)

    def _received(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self._on_message(message.topic, bytes(message.payload), message.retain)

    def _on_connect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._connected.set_exception(ConnectionError(f"the broker refused: {reason}"))
        else:
            self._connected.set_result(None)

    def _on_subscribe(
        self, _client: Any, _userdata: Any, message_id: int, reasons: Any, _properties: Any
    ) -> None:
        granted = self._subscribed.pop(message_id)
        if any(reason.is_failure for reason in reasons):
            granted.set_exception(ConnectionError(f"the broker refused a subscription: {reasons}"))
        else:
            granted.set_result(None)

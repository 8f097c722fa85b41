"""One MQTT session for the whole gateway: for ever connected, and never saying what is stale."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Sequence

import structlog
from msgspec.structs import replace

from gateway.mqtt.arrivals import Message
from gateway.mqtt.backlog import Waiting
from gateway.mqtt.broker import BrokerAddress, MqttConfig, Version
from gateway.mqtt.connection import INFLIGHT_MAX, Connection
from gateway.mqtt.topics import Subscription

_log = structlog.get_logger(__name__)

STABLE_S = 30.0
"""A connection that lasted this long was a good one: the back-off begins anew."""


class MqttClient:
    """The session. All methods and callbacks belong to the event loop's thread."""

    def __init__(
        self,
        config: MqttConfig,
        *,
        on_message: Callable[[Message], None],
        on_connected: Callable[[], None],
        on_disconnected: Callable[[str], None],
    ) -> None:
        """`on_connected`: the subscriptions stand; say all that holds. ValueError: a bad URL."""
        self.config = config
        self.address = BrokerAddress(config.url)
        self.dropped = 0
        """Messages that could not be sent: no connection, or too much waiting."""
        self._on_message = on_message
        self._on_connected = on_connected
        self._on_disconnected = on_disconnected
        self._version = Version.V311 if config.protocol == "3.1.1" else Version.V5
        self._inflight = INFLIGHT_MAX
        self._connections = 0
        self._connection: Connection | None = None
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()

    @property
    def connected(self) -> bool:
        """Whether messages can be published now."""
        return self._connection is not None and self._connection.up

    @property
    def protocol(self) -> str:
        """The version in use, or to be tried next."""
        return self._version.shown

    async def run(self) -> None:
        """Connect, and reconnect for ever, until `stop()`; raises what a callback raised."""
        self._ended.clear()
        failures = 0
        try:
            while not self._stopping.is_set():
                self._connections += 1
                connection = Connection(
                    self.config,
                    number=self._connections,
                    version=self._version,
                    inflight=self._inflight,
                    on_message=self._on_message,
                    on_connected=self._on_connected,
                )
                self._connection = connection
                began = time.monotonic()
                try:
                    reason = await connection.live()
                finally:
                    connection.abort()
                    self._connection = None
                if connection.was_up:
                    self._on_disconnected(reason)
                if self._stopping.is_set() or self._adapts(connection):
                    continue
                lasted = connection.was_up and time.monotonic() - began >= STABLE_S
                failures = 1 if lasted else failures + 1
                await self._pause(reason, failures)
        finally:
            self._ended.set()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        expiry_s: int | None = None,
        response_topic: str | None = None,
        correlation: bytes | None = None,
        register: bool = False,
        urgent: bool = False,
    ) -> bool:
        """Hand a message to the broker without waiting; False when it was dropped.

        While the broker is slow, what is `urgent` goes first, and a `register` takes the place of an earlier one.

        Nothing is kept for a later connection: `on_connected` is the time to say all that holds. Expiry,
        response topic and correlation are left out with MQTT 3.1.1, which has none.
        """
        connection = self._connection
        if connection is None or not connection.up:
            self.dropped += 1
            return False
        waiting = Waiting(topic, payload, qos, retain, expiry_s, response_topic, correlation)
        sent = connection.publish(waiting, register=register, urgent=urgent)
        if not sent:
            self.dropped += 1
        return sent

    def acknowledge(self, message: Message) -> None:
        """Let go of a message, in any order: the broker hears of it in the order of arrival.

        Without effect on what came by an earlier connection: the broker sends that again.
        """
        connection = self._connection
        if message.qos and connection is not None and message.connection == connection.number:
            connection.acknowledge(message)

    def subscribe(self, more: Sequence[Subscription]) -> None:
        """From the next connection on, hear these too."""
        self.config = replace(self.config, subscriptions=(*self.config.subscriptions, *more))

    def exchange(self, former: Sequence[Subscription], now: Sequence[Subscription]) -> None:
        """Hear these instead of those: what is new at once, where there is a connection."""
        known = set(self.config.subscriptions)
        replaced = {*former, *now}
        left = [one for one in self.config.subscriptions if one not in replaced]
        self.config = replace(self.config, subscriptions=(*now, *left))
        if self._connection is not None and self._connection.up:
            self._connection.listen([one for one in now if one not in known])

    def unsubscribe(self, topic: str) -> None:
        """Hear no more of a topic, now and later: a session remembers those of an earlier configuration too."""
        if any(each.filter == topic for each in self.config.subscriptions):
            left = tuple(each for each in self.config.subscriptions if each.filter != topic)
            self.config = replace(self.config, subscriptions=left)
        if self._connection is not None and self._connection.up:
            self._connection.unsubscribe(topic)

    async def stop(self, farewell: Sequence[tuple[str, bytes, int, bool]] = ()) -> None:
        """Say farewell (topic, payload, QoS, retain), leave without a will, and let `run()` return."""
        self._stopping.set()
        if self._connection is not None:
            await self._connection.leave(farewell)
        await self._ended.wait()

    async def _pause(self, reason: str, failures: int) -> None:
        longest_s = min(self.config.backoff_max_s, self.config.backoff_min_s * 2.0 ** min(failures - 1, 20))
        delay_s = longest_s * (0.5 + secrets.randbelow(501) / 1000)
        _log.warning(
            "There is no connection to the MQTT broker.",
            broker=self.address.shown,
            reason=reason,
            next_attempt_in_s=round(delay_s, 1),
        )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay_s)

    def _adapts(self, connection: Connection) -> bool:
        """Change what the broker does not take, where that is ours to change; True: try again at once."""
        if connection.allows_inflight < self._inflight:
            self._inflight = connection.allows_inflight
            return True
        if self.config.protocol != "auto":
            return False
        if connection.refused_version:
            self._version = self._version.other
            _log.info("The MQTT broker refuses this protocol version.", next_attempt=self.protocol)
            return self._version == Version.V311
        if connection.hung_up:  # an old broker's way of refusing MQTT 5, or a restart: so try them in turn
            self._version = self._version.other
        return False

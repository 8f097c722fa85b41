"""One connection to the broker, from its opening to its end: what it must reach, and why it ended."""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import structlog

from gateway.mqtt.arrivals import Message, Unacknowledged
from gateway.mqtt.backlog import Waiting
from gateway.mqtt.broker import BrokerAddress, MqttConfig, Version, opening_failed
from gateway.mqtt.client import Hooks, ReasonWord, Wire
from gateway.mqtt.topics import Subscription

_log = structlog.get_logger(__name__)

ANSWER_TIMEOUT_S = 10.0
"""For CONNACK and SUBACK."""
FAREWELL_TIMEOUT_S = 3.0
MARKER_REPEAT_S = 2.0
"""A broker whose queue for us is full drops the newest message, which may be the marker: it is sent again."""
MARKER_WARNING_S = 30.0
FILTERS_MAX = 500
"""Filters in one SUBSCRIBE; brokers limit the size of a packet."""
INFLIGHT_MAX = 20
"""Our own unacknowledged messages; mosquitto's default limit, above which it closes the connection."""

_FAILURE = 0x80
_UNSUPPORTED_PROTOCOL_VERSION = 0x84
_BAD_CREDENTIALS = (0x86, 0x87)
_KEEP_ALIVE_TIMEOUT = 0x8D
_SESSION_TAKEN_OVER = 0x8E


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
        self._version = version
        marker = Subscription(config.marker_topic, 1, 2)
        wanted = (*config.subscriptions, marker)
        self._wanted = deque(batched(wanted))
        """SUBSCRIBEs to be granted, the first of them under way."""
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
        self._said: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        hooks = Hooks(
            self._on_answer, self._on_subscribed, self._on_message, self._on_drained, self._on_closed
        )
        self._wire = Wire(config, version, inflight, hooks)

    # -------------------------------------------------------------- its life

    async def live(self) -> str:
        """Open, subscribe, and stay until the end; return why it ended."""
        opening = self._loop.run_in_executor(None, self._wire.open)
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._opened_in_vain)
            raise
        except (OSError, ssl.SSLError, ValueError) as error:
            return opening_failed(error)
        if self._closed.done():
            return self._closed.result()
        if not self._wire.watch():
            return "the connection was lost at once"
        self._look_after()
        try:
            await self._milestone(self._answered)
            if not self._closed.done():
                self._wire.subscribe(self._wanted[0])
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
        self._wire.abort()

    async def leave(self, farewell: Sequence[tuple[str, bytes, int, bool]]) -> None:
        """Say the last words, wait until the broker has them, and disconnect; it takes seconds at most."""
        self._reason = "the gateway left"
        try:
            async with asyncio.timeout(FAREWELL_TIMEOUT_S):
                if self.up:
                    await self._say(farewell)
                if self._answered.done():
                    self._wire.disconnect()
                    await asyncio.wait((self._closed,))
        except TimeoutError:
            self._end("the broker took no farewell")
        self.abort()

    def abort(self) -> None:
        """Drop the connection without DISCONNECT, if it still stands: the broker sends the will."""
        self.up = False
        if self._timer is not None:
            self._timer.cancel()
        self._wire.abort()
        self._end("the connection was given up")

    def publish(self, message: Waiting, *, register: bool = False, urgent: bool = False) -> bool:
        """Send a message, or have it wait; False when too much is waiting already."""
        return self._wire.publish(message, register=register, urgent=urgent)

    def acknowledge(self, message: Message) -> None:
        """PUBACK this message, and those behind it that waited for it, once all before it are done."""
        for mid in self._unacknowledged.settle(message):
            self._wire.acknowledge(mid)

    def listen(self, subscriptions: Sequence[Subscription]) -> None:
        """Subscribe to more."""
        idle = not self._wanted
        self._wanted.extend(batched(subscriptions))
        if idle and self._wanted:
            self._wire.subscribe(self._wanted[0])

    def unsubscribe(self, topic: str) -> None:
        """Nobody waits for the answer."""
        self._wire.unsubscribe(topic)

    async def _say(self, farewell: Sequence[tuple[str, bytes, int, bool]]) -> None:
        """Return when the broker has taken it all, or the connection is gone."""
        for topic, payload, qos, retain in farewell:
            self._wire.publish(Waiting(topic, payload, qos, retain, None, None, None))
        self._wire.report_drained()
        await asyncio.wait((self._said, self._closed), return_when=asyncio.FIRST_COMPLETED)

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

    def _look_after(self) -> None:
        """Once a second: keep alive, and repeat a marker that does not come back."""
        self._wire.keep_alive()
        if self._closed.done():
            return
        self._timer = self._loop.call_later(1.0, self._look_after)
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

    def _send_marker(self) -> None:
        self._marker_sent_at = time.monotonic()
        if self._marker is not None:
            marker = Waiting(self._config.marker_topic, self._marker, 1, False, None, None, None)
            self._wire.publish(marker, urgent=True)

    # -------------------------------------------------------------- what the wire says

    def _on_message(
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
                self._wire.unsubscribe(topic)  # a session outlives us: it must not gather old markers' topics
            return
        try:
            self._on_arrival(message)
        except Exception as error:  # noqa: BLE001  # whatever it is, `live()` raises it
            self._fail(error)

    def _on_answer(self, reason: ReasonWord, session_kept: bool, inflight: int | None) -> None:
        if reason.code >= _FAILURE:
            self.refused_version = reason.code == _UNSUPPORTED_PROTOCOL_VERSION
            self._reason = f"the broker refuses the connection: {reason.name}"
            if reason.code in _BAD_CREDENTIALS:
                self._reason += ": check user, password and the broker's rights"
        elif inflight is not None and inflight < self.allows_inflight:
            self.allows_inflight = inflight
            self._reason = f"the broker takes only {inflight} unacknowledged messages at a time"
            self._wire.disconnect()
        elif not self._answered.done():
            _log.info(
                "Connected to the MQTT broker.",
                broker=BrokerAddress(self._config.url).shown,
                protocol=self._version.shown,
                session="kept" if session_kept else "new",
            )
            self._answered.set_result(None)

    def _on_subscribed(self, granted: list[bool]) -> None:
        asked = self._wanted.popleft()
        refused = [each.filter for each, good in zip(asked, granted, strict=False) if not good]
        if refused:
            _log.error(
                "The MQTT broker refuses subscriptions: what is said there stays unheard. Grant the rights.",
                filters=refused,
            )
        if self._wanted and not self._closed.done():
            self._wire.subscribe(self._wanted[0])
        elif not self._subscribed.done():
            self._subscribed.set_result(None)

    def _on_drained(self) -> None:
        if not self._said.done():
            self._said.set_result(None)

    def _on_closed(self, reason: ReasonWord, told: bool) -> None:
        if reason.code == _SESSION_TAKEN_OVER:
            why = f'another client came with our client id "{self._config.client_id}": each needs its own'
        elif told:
            why = f"the broker closed the connection: {reason.name}"
        elif reason.code == _KEEP_ALIVE_TIMEOUT:
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


def batched(wanted: Sequence[Subscription]) -> Iterator[tuple[Subscription, ...]]:
    """The filters of one SUBSCRIBE each."""
    for start in range(0, len(wanted), FILTERS_MAX):
        yield tuple(wanted[start : start + FILTERS_MAX])

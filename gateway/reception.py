"""What arrives on MQTT is read once and goes to its station, or is refused: audibly, but not for every message."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import structlog

from gateway.candidates import Candidates
from gateway.mqtt import encoding
from gateway.mqtt.actions import BridgeAsked
from gateway.mqtt.decoded import GatewayHeard
from gateway.mqtt.encoding import ReplyTo
from gateway.mqtt.payloads import decode
from gateway.mqtt.topics import BRIDGE, ONCE
from gateway.station.effects import Respond
from gateway.station.events import ActionRequested, TokenPresented

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.counters import Counters
    from gateway.mqtt.arrivals import Message
    from gateway.mqtt.outlet import Outlet
    from gateway.mqtt.topics import Address, Topics
    from gateway.runner import Runner
    from gateway.station.events import Event

_log = structlog.get_logger("gateway")
_QUIET_S = 10.0
"""The same complaint about the same topic is not repeated within this."""
_MOST_COMPLAINTS = 100
"""More different complaints than these in that time are only counted."""


class Reception:
    """All that arrives, whoever it is for."""

    def __init__(
        self,
        topics: Topics,
        runners: Mapping[str, Runner],
        outlet: Outlet,
        counters: Counters,
        *,
        heard: Callable[[GatewayHeard], None],
        bridge_asked: Callable[[BridgeAsked], None],
        wall: Callable[[], float],
        strangers: Candidates | None = None,
    ) -> None:
        """`runners` by the station's name; it may still grow. `wall` tells the time."""
        self._strangers = strangers or Candidates()
        self._topics = topics
        self._runners = runners
        self._outlet = outlet
        self._counters = counters
        self._heard = heard
        self._bridge_asked = bridge_asked
        self._wall = wall
        self._complained: dict[str, float] = {}
        self._zones: dict[str, ZoneInfo] = {}

    def arrived(self, message: Message) -> None:
        """Take a message in; it is acknowledged here, or by the station that it goes to."""
        address = self._topics.parse(message.topic)
        if address is None:
            self._arrived_elsewhere(message)
            return
        self._counters.messages[address.channel] += 1
        runner = self._runners.get(address.station)
        if runner is None and address.station != BRIDGE:
            known = ", ".join(sorted(self._runners)[:10])
            self._complain(
                "unknown_station", message.topic, (f"there is no such station; there are: {known}",)
            )
            self._strangers.heard(address, message.payload, self._wall())
            self._outlet.acknowledge(message)
            return
        event, number = self._decoded(address, message)
        if event is not None and runner is not None and not isinstance(event, BridgeAsked | GatewayHeard):
            missing = _missing_place(runner, address, event)
            if missing is None:
                runner.take(event, message)
                return
            self._refuse_place(missing, message, number)
        elif isinstance(event, GatewayHeard):
            self._heard(event)
        elif isinstance(event, BridgeAsked):
            self._bridge_asked(event)
        self._outlet.acknowledge(message)

    def _arrived_elsewhere(self, message: Message) -> None:
        """On a topic that is not of our grammar."""
        fleet = self._outlet.fleet
        if fleet is not None and fleet.arrived(message):
            self._counters.messages["foreign"] += 1
            return
        if message.topic.startswith(f"{self._topics.prefix}/"):
            self._complain("unknown_topic", message.topic, ("no device topic is built like this",))
        else:  # a device that left the configuration; the broker's session still has its topics
            self._outlet.unsubscribe(message.topic)
        self._outlet.acknowledge(message)

    def refuse(self, topic: str, problems: tuple[str, ...], counts: Mapping[str, int]) -> None:
        """Something was wrong with what a foreign device said, or with what it did."""
        for name, count in counts.items():
            self._counters.problems[name] += count
        if problems:
            self._complain("message_refused", topic, problems)

    def _decoded(
        self, address: Address, message: Message
    ) -> tuple[Event | BridgeAsked | GatewayHeard | None, int]:
        """What a message says, with what is wrong in it reported; and the number of its answer."""
        number = 0
        if address.channel == "request":
            number = self._outlet.expect(ReplyTo(address, None, message.response_topic, message.correlation))
        gesture = address.channel in ONCE
        decoded = decode(
            address,
            message.payload,
            arrived_at=self._wall(),
            retained=message.retain or (message.backlog and not gesture),
            backlog=message.backlog,
            zone=self._zone(address.station),
            reply_to=number,
        )
        for name, count in decoded.counters.items():
            self._counters.problems[name] += count
        if decoded.problems:
            self._complain("message_refused", message.topic, decoded.problems)
        if number:
            if decoded.request_id is not None:
                self._outlet.name(number, decoded.request_id)
            if decoded.refusal is not None:
                self._outlet.respond(Respond(number, ok=False, data={}, error=decoded.refusal))
            elif decoded.event is None:
                self._outlet.forget(number)
        return decoded.event, number

    def _refuse_place(self, n: int, message: Message, number: int) -> None:
        why = f"this station has no connector {n} for that"
        if number:
            self._outlet.respond(Respond(number, ok=False, data={}, error=why))
        self._complain("unknown_topic", message.topic, (why,))

    def _zone(self, station: str) -> ZoneInfo:
        runner = self._runners.get(station)
        name = "UTC" if runner is None else runner.station.state.config.time_zone
        zone = self._zones.get(name)
        if zone is None:
            zone = self._zones[name] = ZoneInfo(name)
        return zone

    def _complain(self, event_type: str, topic: str, problems: tuple[str, ...]) -> None:
        """One line, one event; not for every message of a device that is always wrong."""
        self._counters.problems[event_type] += 1
        now = time.monotonic()
        key = f"{event_type} {topic}"
        if now - self._complained.get(key, -_QUIET_S) < _QUIET_S:
            return
        if len(self._complained) >= _MOST_COMPLAINTS:
            self._complained = {one: then for one, then in self._complained.items() if now - then < _QUIET_S}
            if len(self._complained) >= _MOST_COMPLAINTS:
                return
        self._complained[key] = now
        _log.warning(
            "An MQTT message was refused.", cause=event_type, topic=topic, problems="; ".join(problems)
        )
        self._outlet.send(
            encoding.bridge_event(
                self._topics, event_type=event_type, at=self._wall(), topic=topic, problems=problems
            )
        )


def _missing_place(runner: Runner, address: Address, event: Event) -> int | None:
    """The connector that a message is about and that is none of this station; None where there is no such."""
    n = event.n if isinstance(event, TokenPresented) else address.n  # a station's reader names one of several
    if n == 0:
        return 0 if address.channel == "status" and not isinstance(event, ActionRequested) else None
    return None if n in runner.station.state.by_n else n

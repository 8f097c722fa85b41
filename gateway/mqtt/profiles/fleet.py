"""All foreign devices: whose a topic is, what their messages become, and one timer for all that is due."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, tzinfo
from typing import Any

from msgspec import Struct

from gateway.mqtt.acl import Foreign
from gateway.mqtt.arrivals import Message
from gateway.mqtt.encoding import Outgoing
from gateway.mqtt.payloads import decode
from gateway.mqtt.profiles.model import Profile
from gateway.mqtt.profiles.translator import Fact, Heard, Instant, Said, Translator, encoded
from gateway.mqtt.topics import Address, Subscription
from gateway.station.effects import Command, SetPoint
from gateway.station.events import Event

_NOT_METERED = ("temperature_c", "soc_percent")
"""What a charger says of itself although a meter beside it counts: two registers would be none."""
_SOONEST_S = 0.005
"""A deadline that has passed already is looked at after this; the loop must breathe."""


class Binding(Struct, frozen=True):
    """A device, and the connector (0: the station as a whole) that it is."""

    station: str
    n: int
    profile: Profile
    parameters: Mapping[str, str]


class Clock(Struct, frozen=True):
    """The clocks of this machine, and its timers."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]
    call_at: Callable[[float, Callable[[], None]], object]
    """At a monotonic time."""


class Sinks(Struct, frozen=True):
    """Where everything goes that follows from a message or from time."""

    take: Callable[[str, Event, Message | None], None]
    """An event for a station, and the message that it must acknowledge."""
    send: Callable[[Outgoing], None]
    acknowledge: Callable[[Message], None]
    complain: Callable[[str, tuple[str, ...], Mapping[str, int]], None]
    """What is wrong: the topic, sentences, and what to count."""


class Fleet:
    """The foreign devices of all stations; all of it on the event loop's thread."""

    def __init__(
        self, bindings: Iterable[Binding], clock: Clock, sinks: Sinks, zones: Mapping[str, tzinfo]
    ) -> None:
        """`zones` of stations: for the times of devices that name none."""
        self._clock = clock
        self._sinks = sinks
        self._by_topic: defaultdict[str, list[_Device]] = defaultdict(list)
        self._by_place: defaultdict[tuple[str, int], list[_Device]] = defaultdict(list)
        self._by_station: defaultdict[str, list[_Device]] = defaultdict(list)
        self._due: list[tuple[float, int, _Device]] = []
        self._numbers = itertools.count()
        self._timer_at: float | None = None
        for binding in bindings:
            self._add(binding, zones.get(binding.station, UTC))
        self._tell_meters_apart()

    def _add(self, binding: Binding, zone: tzinfo) -> _Device:
        device = _Device(binding, zone)
        self._by_place[binding.station, binding.n].append(device)
        self._by_station[binding.station].append(device)
        for topic in device.translator.subscriptions():
            self._by_topic[topic].append(device)
        return device

    def replace(self, station: str, bindings: Iterable[Binding], zone: tzinfo, *, connected: bool) -> None:
        """The devices of a station are these from now on; none: it is gone."""
        for device in self._by_station.pop(station, []):
            device.due = None  # its entry of the heap counts no more
            self._by_place.pop((station, device.n), None)
            for topic in device.translator.subscriptions():
                left = [one for one in self._by_topic[topic] if one is not device]
                if left:
                    self._by_topic[topic] = left
                else:
                    del self._by_topic[topic]
        added = [self._add(binding, zone) for binding in bindings]
        self._tell_meters_apart()
        for device in added if connected else ():
            self._follow(device, device.translator.connected(self._now()))

    def _tell_meters_apart(self) -> None:
        """Beside a meter of its own, what a charger measures does not count."""
        for place, devices in self._by_place.items():
            metered = place[1] > 0 and any(device.profile.part == "meter" for device in devices)
            for device in devices:
                device.metered = not metered or device.profile.part != "evse"

    # -------------------------------------------------------------- the broker

    def connected(self) -> None:
        """The gateway introduces itself: every device is asked how it is."""
        for device in self._everyone():
            self._follow(device, device.translator.connected(self._now()))

    def lost(self) -> None:
        """Whatever devices say now is not heard."""
        for device in self._everyone():
            device.translator.lost()
            device.due = None
        self._due.clear()

    def arrived(self, message: Message) -> bool:
        """Take a message in; False when it is on no topic of ours."""
        devices = self._by_topic.get(message.topic)
        if devices is None:
            return False
        heard = Heard(message.topic, message.payload, message.retain, message.backlog)
        now = self._now()
        events: list[tuple[str, Event]] = []
        for device in devices:
            said = device.translator.heard(heard, now)
            events += [(device.station, event) for event in self._said(device, said, message)]
        if not events:
            self._sinks.acknowledge(message)
        for number, (station, event) in enumerate(events, start=1):
            self._sinks.take(station, event, message if number == len(events) else None)
        for device in devices:
            self._arm(device)
        return True

    # -------------------------------------------------------------- what stations want

    def setpoint(self, station: str, effect: SetPoint) -> None:
        """The desired state of a connector."""
        for device in self._by_place.get((station, effect.n), ()):
            self._follow(device, device.translator.setpoint(effect.setpoint, self._now()))

    def command(self, station: str, effect: Command) -> None:
        """A command; at 0 for every device of the station that knows it."""
        places = (
            self._by_place.get((station, effect.n), ()) if effect.n else self._by_station.get(station, ())
        )
        knowing = [device for device in places if effect.name in device.profile.commands]
        for device in knowing or [device for device in places if device.profile.part == "evse"][:1]:
            self._follow(device, device.translator.command(effect, self._now()))

    # -------------------------------------------------------------- what follows

    def _follow(self, device: _Device, said: Said) -> None:
        for event in self._said(device, said):
            self._sinks.take(device.station, event, None)
        self._arm(device)

    def _said(self, device: _Device, said: Said, message: Message | None = None) -> list[Event]:
        """Send what is to be sent, before any event can lead to something newer; return the events."""
        for outgoing in said.messages:
            self._sinks.send(outgoing)
        if said.problems:
            topic = device.name if message is None else message.topic
            self._sinks.complain(topic, tuple(said.problems), {"bad_fields": len(said.problems)})
        events = (self._event(device, fact, message) for fact in said.facts)
        return [event for event in events if event is not None]

    def _event(self, device: _Device, fact: Fact, message: Message | None) -> Event | None:
        n, channel, name = device.n, str(fact.channel), None
        if channel == "info":
            n, fact = 0, Fact("info", self._introduced(device, fact.document))
        elif channel == "availability" and device.profile.part != "evse":
            name = device.profile.part
        elif channel == "status" and n == 0:
            return None
        elif channel == "meter" and not device.metered:
            inside = {key: value for key, value in fact.document.items() if key in _NOT_METERED}
            if not inside:
                return None
            fact = fact._replace(document=inside)
        decoded = decode(
            Address(device.station, n, channel, name),
            encoded(fact),
            arrived_at=self._clock.wall(),
            retained=fact.retained,
            backlog=message is not None and message.backlog,
            zone=device.zone,
        )
        if decoded.problems or decoded.counters:
            topic = device.name if message is None else message.topic
            self._sinks.complain(topic, decoded.problems, decoded.counters)
        return decoded.event if isinstance(decoded.event, Event) else None

    def _introduced(self, device: _Device, info: dict[str, Any]) -> dict[str, Any]:
        """What the devices of a station are together: the first gives the name, commands are added up."""
        device.info = info
        devices = self._by_station[device.station]
        if len(devices) == 1:
            return info
        merged: dict[str, Any] = {}
        for other in reversed(devices):
            merged |= other.info
        merged.pop("boot_id", None)  # One of them that booted is no restart of the station.
        merged["commands"] = sorted({name for other in devices for name in other.info.get("commands", ())})
        return merged

    # -------------------------------------------------------------- time

    def _arm(self, device: _Device) -> None:
        """Put the device's next deadline into the heap; a later one is looked at when the earlier comes."""
        deadline = device.translator.deadline()
        if deadline is None or (device.due is not None and device.due <= deadline):
            return
        device.due = deadline
        heapq.heappush(self._due, (deadline, next(self._numbers), device))
        self._set_timer()

    def _set_timer(self) -> None:
        if not self._due:
            return
        at = max(self._due[0][0], self._clock.monotonic() + _SOONEST_S)
        if self._timer_at is None or at < self._timer_at:
            self._timer_at = at
            self._clock.call_at(at, lambda: self._time_up(at))

    def _time_up(self, set_for: float) -> None:
        if self._timer_at != set_for:
            return  # an earlier one was set meanwhile, and has looked at everything
        self._timer_at = None
        now = self._now()
        while self._due and self._due[0][0] <= now.monotonic:
            at, _, device = heapq.heappop(self._due)
            if device.due != at:
                continue
            device.due = None
            deadline = device.translator.deadline()
            if deadline is not None and deadline <= now.monotonic:
                self._follow(device, device.translator.elapsed(now))
            else:
                self._arm(device)
        self._set_timer()

    def _now(self) -> Instant:
        return Instant(self._clock.wall(), self._clock.monotonic())

    def _everyone(self) -> list[_Device]:
        return [device for devices in self._by_station.values() for device in devices]


def subscriptions(bindings: Iterable[Binding]) -> tuple[Subscription, ...]:
    """All topics of these devices, each by itself. Stored copies are asked for each time: they may be all there is."""
    wanted: dict[str, int] = {}
    for binding in bindings:
        for topic, qos in Translator(binding.profile, binding.parameters).subscriptions().items():
            wanted[topic] = max(qos, wanted.get(topic, 0))
    return tuple(Subscription(topic, qos, 0) for topic, qos in wanted.items())


def foreign_topics(bindings: Iterable[Binding]) -> Foreign:
    """All topics of these devices."""
    bindings = list(bindings)
    heard = dict.fromkeys(one.filter for one in subscriptions(bindings))
    said = (
        topic for one in bindings for topic in sorted(Translator(one.profile, one.parameters).published())
    )
    return Foreign(tuple(heard), tuple(dict.fromkeys(said)))


class _Device:
    """A translator at its place."""

    __slots__ = ("due", "info", "metered", "n", "name", "profile", "station", "translator", "zone")

    def __init__(self, binding: Binding, zone: tzinfo) -> None:
        self.station = binding.station
        self.n = binding.n
        self.profile = binding.profile
        self.translator = Translator(binding.profile, binding.parameters)
        self.zone = zone
        self.name = f"{binding.station}/{binding.n} ({binding.profile.name})"
        self.metered = True
        """Its readings count: no meter stands beside it."""
        self.due: float | None = None
        """The entry of the heap that counts for it."""
        self.info: dict[str, Any] = {}

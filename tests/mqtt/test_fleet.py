"""The fleet: whose a topic is, in which order things are said, and one timer for all that is due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from gateway.mqtt.arrivals import Message
from gateway.mqtt.encoding import Outgoing
from gateway.mqtt.profiles.fleet import Binding, Clock, Fleet, Sinks, foreign_topics, subscriptions
from gateway.settings.profiles import found_profile, load_profile
from gateway.station.effects import Command, SetPoint, SetPointDocument
from gateway.station.events import (
    CommandAnswered,
    DeviceAnnounced,
    DevicePresenceChanged,
    Event,
    MeterSampled,
    StatusReported,
)

NOWHERE = Path("/nowhere")
SHELLY = found_profile("shelly-gen2-switch", NOWHERE)
OPENEVSE = found_profile("openevse", NOWHERE)


def binding(station: str, n: int = 1, base: str = "plug", profile: Any = SHELLY) -> Binding:
    return Binding(station, n, profile, profile.complete({"base": base}))


class World(Struct):
    """Everything around a fleet, with a clock that is turned by hand."""

    now: float = 100.0
    log: list[Any] = field(default_factory=list)
    """What was sent, taken, acknowledged and complained of, in order."""
    timers: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    react: Callable[[Event], None] = lambda _event: None

    def fleet(self, *bindings: Binding) -> Fleet:
        clock = Clock(lambda: 1_777_888_800.0 + self.now, lambda: self.now, self._call_at)
        sinks = Sinks(
            self._take,
            self.log.append,
            lambda message: self.log.append(("ack", message.topic)),
            self._complain,
        )
        return Fleet(bindings, clock, sinks, {one.station: UTC for one in bindings})

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.timers and (first := min(self.timers, key=lambda timer: timer[0]))[0] <= end:
            self.timers.remove(first)
            self.now = max(self.now, first[0])
            first[1]()
        self.now = end

    def said(self, kind: type[Any]) -> list[Any]:
        return [entry for entry in self.log if isinstance(entry, kind)]

    def events(self, station: str) -> list[Event]:
        return [entry[2] for entry in self.log if isinstance(entry, tuple) and entry[:2] == ("take", station)]

    def _call_at(self, at: float, callback: Callable[[], None]) -> None:
        self.timers.append((at, callback))

    def _take(self, station: str, event: Event, message: Message | None) -> None:
        self.log.append(("take", station, event, None if message is None else message.topic))
        self.react(event)

    def _acknowledge(self, message: Message) -> None:
        self.log.append(("ack", message.topic))

    def _complain(self, topic: str, problems: tuple[str, ...], counts: Any) -> None:
        self.log.append(("complaint", topic, problems, dict(counts)))


def arrived(topic: str, payload: str, *, retain: bool = False) -> Message:
    return Message(topic, payload.encode(), 1, retain, False, 7, 1)


def on(revision: int = 1, *, energize: bool = True) -> SetPoint:
    return SetPoint(
        1,
        SetPointDocument(
            energize=energize, limit_a=16.0, limit_w=3680, phases=1, lock=False, transaction=None, operative=True,
            revision=revision, epoch="e", valid_s=90,
        ),
    )  # fmt: skip


def test_a_message_becomes_events_of_its_station_and_is_acknowledged_with_the_last() -> None:
    """The same events as under our own contract; what is nobody's is not taken."""
    world = World()
    fleet = world.fleet(binding("garage"), binding("yard", base="other"))

    assert fleet.arrived(
        arrived("plug/status/switch:0", '{"output":true,"apower":2300,"aenergy":{"total":5}}')
    )
    assert not fleet.arrived(arrived("elsewhere", "1"))

    kinds = [type(event) for event in world.events("garage")]
    assert [DevicePresenceChanged, StatusReported, StatusReported, MeterSampled] == kinds
    assert {"power_w": 2300.0, "energy_import_wh": 5.0} == world.events("garage")[-1].values  # type: ignore[attr-defined]
    assert [None, None, None, "plug/status/switch:0"] == [
        entry[3] for entry in world.log if entry[0] == "take"
    ]
    assert [] == world.events("yard")


def test_a_message_that_says_nothing_is_acknowledged_at_once() -> None:
    world = World()
    fleet = world.fleet(binding("garage"))
    fleet.arrived(arrived("plug/online", "true"))
    world.log.clear()

    assert fleet.arrived(arrived("plug/events/rpc", '{"params":{}}'))
    assert [("ack", "plug/events/rpc")] == world.log


def test_what_must_be_sent_goes_before_any_event_can_lead_to_something_newer() -> None:
    """A device returns while it should be on, and the station says off when it hears of it: off is said last."""
    world = World()
    fleet = world.fleet(binding("garage"))
    fleet.connected()
    fleet.setpoint("garage", on())
    fleet.arrived(arrived("plug/online", "false"))
    world.log.clear()
    world.react = lambda _event: fleet.setpoint("garage", on(2, energize=False))

    fleet.arrived(arrived("plug/online", "true"))

    switched = [m.payload for m in world.said(Outgoing) if b"Switch.Set" in m.payload]
    assert [b'"on":true' in payload for payload in switched] == [True, False]
    assert not any(message.retain for message in world.said(Outgoing))


def test_one_timer_serves_all_devices_in_their_order() -> None:
    """A hundred switches that are on: each is told again in time, with one timer set at a time."""
    world = World()
    fleet = world.fleet(*(binding(f"s{i}", base=f"plug{i}") for i in range(100)))
    fleet.connected()
    for i in range(100):
        fleet.arrived(arrived(f"plug{i}/online", "true"))
        fleet.setpoint(f"s{i}", on())
        fleet.arrived(arrived(f"plug{i}/events/rpc", '{"params":{"switch:0":{"output":true}}}'))
        world.wait(0.01)
    world.log.clear()

    assert len(world.timers) <= 3
    world.wait(61)
    assert [f"plug{i}/rpc" for i in range(100)] == [message.topic for message in world.said(Outgoing)]


def test_after_the_broker_was_lost_nothing_is_due() -> None:
    world = World()
    fleet = world.fleet(binding("garage"))
    fleet.connected()
    fleet.arrived(arrived("plug/online", "true"))
    fleet.setpoint("garage", on())
    fleet.lost()
    world.log.clear()

    world.wait(1000)

    assert [] == world.log


def test_the_devices_of_a_station_are_introduced_together() -> None:
    """The first gives the name; commands are added up, so that each is asked only where somebody knows it."""
    world = World()
    world.fleet(binding("garage", 1, "evse-1", OPENEVSE), binding("garage", 2)).connected()

    *_, announced = [event for event in world.events("garage") if isinstance(event, DeviceAnnounced)]
    assert ("OpenEVSE", ("measure", "reset")) == (announced.info.vendor, announced.info.commands)


def test_where_a_meter_stands_beside_a_charger_it_alone_counts() -> None:
    """Two registers of one connector would be none; what the charger derives from its own reading stands."""
    meter = found_profile("shelly-gen2-em", NOWHERE)
    world = World()
    fleet = world.fleet(binding("garage"), binding("garage", 1, "em", meter), binding("garage", 2, "p2"))
    reading = '{"output":true,"apower":2300,"aenergy":{"total":5},"temperature":{"tC":40}}'
    for base in ("plug", "p2"):
        fleet.arrived(arrived(f"{base}/status/switch:0", reading))
    fleet.arrived(arrived("em/status/em1data:0", '{"total_act_energy":7000}'))

    events = world.events("garage")
    assert [
        (1, {"temperature_c": 40.0}),
        (2, {"power_w": 2300.0, "temperature_c": 40.0, "energy_import_wh": 5.0}),
        (1, {"energy_import_wh": 7000.0}),
    ] == [(event.n, event.values) for event in events if isinstance(event, MeterSampled)]
    charging = [
        event for event in events if isinstance(event, StatusReported) and event.facts.charging is True
    ]
    assert [1, 2] == [event.n for event in charging]


def test_a_command_goes_to_who_knows_it() -> None:
    """For the whole station to each of them; what nobody knows is answered once."""
    world = World()
    fleet = world.fleet(
        binding("garage", 1, "evse-1", OPENEVSE), binding("garage", 2), binding("garage", 3, "p3")
    )
    fleet.command("garage", Command(0, "reset", "c-1", 20, {"type": "hard"}))
    fleet.command("garage", Command(2, "unlock", "c-2", 20, {}))
    fleet.command("elsewhere", Command(1, "unlock", "c-3", 20, {}))

    assert ["evse-1/restart"] == [message.topic for message in world.said(Outgoing)]
    assert [CommandAnswered(2, "c-2", "not_supported")] == world.events("garage")


def test_what_is_wrong_is_complained_of_with_its_topic(tmp_path: Path) -> None:
    """Also what our own contract refuses: a limit of a million amperes."""
    file = tmp_path / "box.yaml"
    file.write_text(
        'title: X\nread: [{topic: "{base}/l", status: {limit_a: {unit: A}, plugged: {map: {1: true}}}}]\n'
    )
    world = World()
    fleet = world.fleet(binding("garage", 1, "box", load_profile(file)))

    fleet.arrived(arrived("box/l", "1000000"))

    (first, second) = [entry for entry in world.log if entry[0] == "complaint"]
    assert ("box/l", {"bad_fields": 1}) == (first[1], first[3])
    assert "limit_a 1e+06 is refused" in second[2][0] or "limit_a 1000000" in second[2][0]


def test_each_topic_is_subscribed_to_once_and_its_stored_copy_is_asked_for() -> None:
    """Two channels of one device share topics."""
    second = Binding("garage", 2, SHELLY, SHELLY.complete({"base": "plug", "channel": "1"}))
    wanted = subscriptions([binding("garage"), second])

    assert ["plug/events/rpc"] == [one.filter for one in wanted if one.filter.endswith("events/rpc")]
    assert {0} == {one.retain_handling for one in wanted}
    assert ("plug/rpc",) == foreign_topics([binding("garage"), second]).said

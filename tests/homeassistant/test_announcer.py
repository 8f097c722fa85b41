"""When Home Assistant is told: on a clock turned by hand, with a list for a broker and a dictionary for a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gateway.homeassistant import Announcer, Described, Stations, Ways
from gateway.homeassistant.announcer import _BURST_BYTES
from gateway.mqtt.topics import Topics
from gateway.station.model import ConnectorConfig, StationConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.homeassistant.told import Form
    from gateway.mqtt.encoding import Outgoing

TOPICS = Topics("ocpp")
GARAGE = "homeassistant/device/ocpp_garage/config"
GARAGE_POWER = "homeassistant/sensor/ocpp_garage/1_power/config"
BRIDGE = "homeassistant/device/ocpp_bridge/config"
MIGRATE = b'{"migrate_discovery":true}'


class Home:
    """An announcer and all that is around it. `said` is (seconds, topic, payload) of what was sent."""

    def __init__(
        self, *names: str, form: Form | None = "device", kept: dict[str, bytes] | None = None
    ) -> None:
        self.names = list(names)
        self.connectors = 1
        self.firmware = "1.0"
        self.now = 0.0
        self.kept = {"ocpp_bridge": b"[]"} if kept is None else kept
        self.keeps = 0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.said: list[tuple[float, str, bytes]] = []
        self.unsubscribed: list[str] = []
        self.announcer = self.begin(form)

    def begin(self, form: Form | None) -> Announcer:
        """A process with what the store has."""
        self.timers.clear()
        self.announcer = Announcer(
            form,
            "homeassistant",
            TOPICS,
            birth_topic="homeassistant/status",
            kept=dict(self.kept),
            stations=Stations(
                names=lambda: self.names,
                described=self._described,
                gateway_again=lambda: self._note("gateway", b""),
                states_again=lambda name: self._note(f"states of {name}", b""),
            ),
            ways=Ways(
                send=self._send,
                unsubscribe=self.unsubscribed.append,
                keep=self._keep,
                call_later=self._call_later,
            ),
        )
        return self.announcer

    def _described(self, name: str) -> Described:
        plugs = tuple(ConnectorConfig(n=n, evse=n, connector=1) for n in range(1, self.connectors + 1))
        config = StationConfig(name=name, identity=name, csms_url="ws://csms", connectors=plugs)
        return Described(config, "ACME", "X1", None, self.firmware)

    def _note(self, what: str, payload: bytes) -> None:
        self.said.append((self.now, what, payload))

    def _send(self, outgoing: Outgoing) -> None:
        self._note(outgoing.topic, outgoing.payload)

    def _keep(self, told: dict[str, bytes | None]) -> None:
        self.keeps += 1
        for id_, devices in told.items():
            if devices is None:
                self.kept.pop(id_, None)
            else:
                self.kept[id_] = devices

    def _call_later(self, after_s: float, then: Callable[[], None]) -> Any:
        timer = (self.now + after_s, then)
        self.timers.append(timer)
        assert len(self.timers) == 1

        class Handle:
            def cancel(_self) -> None:  # noqa: N805
                self.timers.remove(timer)

        return Handle()

    def run(self, until: float = 1e9) -> list[tuple[float, str, bytes]]:
        """Let the time pass; what was said meanwhile."""
        before = len(self.said)
        while self.timers and self.timers[0][0] <= until:
            self.now, then = self.timers.pop(0)
            then()
        self.now = until if until < 1e9 else self.now
        return self.said[before:]

    def topics(self, until: float = 1e9) -> list[str]:
        return [topic for _, topic, _ in self.run(until)]

    def birth(self, payload: bytes = b"online", *, retained: bool = False) -> bool:
        return self.announcer.arrived("homeassistant/status", payload, retained=retained)


def kept_by(form: Form, *names: str) -> dict[str, bytes]:
    """A store in which these stations are announced."""
    home = Home(*names, form=form)
    home.announcer.connected()
    home.run()
    return home.kept


def test_at_each_connection_everything_is_told() -> None:
    """The broker may have lost what it kept; what the store knows already is not written again."""
    home = Home("garage")
    home.announcer.connected()
    assert [BRIDGE, GARAGE] == home.topics()
    keeps = home.keeps

    home.announcer.lost()
    home.announcer.connected()

    assert [BRIDGE, GARAGE] == home.topics()
    assert keeps == home.keeps


def test_thousands_of_stations_hold_nothing_up() -> None:
    """Each message is made when its turn comes, one timer for all; a lost connection ends it."""
    home = Home(*(f"s{number}" for number in range(1000)))
    home.announcer.connected()
    assert home.said == []
    said = home.run()

    assert len(said) == 1001
    at_once: dict[float, int] = {}
    for at, _, payload in said:
        at_once[at] = at_once.get(at, 0) + len(payload)
    longest = max(len(payload) for _, _, payload in said)
    assert max(at_once.values()) < _BURST_BYTES + longest
    assert said[-1][0] < 60
    home.announcer.connected()
    home.run(home.now + 0.15)
    home.announcer.lost()
    assert home.run() == []


def test_after_its_birth_states_follow() -> None:
    """Some seconds later the discovery, then, when the entities are there, the gateway and the stations."""
    home = Home("garage", "yard")
    home.announcer.connected()
    home.run()
    born = home.now
    assert home.birth(b"offline")
    assert home.run() == []

    home.birth()
    said = home.run()

    assert [
        BRIDGE,
        GARAGE,
        GARAGE.replace("garage", "yard"),
        "gateway",
        "states of garage",
        "states of yard",
    ] == [topic for _, topic, _ in said]
    assert 1.99 < said[0][0] - born < 5.01
    assert said[3][0] - said[0][0] > 1.99


def test_a_stored_birth_message_is_no_birth() -> None:
    """Some have Home Assistant retain it: it would come at each of our connections."""
    home = Home("garage")
    home.announcer.connected()
    home.run()

    assert home.birth(retained=True)
    assert home.run() == []


def test_a_device_that_says_something_else_of_itself_is_told_anew() -> None:
    """Alone, once for several changes, and without the states."""
    home = Home("garage", "yard")
    home.announcer.connected()
    home.run()
    home.firmware = "2.0"
    home.announcer.changed("yard")
    home.announcer.changed("yard")
    ((_, topic, payload),) = home.run()

    assert GARAGE.replace("garage", "yard") == topic
    assert "2.0" == msgspec.json.decode(payload)["device"]["sw_version"]
    home.announcer.lost()
    home.announcer.changed("yard")
    assert home.run() == []


def test_a_change_while_all_are_told_is_not_lost() -> None:
    """Its turn may have been before."""
    home = Home(*(f"s{number}" for number in range(100)))
    home.announcer.connected()
    home.run(0.05)
    home.announcer.changed("s0")

    assert "homeassistant/device/ocpp_s0/config" == home.topics()[-1]


def test_what_is_gone_is_taken_back() -> None:
    """Entities by their platform, devices by an empty message, after all others."""
    home = Home("garage", "yard")
    home.connectors = 2
    home.announcer.connected()
    home.run()
    home.names.remove("yard")
    home.connectors = 1
    home.begin("device").connected()
    said = home.run()

    assert [BRIDGE, GARAGE, GARAGE, GARAGE.replace("garage", "yard")] == [topic for _, topic, _ in said]
    going, left = (msgspec.json.decode(payload)["components"] for _, _, payload in said[1:3])
    assert {"platform": "sensor"} == going["2_power"]
    assert "2_power" not in left
    assert said[3][2] == b""
    assert {"ocpp_bridge", "ocpp_garage"} == home.kept.keys()


def test_a_component_that_is_gone_is_cleared_at_its_own_topic() -> None:
    """Where each has one."""
    home = Home("garage", form="components")
    home.connectors = 2
    home.announcer.connected()
    home.run()
    home.connectors = 1
    home.begin("components").connected()
    empty = {topic for _, topic, payload in home.run() if payload == b""}

    assert GARAGE_POWER.replace("1_power", "2_power") in empty
    assert all("/2_" in topic or "card_event" in topic for topic in empty)


def test_off_takes_everything_back() -> None:
    """And says nothing more."""
    home = Home("garage", kept=kept_by("device", "garage"))
    home.begin(None).connected()
    assert [(0.0, BRIDGE, b""), (0.0, GARAGE, b"")] == sorted(home.run())
    assert {} == home.kept
    home.birth()
    home.announcer.changed("garage")
    assert home.run() == []


def test_another_form_takes_the_entities_over() -> None:
    """The migration is told first, the new form then, and the old topics are cleared some time after."""
    for old, new, before, after in (
        ("components", "device", GARAGE_POWER, GARAGE),
        ("device", "components", GARAGE, GARAGE_POWER),
    ):
        home = Home("garage", form=new, kept=kept_by(old, "garage"))  # type: ignore[arg-type]
        home.announcer.connected()
        said = [(at, topic, payload) for at, topic, payload in home.run() if topic in (before, after)]

        assert [(before, MIGRATE), (after, said[1][2]), (before, b"")] == [one[1:] for one in said]
        assert said[1][2]
        assert said[2][0] - said[1][0] > 1.99
        assert home.kept == kept_by(new, "garage")  # type: ignore[arg-type]


def test_a_migration_that_was_interrupted_is_done_again() -> None:
    """The connection, or the whole process, was lost before the old topics were cleared."""
    home = Home("garage", form="device", kept=kept_by("components", "garage"))
    home.announcer.connected()
    assert GARAGE_POWER in home.topics(1.0)
    home.announcer.lost()
    home.begin("device").connected()
    said = [payload for _, topic, payload in home.run() if topic == GARAGE_POWER]

    assert [MIGRATE, b""] == said


def test_a_new_store_asks_the_broker_what_was_announced() -> None:
    """What a gateway with our prefix left there goes; what others said stays; then nobody listens any more."""
    other = Home("garage", "shed")
    other.announcer.connected()
    ours = {topic: payload for _, topic, payload in other.run()}
    foreign = ours[GARAGE].replace(b"ocpp/bridge", b"other/bridge")

    home = Home("garage", kept={})
    assert ("homeassistant/device/+/config", "homeassistant/+/+/+/config") == home.announcer.filters
    home.announcer.connected()
    for topic, payload in (
        *ours.items(),
        ("homeassistant/device/ocpp_elsewhere/config", foreign),
        ("homeassistant/device/zigbee2mqtt/config", b'{"origin":{"name":"Zigbee2MQTT"},"availability":[]}'),
        ("homeassistant/device/broken/config", b"{"),
    ):
        assert home.announcer.arrived(topic, payload, retained=True)
    said = home.run()

    assert [GARAGE.replace("garage", "shed")] == [topic for _, topic, payload in said if payload == b""]
    assert not [topic for _, topic, _ in said if "elsewhere" in topic or "zigbee" in topic]
    assert list(home.announcer.filters) == home.unsubscribed
    assert home.kept.keys() == {"ocpp_bridge", "ocpp_garage"}


def test_single_components_of_an_earlier_gateway_are_found_too() -> None:
    """Those of a station that is still there are migrated, the others cleared."""
    other = Home("garage", "shed", form="components")
    other.announcer.connected()
    left = {topic: payload for _, topic, payload in other.run()}

    home = Home("garage", kept={})
    home.announcer.connected()
    for topic, payload in left.items():
        home.announcer.arrived(topic, payload, retained=True)
    said = home.run()

    assert left.keys() == {topic for _, topic, payload in said if payload == b""}
    assert {topic for topic in left if "shed" not in topic} == {
        topic for _, topic, payload in said if payload == MIGRATE
    }


def test_what_is_heard_without_being_asked_for_is_not_heard_twice() -> None:
    """A session of the broker may remember what a process that ended early had subscribed to."""
    home = Home("garage")
    assert home.announcer.filters == ()
    home.announcer.connected()
    home.run()
    for _ in range(2):
        assert home.announcer.arrived(GARAGE, b"{}", retained=True)

    assert ["homeassistant/device/+/config", "homeassistant/+/+/+/config"] == home.unsubscribed
    assert not home.announcer.arrived("ocpp/garage/1/status", b"{}", retained=False)

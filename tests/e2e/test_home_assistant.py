"""Discovery over a real broker: at the start, after Home Assistant's birth, when stations or the form change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.gateway import CARD, Site
from tests.support.mqtt_client import TestClient

if TYPE_CHECKING:
    from pathlib import Path

DEVICE = "homeassistant/device/ocpp_garage/config"
POWER = "homeassistant/sensor/ocpp_garage/1_power/config"


async def retained(site: Site, topic_filter: str = "homeassistant/#") -> dict[str, Any]:
    """What somebody who comes now is told, by topic."""
    async with TestClient(site.broker.port) as late:
        await late.subscribe(topic_filter, "ocpp/bridge/info")
        await late.next("ocpp/bridge/info")
        return {m.topic: m.json() for m in late.received("homeassistant/#") if m.payload}


async def announced(site: Site, home: TestClient, topic: str = DEVICE) -> Any:
    """The next message at a discovery topic."""
    del site
    return (await home.next(topic, where=lambda m: bool(m.payload))).json()


async def test_a_station_is_found_and_its_commands_arrive(tmp_path: Path) -> None:
    """One retained message; number, switch and buttons say what the gateway obeys."""
    async with Site(tmp_path) as site, TestClient(site.broker.port) as home:
        await home.subscribe("homeassistant/#")
        found = await announced(site, home)
        entities = found["components"]
        assert {DEVICE, "homeassistant/device/ocpp_bridge/config"} == (await retained(site)).keys()

        await site.charge()
        number = entities["1_limit"]
        await site.mqtt.publish(number["command_topic"], "8")
        await site.setpoint(limit_a=8.0)
        switch = entities["1_charging_allowed"]
        await site.mqtt.publish(switch["command_topic"], switch["payload_off"])
        await site.setpoint(energize=False)
        await site.mqtt.publish(switch["command_topic"], switch["payload_on"])
        await site.setpoint(energize=True, limit_a=32.0)
        stop = entities["1_stop"]
        await site.mqtt.publish(stop["command_topic"], stop["payload_press"])
        await site.setpoint(energize=False)
        reset = entities["reset"]
        await site.mqtt.publish(reset["command_topic"], reset["payload_press"])
        await site.cp.connection(2)


async def test_after_its_birth_home_assistant_is_told_again(tmp_path: Path) -> None:
    """First the discovery, then that the gateway is there, then the states."""
    async with Site(tmp_path) as site, TestClient(site.broker.port) as home:
        await home.subscribe("homeassistant/#", "ocpp/#")
        await announced(site, home)
        await home.next("ocpp/garage/1/state")
        home.forget()
        known = len(home.messages)

        await home.publish("homeassistant/status", "offline")
        await home.publish("homeassistant/status", "online")
        await home.next(DEVICE)
        await home.next("ocpp/garage/1/state")
        await home.next("ocpp/garage/1/transaction")

        said = [m.topic for m in home.messages[known:]]
        last_beat = max(index for index, topic in enumerate(said) if topic == "ocpp/bridge/state")
        assert said.index(DEVICE) < last_beat < said.index("ocpp/garage/1/state")
        assert "ocpp/garage/1/setpoint" not in said


async def test_what_goes_is_removed(tmp_path: Path) -> None:
    """A connector's entities by their platform alone, a station's device by an empty message."""
    async with Site(tmp_path, station={"connectors": 2}) as site, TestClient(site.broker.port) as home:
        await home.subscribe(DEVICE)
        assert "2_power" in (await announced(site, home))["components"]
        home.forget()
        site.change(connectors=1)
        await site.restart()

        going = await announced(site, home)
        gone = await announced(site, home)
        assert {"platform": "sensor"} == going["components"]["2_power"]
        assert "2_power" not in gone["components"]

        site.change(name="yard")
        await site.running.restart()
        await home.next(DEVICE, where=lambda m: not m.payload)
        assert DEVICE not in await retained(site)


async def test_people_keep_what_they_changed_when_the_form_changes(tmp_path: Path) -> None:
    """Old topics are told of the migration first, and cleared last; both ways."""
    old = {"home_assistant": {"discovery": "components"}}
    async with Site(tmp_path, settings=old) as site, TestClient(site.broker.port) as home:
        await home.subscribe("homeassistant/#")
        single = await announced(site, home, POWER)
        assert "object_id" in single
        assert DEVICE not in await retained(site)
        for form, before, after in (("device", POWER, DEVICE), ("components", DEVICE, POWER)):
            home.forget()
            known = len(home.messages)
            site.running.write(site.configuration() | {"home_assistant": {"discovery": form}})
            await site.restart()
            await home.next(before, where=lambda m: m.payload == b'{"migrate_discovery":true}')
            await announced(site, home, after)
            await home.next(before, where=lambda m: not m.payload)
            said = [m.topic for m in home.messages[known:] if m.topic in (before, after)]
            assert [before, after, before] == said


async def test_without_discovery_what_was_told_is_taken_back(tmp_path: Path) -> None:
    """And nothing is said again, whatever Home Assistant says."""
    async with Site(tmp_path) as site, TestClient(site.broker.port) as home:
        await home.subscribe("homeassistant/#")
        await announced(site, home)
        site.running.write(site.configuration() | {"home_assistant": {"discovery": "off"}})
        await site.restart()
        await home.next(DEVICE, where=lambda m: not m.payload)
        await home.next("homeassistant/device/ocpp_bridge/config", where=lambda m: not m.payload)

        assert {} == await retained(site)


async def test_a_card_is_an_event_that_home_assistant_understands(tmp_path: Path) -> None:
    """Its type is one of those announced; it is not retained."""
    async with Site(tmp_path) as site, TestClient(site.broker.port) as home:
        await home.subscribe("homeassistant/#")
        card = (await announced(site, home))["components"]["1_card_event"]
        await site.plug()
        for n in (1, 0):
            site.mqtt.forget()
            await site.card(CARD, n)
            event = await site.mqtt.next(card["state_topic"])

            assert event.json()["event_type"] in card["event_types"]
            assert not event.retain


async def test_a_broker_that_forgot_everything_is_told_again(tmp_path: Path) -> None:
    """At each connection, also while nothing else changed."""
    async with Site(tmp_path) as site:
        async with TestClient(site.broker.port) as home:
            await home.subscribe("homeassistant/#")
            await announced(site, home)
            await home.publish(DEVICE, b"", retain=True)
            await home.next(DEVICE, where=lambda m: not m.payload)
        site.broker.restart()
        async with TestClient(site.broker.port) as home:
            await home.subscribe("homeassistant/#")
            assert "ocpp_garage" in (await announced(site, home))["device"]["identifiers"]


async def test_a_device_that_introduces_itself_changes_what_is_shown(tmp_path: Path) -> None:
    """Its make and its firmware, without a restart of anything."""
    async with Site(tmp_path) as site, TestClient(site.broker.port) as home:
        await home.subscribe("homeassistant/#")
        assert "sw_version" not in (await announced(site, home))["device"]
        home.forget()
        info = {"contract": 1, "vendor": "ACME", "model": "Box", "serial": "42", "firmware_version": "7.1"}
        await site.mqtt.publish("ocpp/garage/0/info", info, retain=True)
        device = (await announced(site, home))["device"]

        assert ("ACME", "Box", "42", "7.1") == (
            device["manufacturer"], device["model"], device["serial_number"], device["sw_version"],
        )  # fmt: skip
        await site.view("garage/0/state", firmware_version="7.1")


async def test_a_gateway_with_a_new_store_clears_what_the_old_one_left(tmp_path: Path) -> None:
    """A station that is no more; what others announced stays."""
    stranger = "homeassistant/device/0x00124b/config"
    async with Site(tmp_path) as site, TestClient(site.broker.port) as home:
        await home.publish(stranger, {"origin": {"name": "Zigbee2MQTT"}, "components": {}}, retain=True)
        await home.subscribe("homeassistant/#")
        await announced(site, home)
        await site.running.stop()
        for file in tmp_path.glob("gateway.db*"):
            file.unlink()
        site.change(name="yard")
        await site.running.start()
        await home.next(DEVICE, where=lambda m: not m.payload)

        left = await retained(site)
        assert {stranger, DEVICE.replace("garage", "yard"), DEVICE.replace("garage", "bridge")} == left.keys()


async def test_stations_that_come_and_go_while_the_gateway_runs(tmp_path: Path) -> None:
    """Another configuration, or a request, brings one and takes one back."""
    allowed = {"gateway": {"allow_requests": ["reload"]}}
    yard = DEVICE.replace("garage", "yard")
    async with Site(tmp_path, settings=allowed) as site, TestClient(site.broker.port) as home:
        await home.subscribe("homeassistant/#")
        await announced(site, home)
        before = site.configuration()
        (garage,) = before["stations"]
        more = {"stations": [garage, {"name": "yard", "identity": "CP2", "csms": garage["csms"]}]}
        site.running.write(before | more)
        await site.mqtt.publish("ocpp/bridge/request/reload", {})
        assert ["ocpp_yard"] == (await announced(site, home, yard))["device"]["identifiers"]

        site.running.write(before)
        await site.mqtt.publish("ocpp/bridge/request/reload", {})
        await home.next(yard, where=lambda m: not m.payload)
        assert DEVICE in await retained(site)

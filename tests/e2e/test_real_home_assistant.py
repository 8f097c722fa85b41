"""A real Home Assistant finds the station, shows it, and its commands arrive. Runs after `make home-assistant`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.support.gateway import CARD, Site
from tests.support.home_assistant import HASS, HomeAssistant
from tests.support.mqtt_client import TestClient

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not HASS.exists(), reason="THERE IS NO HOME ASSISTANT: `make home-assistant` installs one"
    ),
]
EXAMPLES = Path(__file__).parents[2] / "config" / "homeassistant"
COMPONENTS = {"home_assistant": {"discovery": "components"}}
"""2024.3, the newest for Python 3.11, does not know the message for a whole device."""


def entities_of(file: Path) -> set[str]:
    """All that an example names of our station."""
    return set(re.findall(r"\b[a-z_]+\.garage_\w+", file.read_text()))


def about_us(home: HomeAssistant) -> list[str]:
    """Warnings and errors that have to do with what we said."""
    return [line for line in home.log().splitlines() if "garage" in line or "ocpp" in line]


async def test_it_shows_a_charge_and_controls_it(tmp_path: Path) -> None:
    """Every entity that is announced is there with a state; nothing about us stands in the log."""
    station = {"connector": {"lock": True}}
    async with (
        Site(tmp_path, "1.6", station=station, settings=COMPONENTS) as site,
        HomeAssistant(tmp_path, site.broker.port) as home,
    ):
        await site.unplug()
        await home.shows("sensor.garage_1_status", "Available")
        await home.shows("binary_sensor.garage_connected", "on")
        await home.shows("sensor.ocpp_bridge_health", "ok")

        await site.charge(energy_wh=1000.0)
        await home.shows("sensor.garage_1_status", "Charging")
        await home.shows("binary_sensor.garage_1_plugged", "on")
        card = home.states["event.garage_1_card_event"]
        assert "accepted" == card["attributes"]["event_type"]
        await site.meter(3000.0, power_w=7360.0, current_a=[16.0, 16.0, 0.0], voltage_v=230.0)
        energy = await home.shows("sensor.garage_1_energy", "3000.0")
        assert ("energy", "total_increasing", "Wh") == (
            energy["attributes"]["device_class"],
            energy["attributes"]["state_class"],
            energy["attributes"]["unit_of_measurement"],
        )
        await home.shows("sensor.garage_1_power", "7360.0")
        await home.shows("sensor.garage_1_current_l2", "16.0")
        await home.shows("number.garage_1_limit", "32")

        await home.call("number", "set_value", "number.garage_1_limit", value=8)
        await site.setpoint(limit_a=8.0)
        await home.shows("number.garage_1_limit", "8.0")
        await home.call("switch", "turn_off", "switch.garage_1_charging_allowed")
        await site.setpoint(energize=False)
        await home.shows("switch.garage_1_charging_allowed", "off")
        await home.call("switch", "turn_on", "switch.garage_1_charging_allowed")
        await site.setpoint(energize=True, limit_a=32.0)
        await home.call("button", "press", "button.garage_1_stop")
        await site.setpoint(energize=False)
        await site.status(plugged=True, energized=False, charging=False)
        await site.ended()
        await home.shows("sensor.garage_1_status", "Finishing")

        await site.unplug()
        await site.card("04FFFFFF", 0)
        await home.until(
            lambda: home.states["event.garage_1_card_event"]["state"] != card["state"],
            "a card at the station's reader is not seen",
        )

        ours = [name for name in home.states if "garage" in name or "ocpp_bridge" in name]
        assert 35 < len(ours)
        lost = [name for name in ours if home.states[name]["state"] == "unavailable"]
        assert [] == lost
        assert entities_of(EXAMPLES / "dashboard.yaml") <= home.states.keys()

        await site.running.stop()
        await home.shows("sensor.garage_1_status", "unavailable")
        assert [] == about_us(home)
        assert CARD not in home.log()

        site.running.write(site.configuration() | {"home_assistant": {"discovery": "off"}})
        await site.running.start()
        await home.forgets("sensor.garage_1_status")
        await home.forgets("sensor.ocpp_bridge_health")
        assert [] == about_us(home)
        wrong = {"name": "garage", "unique_id": "garage", "state_topic": "garage", "device_class": "ocpp"}
        await site.mqtt.publish("homeassistant/sensor/wrong/config", wrong)
        await site.mqtt.publish("homeassistant/sensor/right/config", wrong | {"device_class": "power"})
        await home.shows("sensor.garage", "unknown")
        assert about_us(home), "what Home Assistant says of us would not be seen"


async def test_it_is_told_again_when_it_starts_again(tmp_path: Path) -> None:
    """Even by a broker that keeps nothing; its own restart brings all entities back with their states."""
    async with Site(tmp_path, "1.6", settings=COMPONENTS) as site:
        await site.unplug()
        async with HomeAssistant(tmp_path / "first", site.broker.port) as home:
            await home.shows("sensor.garage_1_status", "Available")
        async with TestClient(site.broker.port) as broker:
            await broker.subscribe("homeassistant/#", "ocpp/garage/#")
            await broker.next("homeassistant/sensor/ocpp_garage/1_status/config")
            await broker.next("ocpp/garage/1/state")
            for topic in {m.topic for m in broker.messages if m.retain}:
                await broker.publish(topic, b"", retain=True)

        async with HomeAssistant(tmp_path / "second", site.broker.port) as home:
            await home.shows("sensor.garage_1_status", "Available")
            await home.shows("binary_sensor.garage_connected", "on")
            assert [] == about_us(home)


async def test_the_example_automations_do_what_they_say(tmp_path: Path) -> None:
    """As they are shipped, in a real Home Assistant; the grid meter is another device on MQTT."""
    automations = yaml.safe_load((EXAMPLES / "automations.yaml").read_text())
    grid = {"name": "Grid power", "unique_id": "grid", "state_topic": "grid", "device_class": "power"}
    async with (
        Site(tmp_path, "1.6", settings=COMPONENTS) as site,
        HomeAssistant(tmp_path, site.broker.port) as home,
    ):
        await site.unplug()
        await home.shows("sensor.garage_1_status", "Available")
        unit = {"unit_of_measurement": "W", "state_class": "measurement"}
        await site.mqtt.publish("homeassistant/sensor/grid/config", grid | unit)
        await home.shows("sensor.grid_power", "unknown")
        home.configure(automation=automations)
        await home.ask("call_service", domain="automation", service="reload")
        await site.charge(energy_wh=1000.0)
        await site.meter(1100.0, power_w=6900.0, soc_percent=79)
        await home.shows("sensor.garage_1_power", "6900.0")
        await home.shows("sensor.garage_1_soc", "79.0")

        told = await home.called("persistent_notification", "create")
        assert "Card 04…C4: accepted" == told["message"]

        sun = "automation.garage_charge_with_what_the_sun_leaves_over"
        for grid_w, wanted in (
            ("-1380", {"energize": True, "limit_a": 12.0}),
            ("4000", {"energize": False}),  # 4.2 A: less than a vehicle can do
            ("-690", {"energize": True, "limit_a": 11.0}),
        ):
            await site.mqtt.publish("grid", grid_w)
            await home.shows("sensor.grid_power", grid_w)
            await home.call("automation", "trigger", sun, skip_condition=False)
            await site.setpoint(**wanted)

        await site.meter(1200.0, power_w=4140.0, soc_percent=80)
        await site.setpoint(energize=False)
        await site.status(plugged=True, energized=False, charging=False)
        await site.ended()
        assert [] == about_us(home)

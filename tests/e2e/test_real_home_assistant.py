"""A real Home Assistant finds the station, shows it, and its commands arrive. Runs after `make home-assistant`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.gateway import CARD, Site
from tests.support.home_assistant import HASS, HomeAssistant

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not HASS.exists(), reason="THERE IS NO HOME ASSISTANT: `make home-assistant` installs one"
    ),
]
COMPONENTS = {"home_assistant": {"discovery": "components"}}
"""2024.3, the newest for Python 3.11, does not know the message for a whole device."""


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
        await home.shows("sensor.bridge_health", "ok")

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

        announced = {m.topic for m in site.mqtt.received("ocpp/garage/#")}
        assert announced
        ours = [name for name in home.states if "garage" in name or "bridge" in name]
        assert 30 < len(ours)
        lost = [name for name in ours if home.states[name]["state"] == "unavailable"]
        assert [] == lost

        await site.running.stop()
        await home.shows("sensor.garage_1_status", "unavailable")
        about_us = [line for line in home.log().splitlines() if "garage" in line or "ocpp" in line]
        assert [] == about_us
        assert CARD not in home.log()

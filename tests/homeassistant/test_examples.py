"""The examples for Home Assistant name only entities and topics that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from gateway.homeassistant import messages
from gateway.homeassistant.messages import Described
from gateway.mqtt.actions import PAYLOADS, read
from gateway.mqtt.payloads_out import EVENT_TYPES
from gateway.mqtt.topics import Topics
from gateway.station.model import ConnectorConfig, StationConfig

EXAMPLES = Path(__file__).parents[2] / "config" / "homeassistant"
TOPICS = Topics("ocpp")


def documents(value: Any) -> list[Any]:
    """All values of a document, however deep."""
    if isinstance(value, dict):
        return [one for each in value.values() for one in documents(each)]
    if isinstance(value, list):
        return [one for each in value for one in documents(each)]
    return [value]


def known() -> set[str]:
    """The entity ids of a station called garage, with the settings that hold by default."""
    config = StationConfig(
        name="garage",
        identity="garage",
        csms_url="ws://csms",
        connectors=(ConnectorConfig(n=1, evse=1, connector=1),),
    )
    (message,) = messages.of_station("device", "homeassistant", TOPICS, Described(config, "", ""))
    return {component["default_entity_id"] for component in message.document["components"].values()}


@pytest.mark.parametrize("name", ["dashboard.yaml", "automations.yaml"])
def test_every_entity_is_one_that_a_station_has(name: str) -> None:
    """Also those within templates."""
    texts = [str(value) for value in documents(yaml.safe_load((EXAMPLES / name).read_text()))]
    named = {found for text in texts for found in re.findall(r"\b[a-z_]+\.garage_\w+", text)}

    assert len(named) >= 5
    assert named <= known()


def automation(name: str) -> dict[str, Any]:
    found = [one for one in yaml.safe_load((EXAMPLES / "automations.yaml").read_text()) if one["id"] == name]
    document: dict[str, Any] = found[0]
    return document


@pytest.mark.parametrize(
    ("grid_w", "charging_w", "amps"),
    [(-6900, 0, 10.0), (500, 4140, 5.2), (3000, 0, 0.0), (0, 0, 0.0), (-100, 11040, 16.1)],
)
def test_the_surplus_becomes_a_limit_that_the_gateway_takes(
    grid_w: float, charging_w: float, amps: float
) -> None:
    """What the car draws is part of the surplus: else it would switch itself off."""
    given = automation("ocpp_solar_surplus")["action"]
    variables, sent = given[0]["variables"], given[1]["data"]
    environment = jinja2.Environment(autoescape=False)
    told = {"sensor.grid_power": grid_w, "sensor.garage_1_power": charging_w}
    made: dict[str, Any] = {"phases": variables["phases"]}
    for key in ("grid_w", "charging_w", "amps"):
        text = environment.from_string(variables[key]).render(states=told.get, **made)
        made[key] = float(text)
    payload = environment.from_string(sent["payload"]).render(**made)

    address = TOPICS.parse(sent["topic"])
    assert address is not None
    assert address.name in PAYLOADS
    assert read(address, payload.encode()).arguments == {"limit_a": amps, "ttl_s": 300}


def test_the_card_event_has_what_the_notification_says() -> None:
    """`event_type` is an attribute of Home Assistant's event entities, the rest is what stands beside it."""
    message = automation("ocpp_card_notification")["action"][0]["data"]["message"]

    assert {"id_token", "event_type"} == set(re.findall(r"attributes\.(\w+)", message))
    assert "refused" in EVENT_TYPES["card"]

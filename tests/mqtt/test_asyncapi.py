"""The exported contract: complete, up to date, and true of what is really sent and read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from gateway.mqtt import encoding
from gateway.mqtt.asyncapi import asyncapi, asyncapi_json
from gateway.mqtt.topics import Topics
from gateway.station.effects import Command, Publish, SetPoint
from tests.mqtt.test_encoding import CONNECTOR, METER, NOW, SETPOINT, STATION, TOPICS, TRANSACTION_VIEW

DOCUMENT = asyncapi()
ROOT = Path(__file__).parents[2]


def check(message: str, payload: Any) -> None:
    """Validate a payload against a message's schema."""
    schema = {**DOCUMENT["components"]["messages"][message]["payload"], "components": DOCUMENT["components"]}
    jsonschema_rs.validator_for(schema).validate(payload)


def test_the_committed_copy_is_up_to_date() -> None:
    """`ocpp-gateway asyncapi > docs/asyncapi.json` makes it so."""
    assert (ROOT / "docs" / "asyncapi.json").read_text() == asyncapi_json()


def test_every_subscription_is_a_channel() -> None:
    """And every channel that others send on is subscribed to."""
    heard = {
        _shape(channel["address"])
        for channel in DOCUMENT["channels"].values()
        if channel["x-sender"] != "gateway"
    }
    subscribed = {wanted.filter for wanted in Topics("ocpp").subscriptions()} - {"ocpp/bridge/state"}

    assert {_generalized(address) for address in heard} == subscribed


def test_every_reference_leads_somewhere() -> None:
    """Inside the document."""
    for reference in _references(DOCUMENT):
        place: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]

        assert place


def test_what_is_sent_is_as_documented() -> None:
    """Real messages against their schemas."""
    check("setpoint", json.loads(encoding.setpoint(TOPICS, "garage", SetPoint(1, SETPOINT)).payload))
    check(
        "command",
        json.loads(encoding.command(TOPICS, "garage", Command(1, "unlock", "c", 9, {}), NOW).payload),
    )
    for message, view in (
        ("stationState", STATION),
        ("connectorState", CONNECTOR),
        ("meterState", METER),
        ("transaction", TRANSACTION_VIEW),
    ):
        check(message, json.loads(encoding.view(TOPICS, "garage", Publish(1, "state", view)).payload))


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        ("status", {"plugged": True, "errors": ["GroundFailure", {"code": "X"}], "timestamp": NOW}),
        ("meter", {"current_a": [1, None, 2], "voltage_v": 230, "soc_percent": None}),
        ("availability", "online"),
        ("availability", {"state": "offline"}),
        ("card", "04A2"),
        ("card", {"id_token": "04A2", "type": "ISO14443"}),
        ("requestLimit", None),
        ("requestLimit", {"limit_a": 8, "ttl_s": 900}),
        ("event", {"event_type": "accepted", "timestamp": "2026-05-04T10:00:00.000Z", "id_token": "04…C4"}),
    ],
)
def test_the_documented_forms_are_valid(message: str, payload: Any) -> None:
    """As the pages show them."""
    check(message, payload)


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        ("status", {"phases": 7}),
        ("meter", {"current_a": [1, 2, 3, 4]}),
        ("availability", "perhaps"),
        ("card", {"type": "ISO14443"}),
        ("requestLimit", {}),
        ("event", {"event_type": "exploded", "timestamp": "2026-05-04T10:00:00.000Z"}),
    ],
)
def test_what_is_refused_is_not_valid(message: str, payload: Any) -> None:
    """The schemas are as strict as the decoder."""
    with pytest.raises(jsonschema_rs.ValidationError):
        check(message, payload)


def _shape(address: str) -> str:
    return "/".join("+" if level.startswith("{") else level for level in address.split("/"))


def _generalized(address: str) -> str:
    """`…/request/stop` is heard through `…/request/+`; what concerns a device as a whole stands at 0 only."""
    levels = address.split("/")
    if levels[-2] == "request":
        levels[-1] = "+"
    if levels[-1] in {"info", "firmware", "log"}:
        levels[-2] = "+"
    return "/".join(levels)


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [r for value in node.values() for r in _references(value)]
    if isinstance(node, list):
        return [r for value in node for r in _references(value)]
    return []

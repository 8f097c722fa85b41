"""From effects to messages: topic, payload, QoS, retain and expiry."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.mqtt import encoding, payloads_out
from gateway.mqtt.encoding import Outgoing, ReplyTo
from gateway.mqtt.payloads_out import EVENT_TYPES
from gateway.mqtt.topics import PREFIX_MAX_BYTES, SETPOINT_MAX_BYTES, Address, Topics
from gateway.station import effects
from gateway.station.effects import (
    Command,
    ConnectorView,
    MeterView,
    Notify,
    Publish,
    Respond,
    SetPoint,
    SetPointDocument,
    StationView,
    TransactionView,
)

TOPICS = Topics("ocpp")
NOW = 1_777_888_800.0
STAMP = "2026-05-04T10:00:00.000Z"
TRANSACTION = "0b9c0d2e-1f3a-5b6c-8d7e-9fa0b1c2d3e4"

SETPOINT = SetPointDocument(
    energize=False,
    limit_a=16.0,
    limit_w=11040,
    phases=3,
    lock=False,
    transaction=TRANSACTION,
    operative=False,
    revision=1234567890,
    epoch="a1b2c3",
    valid_s=90,
)
STATION = StationView(
    connected=True,
    ocpp_version="2.0.1",
    registration="Accepted",
    security_profile=2,
    since=NOW,
    last_received_at=None,
    queued=0,
    operative=True,
    online=True,
    status="Available",
    firmware_version=None,
    last_error=None,
)
CONNECTOR = ConnectorView(
    status="SuspendedEV",
    availability_state="Occupied",
    errors=(),
    info="",
    plugged=True,
    charging=None,
    energized=True,
    operative=True,
    reservation=None,
    limit_local_a=None,
    limit_operator_a=16.0,
    limit_device_a=32.0,
    limit_a=16.0,
    online=True,
    stale=False,
)
METER = MeterView(
    energy_import_wh=1.0,
    energy_export_wh=None,
    energy_session_wh=None,
    power_w=1.0,
    power_export_w=None,
    current_a=(1.0, None, None),
    voltage_v=(None, None, None),
    power_factor=None,
    reactive_var=None,
    frequency_hz=None,
    soc_percent=None,
    temperature_c=None,
    timestamp=NOW + 0.5,
    stale=False,
)
TRANSACTION_VIEW = TransactionView(
    active=False,
    transaction=None,
    csms_id=None,
    id_token=None,
    id_token_type=None,
    started_at=NOW,
    ended_at=None,
    meter_start_wh=None,
    meter_stop_wh=None,
    energy_wh=None,
    charging_state=None,
    stop_reason=None,
)
VIEWS: list[tuple[Any, type[msgspec.Struct]]] = [
    (STATION, payloads_out.StationStatePayload),
    (CONNECTOR, payloads_out.ConnectorStatePayload),
    (METER, payloads_out.MeterStatePayload),
    (TRANSACTION_VIEW, payloads_out.TransactionStatePayload),
]


def document(outgoing: Outgoing) -> Any:
    return json.loads(outgoing.payload)


def test_a_setpoint_is_the_whole_register() -> None:
    """Retained, QoS 1, every key."""
    sent = encoding.setpoint(TOPICS, "garage", SetPoint(1, SETPOINT))

    assert (sent.topic, sent.qos, sent.retain) == ("ocpp/garage/1/setpoint", 1, True)
    assert document(sent) == msgspec.to_builtins(SETPOINT)


@pytest.mark.parametrize(
    ("prefix", "name"), [("ocpp", "garage"), ("ocpp", "x" * 48), ("p" * PREFIX_MAX_BYTES, "x" * 48)]
)
def test_a_setpoint_fits_a_small_buffer(prefix: str, name: str) -> None:
    """With its topic at most 240 bytes: the transaction's id is cut, or left out, nothing else."""
    sent = encoding.setpoint(Topics(prefix), name, SetPoint(999, SETPOINT))
    told = document(sent)
    transaction = told.pop("transaction")

    assert len(sent.topic) + len(sent.payload) <= SETPOINT_MAX_BYTES
    assert transaction is None or (TRANSACTION.startswith(transaction) and len(transaction) >= 8)
    assert told == {k: v for k, v in msgspec.to_builtins(SETPOINT).items() if k != "transaction"}


@pytest.mark.parametrize(
    ("limit_a", "told"), [(16.1, 16.1), (10.43478, 10.4), (6.0, 6.0), (5.9999, 5.9), (0.0, 0.0)]
)
def test_a_limit_is_told_in_tenths_never_above_itself(limit_a: float, told: float) -> None:
    """Devices count in tenths of an ampere."""
    precise = msgspec.structs.replace(SETPOINT, limit_a=limit_a)

    assert document(encoding.setpoint(TOPICS, "garage", SetPoint(1, precise)))["limit_a"] == told


def test_a_command_expires() -> None:
    """Not retained; its arguments stand beside the fixed keys."""
    effect = Command(1, "measure", "c1", 10, {"ref": "c1", "context": "Transaction.Begin"}, "b7")
    sent = encoding.command(TOPICS, "garage", effect, NOW)

    assert sent == Outgoing(
        "ocpp/garage/1/command/measure", sent.payload, 1, retain=False, expiry_s=10, urgent=True
    )
    assert document(sent) == {
        "id": "c1",
        "ttl_s": 10,
        "boot_id": "b7",
        "timestamp": STAMP,
        "ref": "c1",
        "context": "Transaction.Begin",
    }


@pytest.mark.parametrize(("view", "payload"), VIEWS)
def test_a_view_has_every_key_of_its_payload(view: Any, payload: type[msgspec.Struct]) -> None:
    """The published document is of the documented type, to the key."""
    sent = encoding.view(TOPICS, "garage", Publish(1, "state", view))

    assert tuple(document(sent)) == payload.__struct_fields__
    assert isinstance(msgspec.json.decode(sent.payload, type=payload), payload)
    assert sent.retain


def test_moments_are_told_as_rfc_3339() -> None:
    """UTC, milliseconds; what is not known stays null."""
    station = document(encoding.view(TOPICS, "garage", Publish(0, "state", STATION)))
    meter = document(encoding.view(TOPICS, "garage", Publish(1, "meter/state", METER)))

    assert (station["since"], station["last_received_at"]) == (STAMP, None)
    assert meter["timestamp"] == "2026-05-04T10:00:00.500Z"


def test_an_event_is_not_retained() -> None:
    """It carries its type and time first."""
    sent = encoding.event(TOPICS, "garage", Notify(1, "card", "accepted", {"id_token": "04…C4"}), NOW)

    assert (sent.topic, sent.qos, sent.retain) == ("ocpp/garage/1/event/card", 1, False)
    assert document(sent) == {"event_type": "accepted", "timestamp": STAMP, "id_token": "04…C4"}


def test_answers_where_the_requester_said() -> None:
    """When it may; with its correlation data."""
    asked = ReplyTo(Address("garage", 1, "request", "stop"), "q", "ocpp/garage/1/response/mine", b"7")
    sent = encoding.response(TOPICS, Respond(1, ok=True, data={}), asked)

    assert (sent.topic, sent.correlation, sent.retain) == ("ocpp/garage/1/response/mine", b"7", False)
    assert document(sent) == {"id": "q", "status": "ok", "data": {}, "error": None}


@pytest.mark.parametrize("own", [None, "ocpp/garage/1/setpoint", "homeassistant/x/config"])
def test_answers_at_home_otherwise(own: str | None) -> None:
    """A response topic that means something else is not honoured."""
    asked = ReplyTo(Address("garage", 1, "request", "stop"), None, own)
    sent = encoding.response(TOPICS, Respond(1, ok=False, data={}, error="no"), asked)

    assert sent.topic == "ocpp/garage/1/response/stop"
    assert document(sent)["error"] == "no"


def test_the_heartbeat_is_the_will_too() -> None:
    """Same keys, without a time."""
    told: dict[str, Any] = {"instance": "gw", "epoch": "e", "interval_s": 30}
    beat = encoding.heartbeat(TOPICS, state="online", at=NOW, **told)
    will = encoding.heartbeat(TOPICS, state="offline", at=None, **told)

    assert (beat.topic, beat.qos, beat.retain) == ("ocpp/bridge/state", 1, True)
    assert document(beat) == {"state": "online", "timestamp": STAMP, **told}
    assert document(will) == {"state": "offline", "timestamp": None, **told}


def test_clearing_is_an_empty_retained_message() -> None:
    """As MQTT has it."""
    assert encoding.cleared("ocpp/x/1/state") == Outgoing("ocpp/x/1/state", b"", 1, retain=True)


def test_the_core_tells_only_events_of_the_closed_lists() -> None:
    """Each `Notify` of the station, as far as its words stand in the code."""
    told = set()
    for path in Path(effects.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Notify":
                kinds, words = (
                    [c.value for c in ast.walk(a) if isinstance(c, ast.Constant)] for a in node.args[1:3]
                )
                told |= {
                    (kind, word)
                    for kind in kinds
                    for word in words
                    if kind in EVENT_TYPES and isinstance(word, str)
                }

    assert told
    assert {(kind, word) for kind, word in told if word not in EVENT_TYPES[kind]} == set()

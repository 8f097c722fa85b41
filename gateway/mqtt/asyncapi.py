"""The contract as AsyncAPI 3 with JSON Schemas, made from the payload types and nothing else."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from gateway.mqtt import actions, payloads_in, payloads_out
from gateway.mqtt.payloads_out import EVENT_TYPES
from gateway.mqtt.topics import ACTIONS, BRIDGE_ACTIONS

_SCHEMAS = "#/components/schemas/{name}"


class _Channel(NamedTuple):
    """One row of the contract."""

    key: str
    address: str
    """Below the prefix."""
    payload: type[Struct]
    sender: str
    """`device`, `requester` or `gateway`."""
    qos: int
    retained: bool
    summary: str
    how_often: str
    cleared_by: str = "nobody: it is not retained"
    bare: dict[str, Any] | None = None
    """A schema of what may stand there instead of the object."""


_TEXT = {"type": "string", "description": "The bare text."}
_WILL = "the device, which says offline itself or by its last will"

_DEVICE = "{station}/{n}"
_CHANNELS = (
    # A device publishes.
    _Channel(
        "status",
        f"{_DEVICE}/status",
        payloads_in.StatusPayload,
        "device",
        1,
        False,
        "A connector's condition",
        "on each change; the whole on connecting, on a new epoch and at least every 5 minutes",
    ),
    _Channel(
        "meter",
        f"{_DEVICE}/meter",
        payloads_in.MeterPayload,
        "device",
        0,
        False,
        "A meter reading",
        "as often as the operator wants samples, every 5 to 60 s; at once when asked by `measure`",
    ),
    _Channel(
        "availability",
        f"{_DEVICE}/availability",
        payloads_in.AvailabilityPayload,
        "device",
        1,
        True,
        "Whether the device is there",
        "on connecting and as the last will",
        _WILL,
        {"type": "string", "enum": ["online", "offline"]},
    ),
    _Channel(
        "availabilityPart",
        f"{_DEVICE}/availability/{{part}}",
        payloads_in.AvailabilityPayload,
        "device",
        1,
        True,
        "Whether one of several devices that make one connector is there",
        "on connecting and as the last will",
        _WILL,
        {"type": "string", "enum": ["online", "offline"]},
    ),
    _Channel(
        "info",
        "{station}/0/info",
        payloads_in.InfoPayload,
        "device",
        1,
        True,
        "A device introduces itself",
        "on connecting",
        "the device's owner, with an empty retained message",
    ),
    _Channel(
        "card",
        f"{_DEVICE}/card",
        payloads_in.CardPayload,
        "device",
        1,
        False,
        "A card or code was shown",
        "once a gesture",
        bare=_TEXT,
    ),
    _Channel(
        "report",
        f"{_DEVICE}/report",
        payloads_in.ReportPayload,
        "device",
        1,
        False,
        "Something happened at a device",
        "once a gesture",
        bare=_TEXT,
    ),
    _Channel(
        "result",
        f"{_DEVICE}/result",
        payloads_in.ResultPayload,
        "device",
        1,
        False,
        "A command's outcome",
        "once a command, twice after in_progress",
    ),
    _Channel(
        "firmware",
        "{station}/0/firmware",
        payloads_in.FirmwarePayload,
        "device",
        1,
        False,
        "How far the installation of a firmware is",
        "on each step, after `update_firmware`",
        bare={"type": "string", "enum": ["downloading", "installing", "installed", "failed"]},
    ),
    _Channel(
        "log",
        "{station}/0/log",
        payloads_in.LogPayload,
        "device",
        1,
        False,
        "A part of the device's log",
        "once, or in several parts, after `upload_log`",
        bare=_TEXT,
    ),
    # The gateway tells a device.
    _Channel(
        "setpoint",
        f"{_DEVICE}/setpoint",
        payloads_out.SetpointPayload,
        "gateway",
        1,
        True,
        "A connector's desired state",
        "on each change, start and reconnect",
        "the gateway, when the connector leaves the configuration",
    ),
    _Channel(
        "command",
        f"{_DEVICE}/command/{{command}}",
        payloads_out.CommandPayload,
        "gateway",
        1,
        False,
        "A device shall do something now",
        "when asked for; expires after ttl_s",
    ),
    # Who decides about cards.
    _Channel(
        "authorizeRequest",
        f"{_DEVICE}/authorize/request",
        payloads_out.AuthorizeRequestPayload,
        "gateway",
        1,
        False,
        "Somebody is to decide about a card",
        "once a card, with `authorizer: mqtt`; expires after ttl_s",
    ),
    _Channel(
        "authorizeResponse",
        f"{_DEVICE}/authorize/response",
        payloads_in.AuthorizeResponsePayload,
        "requester",
        1,
        False,
        "What is decided about a card",
        "once a request",
    ),
    # The gateway tells everyone.
    _Channel(
        "gatewayState",
        "bridge/state",
        payloads_out.GatewayStatePayload,
        "gateway",
        1,
        True,
        "The gateway's heartbeat",
        "every interval_s, and on each start, reconnect and stop; also its last will",
        "nobody: the last one stays",
    ),
    _Channel(
        "gatewayInfo",
        "bridge/info",
        payloads_out.GatewayInfoPayload,
        "gateway",
        1,
        True,
        "What this gateway is",
        "on each start and reconnect",
        "nobody: the last one stays",
    ),
    _Channel(
        "gatewayHealth",
        "bridge/health",
        payloads_out.GatewayHealthPayload,
        "gateway",
        0,
        True,
        "How this gateway is",
        "with each heartbeat",
        "nobody: the last one stays",
    ),
    _Channel(
        "gatewayEvent",
        "bridge/event",
        payloads_out.GatewayEventPayload,
        "gateway",
        0,
        False,
        "Something that concerns no single connector",
        "rate-limited",
    ),
    _Channel(
        "stationState",
        "{station}/0/state",
        payloads_out.StationStatePayload,
        "gateway",
        1,
        True,
        "The station and its connection to the CSMS",
        "on each change",
        "the gateway, when the station leaves the configuration",
    ),
    _Channel(
        "connectorState",
        f"{_DEVICE}/state",
        payloads_out.ConnectorStatePayload,
        "gateway",
        1,
        True,
        "A connector's condition, as the gateway sees it",
        "on each change",
        "the gateway, when the connector leaves the configuration",
    ),
    _Channel(
        "meterState",
        f"{_DEVICE}/meter/state",
        payloads_out.MeterStatePayload,
        "gateway",
        0,
        True,
        "The last reading",
        "at most every meter_state_interval_s, 10 s by default",
        "the gateway, when the connector leaves the configuration",
    ),
    _Channel(
        "transaction",
        f"{_DEVICE}/transaction",
        payloads_out.TransactionStatePayload,
        "gateway",
        1,
        True,
        "The transaction that runs, or the last one",
        "on each change",
        "the gateway, when the connector leaves the configuration",
    ),
    _Channel(
        "event",
        f"{_DEVICE}/event/{{kind}}",
        payloads_out.EventPayload,
        "gateway",
        1,
        False,
        "Something happened",
        "once each; expires after an hour",
    ),
    # Anyone who may, may ask.
    *(
        _Channel(
            "request" + action.title().replace("_", ""),
            f"{_DEVICE}/request/{action}",
            actions.PAYLOADS[action],
            "requester",
            1,
            False,
            f"Ask for: {action}",
            "once a gesture",
        )
        for action in ACTIONS
    ),
    _Channel(
        "requestHealth",
        "bridge/request/health",
        actions.PAYLOADS["health"],
        "requester",
        1,
        False,
        "Ask for the gateway's health",
        "at will",
    ),
    *(
        _Channel(
            "requestBridge" + action.title().replace("_", ""),
            f"bridge/request/{action}",
            actions.PAYLOADS[action],
            "requester",
            1,
            False,
            f"Ask the gateway for: {action}",
            "at will",
        )
        for action in BRIDGE_ACTIONS
        if action != "health"
    ),
    _Channel(
        "response",
        f"{_DEVICE}/response/{{action}}",
        payloads_out.ResponsePayload,
        "gateway",
        1,
        False,
        "The answer to a request",
        "once a request; expires after a minute",
    ),
    _Channel(
        "gatewayResponse",
        "bridge/response/{action}",
        payloads_out.ResponsePayload,
        "gateway",
        1,
        False,
        "The answer to a request to the gateway",
        "once a request; expires after a minute",
    ),
)

_PARAMETERS: dict[str, dict[str, Any]] = {
    "station": {"description": "A station's name: 1 to 48 letters, digits, _ and -; not bridge."},
    "n": {"description": "Connector 1..N over the whole station; 0 is the station as a whole."},
    "part": {"description": "One of the devices that make a connector.", "enum": ["evse", "meter", "reader"]},
    "command": {
        "description": "What to do.",
        "enum": ["unlock", "reset", "measure", "card_result", "reserve", "data"],
    },
    "kind": {"description": "The kind of event.", "enum": list(EVENT_TYPES)},
    "action": {"description": "The request's action."},
}


def asyncapi(prefix: str = "ocpp") -> dict[str, Any]:
    """Return the contract as an AsyncAPI 3.0.0 document; the same input gives the same document."""
    payload_types = sorted({c.payload for c in _CHANNELS}, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(payload_types, ref_template=_SCHEMAS)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "OCPP-MQTT gateway",
            "version": "1",
            "description": "What charging devices, people and programs say to the gateway and hear from it. "
            "Operations are the gateway's: it receives what others publish.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {channel.key: _channel(channel, prefix) for channel in _CHANNELS},
        "operations": {f"{_verb(channel)}.{channel.key}": _operation(channel) for channel in _CHANNELS},
        "components": {
            "messages": {channel.key: _message(channel) for channel in _CHANNELS},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def asyncapi_json() -> str:
    """The document as text, as it stands in docs/asyncapi.json."""
    return json.dumps(asyncapi(), indent=2, ensure_ascii=False) + "\n"


def _channel(channel: _Channel, prefix: str) -> dict[str, Any]:
    parameters = {name: about for name, about in _PARAMETERS.items() if f"{{{name}}}" in channel.address}
    return {
        "address": f"{prefix}/{channel.address}",
        "summary": channel.summary,
        "messages": {channel.key: {"$ref": f"#/components/messages/{channel.key}"}},
        **({"parameters": parameters} if parameters else {}),
        "x-sender": channel.sender,
        "x-how-often": channel.how_often,
        "x-cleared-by": channel.cleared_by,
    }


def _operation(channel: _Channel) -> dict[str, Any]:
    return {
        "action": _verb(channel),
        "channel": {"$ref": f"#/channels/{channel.key}"},
        "bindings": {"mqtt": {"qos": channel.qos, "retain": channel.retained}},
    }


def _message(channel: _Channel) -> dict[str, Any]:
    payload: dict[str, Any] = {"$ref": _SCHEMAS.format(name=channel.payload.__name__)}
    if channel.key == "event":
        payload = {"allOf": [payload, {"anyOf": [_event_types(kind) for kind in EVENT_TYPES]}]}
    bare = channel.bare or _bare_request(channel)
    return {
        "name": channel.key,
        "title": channel.summary,
        "contentType": "application/json",
        "payload": payload if bare is None else {"anyOf": [payload, bare]},
    }


def _bare_request(channel: _Channel) -> dict[str, Any] | None:
    match channel.key:
        case "requestStart":
            return _TEXT
        case "requestLimit":
            return {"type": ["number", "null"], "description": "The bare limit in A; null clears it."}
        case "requestOperative" | "requestLink":
            return {"type": "boolean", "description": "The bare value."}
        case _:
            return None


def _event_types(kind: str) -> dict[str, Any]:
    words = list(EVENT_TYPES[kind])
    return {"title": kind, "properties": {"event_type": {"enum": words}}}


def _verb(channel: _Channel) -> str:
    return "send" if channel.sender == "gateway" else "receive"

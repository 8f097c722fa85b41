"""What a station wants becomes messages: topic, bytes, QoS, retain and expiry are decided here."""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import msgspec
from msgspec import Struct

from gateway.mqtt.payloads_out import AuthorizeRequestPayload, GatewayHealthPayload, GatewayInfoPayload
from gateway.mqtt.timestamps import rfc3339
from gateway.mqtt.topics import SETPOINT_MAX_BYTES, Address, Topics
from gateway.station.effects import (
    AskFlow,
    Command,
    MeterView,
    Notify,
    Publish,
    Respond,
    SetPoint,
    SetPointDocument,
    StationView,
    TransactionView,
)

EVENT_EXPIRY_S = 3600
RESPONSE_EXPIRY_S = 60
_encode = msgspec.json.Encoder().encode

_TIMES: dict[type[Struct], tuple[str, ...]] = {
    MeterView: ("timestamp",),
    StationView: ("since", "last_received_at"),
    TransactionView: ("started_at", "ended_at"),
}
"""Which keys of a view are moments: seconds in the core, text on MQTT."""

_COMMAND_TIMES = frozenset({"expires_at", "oldest", "latest"})
"""The same of a command's arguments."""


class Outgoing(Struct, frozen=True):
    """One message to publish."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    expiry_s: int | None = None
    """MQTT 5 message expiry."""
    correlation: bytes | None = None
    """MQTT 5 correlation data."""
    register: bool = False
    """Only the latest counts: while the broker is slow, it takes the place of an earlier one."""
    urgent: bool = False
    """Switches something, or lets it go on: sent before all that only tells."""


class ReplyTo(Struct, frozen=True):
    """Where the answer to a request goes, as the request said it."""

    address: Address
    request_id: str | None = None
    response_topic: str | None = None
    """MQTT 5; honoured only where `Topics.may_reply_to` says so."""
    correlation: bytes | None = None


def setpoint(topics: Topics, station: str, effect: SetPoint) -> Outgoing:
    """Retained, and never larger than SETPOINT_MAX_BYTES: the transaction's id is cut where it must be.

    The limit is told in tenths of an ampere, rounded down.
    """
    topic = topics.setpoint(station, effect.n)
    tenths = floor(effect.setpoint.limit_a * 10 + 1e-6)  # 16.1 is 16.0999… in binary
    document = msgspec.structs.replace(effect.setpoint, limit_a=tenths / 10)
    payload = _encode(document)
    excess = len(topic) + len(payload) - SETPOINT_MAX_BYTES
    if excess > 0:
        payload = _encode(_shortened(document, excess))
    return Outgoing(topic, payload, 1, retain=True, register=True, urgent=True)


def command(topics: Topics, station: str, effect: Command, at: float) -> Outgoing:
    """Not retained; gone after its time to live."""
    document = {
        "id": effect.id,
        "ttl_s": effect.ttl_s,
        "boot_id": effect.boot_id,
        "timestamp": rfc3339(at),
        **effect.arguments,
    }
    for key in _COMMAND_TIMES & document.keys():
        moment = effect.arguments[key]
        document[key] = rfc3339(moment) if isinstance(moment, int | float) else None
    topic = topics.command(station, effect.n, effect.name)
    return Outgoing(topic, _encode(document), 1, expiry_s=effect.ttl_s, urgent=True)


def authorize_request(topics: Topics, station: str, effect: AskFlow, at: float) -> Outgoing:
    """Not retained; worth nothing once the CSMS is asked instead."""
    document = AuthorizeRequestPayload(
        id=effect.id,
        id_token=effect.token.id_token,
        type=effect.token.type,
        connector=effect.n,
        ttl_s=effect.ttl_s,
        timestamp=rfc3339(at),
    )
    topic = topics.authorize_request(station, effect.n)
    return Outgoing(topic, _encode(document), 1, expiry_s=ceil(effect.ttl_s))


def view(topics: Topics, station: str, effect: Publish) -> Outgoing:
    """Retained. The last reading is worth one attempt only: the next one follows."""
    document = msgspec.structs.asdict(effect.view)
    for key in _TIMES.get(type(effect.view), ()):
        at = document[key]
        document[key] = None if at is None else rfc3339(at)
    qos = 0 if effect.channel == "meter/state" else 1
    topic = topics.view(station, effect.n, effect.channel)
    return Outgoing(topic, _encode(document), qos, retain=True, register=True)


def event(topics: Topics, station: str, effect: Notify, at: float) -> Outgoing:
    """Not retained: an event that is repeated to a newcomer would be a lie."""
    document = {"event_type": effect.event_type, "timestamp": rfc3339(at), **effect.data}
    topic = topics.event(station, effect.n, effect.kind)
    return Outgoing(topic, _encode(document), 1, expiry_s=EVENT_EXPIRY_S)


def response(topics: Topics, effect: Respond, reply_to: ReplyTo) -> Outgoing:
    """Goes to the requester's own topic where it named one that is allowed, else to ours."""
    document: dict[str, Any] = {
        "id": reply_to.request_id,
        "status": "ok" if effect.ok else "error",
        "data": effect.data,
        "error": effect.error,
    }
    own = reply_to.response_topic
    topic = own if own is not None and topics.may_reply_to(own) else topics.response(reply_to.address)
    return Outgoing(topic, _encode(document), 1, expiry_s=RESPONSE_EXPIRY_S, correlation=reply_to.correlation)


def heartbeat(
    topics: Topics, *, state: str, instance: str, epoch: str | None, interval_s: int, at: float | None
) -> Outgoing:
    """The gateway's state, `online`, `stopping` or `offline`; without `at` it serves as the will."""
    document = {
        "state": state,
        "epoch": epoch,
        "timestamp": None if at is None else rfc3339(at),
        "interval_s": interval_s,
        "instance": instance,
    }
    return Outgoing(topics.bridge_state, _encode(document), 1, retain=True, register=True, urgent=True)


def info(topics: Topics, payload: GatewayInfoPayload) -> Outgoing:
    return Outgoing(topics.bridge_info, _encode(payload), 1, retain=True, register=True)


def health(topics: Topics, payload: GatewayHealthPayload) -> Outgoing:
    return Outgoing(topics.bridge_health, _encode(payload), 0, retain=True, register=True)


def plain(payload: GatewayHealthPayload) -> dict[str, object]:
    """A payload as the `data` of an answer."""
    return msgspec.structs.asdict(payload)


def bridge_event(
    topics: Topics, *, event_type: str, at: float, topic: str | None = None, problems: tuple[str, ...] = ()
) -> Outgoing:
    """What concerns no single connector; not retained, and worth one attempt."""
    document = {"event_type": event_type, "timestamp": rfc3339(at), "topic": topic, "problems": problems}
    return Outgoing(topics.bridge_event, _encode(document), 0)


def cleared(topic: str) -> Outgoing:
    """Take back what is retained at a topic."""
    return Outgoing(topic, b"", 1, retain=True)


def _shortened(document: SetPointDocument, excess: int) -> SetPointDocument:
    transaction = document.transaction or ""
    kept = transaction[: max(len(transaction) - excess, 0)]
    # Fewer than eight characters would no longer tell one transaction from the next.
    return msgspec.structs.replace(document, transaction=kept if len(kept) >= 8 else None)

"""Bytes become events here, once: tolerant of how a device says it, strict about what it may mean."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, tzinfo

from gateway.mqtt import gestures, levels
from gateway.mqtt.decoded import EMPTY, NOTHING, RETAINED_GESTURE, Arrival, Decoded, GatewayHeard
from gateway.mqtt.fields import NotJsonError, json_of
from gateway.mqtt.topics import AUTHORIZE, ONCE, Address

_GATEWAY_STATES = frozenset(("online", "stopping", "offline"))


def decode(
    address: Address,
    payload: bytes,
    *,
    arrived_at: float,
    retained: bool = False,
    backlog: bool = False,
    zone: tzinfo = UTC,
    reply_to: int = 0,
) -> Decoded:
    """Return what the payload says; never raises for what it contains."""
    arrival = Arrival(address, arrived_at, retained, backlog, zone, reply_to)
    channel = address.channel
    if channel == "meter":
        return levels.meter(payload, arrival)
    if retained and channel in ONCE:
        return RETAINED_GESTURE
    if not payload and channel != "request":
        return EMPTY
    try:
        return _DECODERS[channel](payload, arrival)
    except NotJsonError as error:
        return Decoded(None, (f"the payload is {error}",), {"unreadable": 1})


def _state(payload: bytes, arrival: Arrival) -> Decoded:
    document = json_of(payload)
    state = document.get("state") if isinstance(document, dict) else None
    if not isinstance(state, str) or state not in _GATEWAY_STATES:
        return Decoded(None, ("the payload is no heartbeat of a gateway",), {"unreadable": 1})
    instance, epoch = document.get("instance"), document.get("epoch")
    return Decoded(
        GatewayHeard(
            state,
            instance if isinstance(instance, str) else None,
            epoch if isinstance(epoch, str) else None,
            arrival.retained,
        )
    )


def _marker(_payload: bytes, arrival: Arrival) -> Decoded:
    del arrival
    return NOTHING


_DECODERS: dict[str, Callable[[bytes, Arrival], Decoded]] = {
    "status": levels.status,
    "availability": levels.availability,
    "info": levels.info,
    "card": gestures.card,
    "report": gestures.report,
    "result": gestures.result,
    "firmware": gestures.firmware,
    "log": gestures.log,
    "request": gestures.request,
    AUTHORIZE: gestures.authorized,
    "state": _state,
    "marker": _marker,
}

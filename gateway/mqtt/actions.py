"""A request is whole or it is refused: unlike in a fact, no field is read without the others."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from gateway.mqtt.fields import Fields, NotJsonError, json_of
from gateway.mqtt.payloads_in import (
    TOKEN_TYPES,
    CandidatesRequest,
    ClearFaultRequest,
    DataTransferRequest,
    FaultRequest,
    HealthRequest,
    LimitRequest,
    LinkRequest,
    OperativeRequest,
    ReloadRequest,
    RequestPayload,
    ResetRequest,
    StartRequest,
    StationAddRequest,
    StationRemoveRequest,
    StopRequest,
    UnlockRequest,
)
from gateway.mqtt.topics import ACTIONS, BRIDGE, BRIDGE_ACTIONS, Address
from gateway.station.events import ActionRequested


class BridgeAsked(Struct, frozen=True):
    """`bridge/request/<action>` arrived: for the gateway itself, not for a station."""

    action: str
    arguments: dict[str, object]
    reply_to: int
    at: float | None = None
    backlog: bool = False


class Asked(Struct, frozen=True):
    """What a request's payload turned out to be."""

    action: str
    arguments: dict[str, object]
    request_id: str | None = None
    timestamp: str | float | None = None
    unknown_keys: int = 0
    refusal: str | None = None
    """Why it cannot be passed on; the rest means nothing then."""

    def event(
        self, address: Address, *, at: float | None, backlog: bool, reply_to: int
    ) -> ActionRequested | BridgeAsked:
        """Return the event that it is."""
        if address.station == BRIDGE:
            return BridgeAsked(self.action, self.arguments, reply_to, at, backlog)
        return ActionRequested(address.n, self.action, self.arguments, reply_to, self.request_id, at, backlog)


PAYLOADS: dict[str, type[RequestPayload]] = {
    "start": StartRequest,
    "stop": StopRequest,
    "unlock": UnlockRequest,
    "limit": LimitRequest,
    "operative": OperativeRequest,
    "reset": ResetRequest,
    "fault": FaultRequest,
    "clear_fault": ClearFaultRequest,
    "link": LinkRequest,
    "data_transfer": DataTransferRequest,
    "health": HealthRequest,
    "candidates": CandidatesRequest,
    "reload": ReloadRequest,
    "station_add": StationAddRequest,
    "station_remove": StationRemoveRequest,
}

_FIELDS = {name: Fields(kind, secret=("id_token",)) for name, kind in PAYLOADS.items()}
_BARE = {
    "station_add": "name",
    "station_remove": "name",
    "fault": "code",
    "start": "id_token",
    "limit": "limit_a",
    "operative": "operative",
    "link": "connected",
}
"""The argument that a payload which is no object stands for."""
_BARE_TEXTS = frozenset({"id_token", "code", "name"})
"""These need no quotes."""
_OF_THE_STATION = frozenset({"link", "reset"})
_TOKEN_TYPES = {word.casefold(): word for word in TOKEN_TYPES}


def read(address: Address, payload: bytes) -> Asked:
    """Return the checked arguments of the request at `address`, or why it is refused."""
    action = address.name or ""
    known = BRIDGE_ACTIONS if address.station == BRIDGE else ACTIONS
    if action not in known:
        why = f'there is no request "{action[:40]}" here, only {", ".join(known)}'
        return _refused(action, why, None)
    try:
        document = _document(action, payload)
    except NotJsonError as error:
        return _refused(action, f"the payload is {error}", None)
    request_id = _request_id(document)
    if action in _OF_THE_STATION and address.n != 0:
        return _refused(
            action, f"{action} is asked of the station, at 0, not of connector {address.n}", request_id
        )
    reading = _FIELDS[action].read(document, gaps=False)
    problems = reading.problems + _FIELDS[action].missing(reading)
    if problems:
        return _refused(action, "; ".join(problems), request_id)
    values = reading.values
    values.pop("id", None)
    stamp = values.pop("timestamp", None)
    if action == "start":
        token_type = values.get("type") or "ISO14443"
        if token_type.casefold() not in _TOKEN_TYPES:
            allowed = ", ".join(TOKEN_TYPES)
            return _refused(action, f'type "{token_type}" is no token type; allowed: {allowed}', request_id)
        values = {"id_token": str(values["id_token"]), "type": _TOKEN_TYPES[token_type.casefold()]}
    arguments = {**_optional(PAYLOADS[action]), **values}
    return Asked(action, arguments, request_id, stamp, reading.unknown_keys)


def _refused(action: str, why: str, request_id: str | None) -> Asked:
    return Asked(action, {}, request_id, refusal=why)


def _document(action: str, payload: bytes) -> dict[str, Any]:
    if not payload:
        return {}
    bare = _BARE.get(action)
    if bare in _BARE_TEXTS and not payload.lstrip().startswith(b"{"):
        return {bare: _text(payload)}
    document = json_of(payload)
    if isinstance(document, dict):
        return document
    if bare is not None:
        return {bare: document}
    if document is None:
        return {}
    raise NotJsonError("JSON, but no object")


def _text(payload: bytes) -> str:
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        raise NotJsonError("no text") from None
    return text.strip('"').strip()


def _request_id(document: dict[str, Any]) -> str | None:
    given = document.get("id")
    return str(given)[:64] if isinstance(given, str | int) and given != "" else None


def _optional(kind: type[Struct]) -> dict[str, object]:
    """The arguments that may be left out, with what they are then."""
    return {
        field.name: field.default
        for field in msgspec.structs.fields(kind)
        if not field.required and field.name not in ("id", "timestamp")
    }
